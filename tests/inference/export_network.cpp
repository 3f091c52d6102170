// Writes a network as a header in each kind of numbers, and what it computes, for exported.cpp.
//
//     export_network DIRECTORY
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "spikenet/export/header.hpp"
#include "spikenet/inference/fold.hpp"
#include "spikenet/inference/inference.hpp"
#include "spikenet/inference/quantise.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/set_tensors.hpp"

using namespace spikenet;

namespace {

// Each layer and each option that inference knows.
using net_t =
    network<cpu<float>, timesteps<3>, image<1, 12, 10>, named<"a \"name\"\\\n8", conv2d<6, 3, padding<2>>>, tdbn<>, lif<>,
            basic_block<12, stride<2>, normalised_shortcut, detached_reset>, basic_block<12, raw_shortcut, hard_reset>,
            conv2d<8, 3, groups<2>, with_bias, dilation<1>, in_channels<12>>, tdbn<1>, lif<through_reset>,
            residual<sequence<conv2d<8, 3>, tdbn<2>>, identity, lif<soft_reset, heaviside>>, avg_pool2d<2, stride<1>>,
            conv2d<8, 2, padding<1>>, lif<soft_reset>, flatten, linear<18>, tdbn<>, lif<>, linear<7, without_bias>>;

template <class T>
void write(std::ofstream& file, const T* values, std::size_t count) {
  file.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(count * sizeof(T)));
}

template <class Model>
void export_as(const std::string& name, const typename Model::parameters& parameters,
               const std::vector<typename Model::value>& images, const std::string& directory) {
  // Lines that end in a backslash, which must not take the next line into the comment.
  write_header<Model>(parameters, directory + "/" + name + ".hpp",
                      {.name = name, .comment = "A test\\\nof two lines,\rwhich ends in C:\\"});
  std::ofstream file{directory + "/" + name, std::ios::binary};
  write(file, parameters.weights.data(), parameters.weights.size());
  write(file, parameters.units.data(), parameters.units.size());
  write(file, parameters.biases.data(), parameters.biases.size());
  const auto model = std::make_unique<Model>(parameters);
  std::vector<typename Model::logit> logits(images.size() / Model::image_size * Model::classes);
  model->logits(images.data(), images.size() / Model::image_size, logits.data());
  write(file, images.data(), images.size());
  write(file, logits.data(), logits.size());
  if (!file.flush()) throw file_error(directory + "/" + name + ": cannot be written.");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  net_t net{seed{5}, {.threshold = 0.4, .decay = 0.3}};
  test::set_tensors(net, 5);
  std::vector<float> images(20 * net_t::channels * net_t::height * net_t::width);
  random_stream random{seed{6}};
  for (float& v : images) v = static_cast<float>(random.normal());

  std::vector<std::uint8_t> bytes(images.size());
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));

  using in_float = inference<net_t::architecture, float>;
  using in_double = inference<net_t::architecture, double>;
  using in_int8 = inference<net_t::architecture, quantised<float>>;
  using of_bytes = inference<net_t::architecture, quantised<std::uint8_t>>;
  export_as<in_float>("in_float", *fold<in_float>(net), images, directory);
  export_as<in_double>("in_double", *fold<in_double>(net), {images.begin(), images.end()}, directory);
  export_as<in_int8>("in_int8", *quantise<in_int8>(net, images), images, directory);
  export_as<of_bytes>("of_bytes", *quantise<of_bytes>(net, normalise{.mean = {0.4}, .stddev = {0.3}}), bytes, directory);

  // What cannot be written says why, and leaves nothing behind.
  const auto refused = [&](const std::string& path, const header_options& options, const std::string& message) {
    try {
      write_header<in_float>(*fold<in_float>(net), path, options);
    } catch (const error& e) {
      if (std::string(e.what()).starts_with(message)) return true;
      std::printf("\"%s\" does not begin with \"%s\"\n", e.what(), message.c_str());
      return false;
    }
    std::printf("%s was written, with the name \"%s\"\n", path.c_str(), options.name.c_str());
    return false;
  };
  bool good = refused(directory + "/nowhere/x.hpp", {}, directory + "/nowhere/x.hpp: ");
  for (const char* name : {"", "8a", "a b", "a::b", "a-b", "class", "int", "not", "a__b", "_a", "std", "spikenet"})
    good = refused(directory + "/x.hpp", {.name = name}, std::string("write_header: \"") + name + "\"") && good;
  good = refused(directory + "/x.hpp", {.values_of_bytes = {1, 2}}, "write_header: a byte has 256 values, not 2") && good;
  return good && !std::ifstream{directory + "/x.hpp"} ? 0 : 1;
}
