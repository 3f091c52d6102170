#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <spikenet/core/error.hpp>
#include <string>

#include "commands.hpp"
#include "hyperparameters.hpp"
#include "trained.hpp"

namespace mnist {

void export_network(const export_options& options) {
  const auto [info, net] = load_trained(options.checkpoint);
  const std::string comment = "Width " + text_of(info.model.width) + ", " + text_of(info.model.steps) + " timesteps, " +
                              info.model.readout + ": " + options.checkpoint.filename().string() +
                              " of spikenet-mnist.";
  try {
    net->write_header(options.header, options.number, info.normalisation, options.name, comment);
  } catch (const spikenet::numeric_error& error) {
    throw spikenet::file_error(options.checkpoint.string() + ": " + error.what());
  }
  std::printf("written     %s: namespace %s, %s, %ju bytes\n", options.header.c_str(), options.name.c_str(),
              options.number.c_str(), static_cast<std::uintmax_t>(std::filesystem::file_size(options.header)));
}

}  // namespace mnist
