#include "trained.hpp"

#include <spikenet/core/error.hpp>
#include <spikenet/io/safetensors.hpp>

#include "network_table.hpp"

namespace mnist {

namespace {

using make_function = std::unique_ptr<trained>(const model_options&);

#define SPIKENET_MNIST_NETWORK(width, timesteps, output) \
  {width, timesteps, #output, make_trained<width, timesteps, readout::output>},
constexpr network_entry<make_function> networks[] = {
#include "mnist_networks.inc"
};
#undef SPIKENET_MNIST_NETWORK

}  // namespace

saved_network load_trained(const std::filesystem::path& path) {
  const auto file = spikenet::safetensors_file::read(path);
  saved_network saved{checked_info(file), nullptr};
  try {
    saved.net = find_network<make_function>(networks, saved.info.model)->make(saved.info.model);
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(file.name() + ": " + error.what());
  }
  saved.net->load(file);
  return saved;
}

}  // namespace mnist
