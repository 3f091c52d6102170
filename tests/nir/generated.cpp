// Holds the network that spikenet-nir to-cpp has made of a graph (model.hpp, in namespace `model`) against the spikes
// that the graph had where it comes from: PROGRAM EXPECTED.safetensors, which has frames [T, ...] and spikes.NODE [T,
// ...].
#include <cstddef>
#include <cstdio>
#include <exception>
#include <map>
#include <model.hpp>
#include <spikenet/io/safetensors.hpp>
#include <string>
#include <vector>

namespace {

using net_t = model::network<>;

std::size_t check(const spikenet::safetensors_file& expected) {
  auto net = model::make();
  const std::vector<float> frames = expected.values<float>("frames");
  std::size_t layers = 0, compared = 0, fired = 0, different = 0;
  net.evaluate(frames, [&]<class Module, class In>(const spikenet::observation<Module, In, float>& seen) {
    if constexpr (requires { typename Module::dynamics; }) {
      using output = typename Module::output;
      constexpr std::size_t C = output::channels, pixels = output::size / C;
      // Within a residual block a layer has the block's name before its own.
      std::string node;
      for (const auto& [name, entry] : expected.tensors())
        if (name.starts_with("spikes.") && ("." + seen.name).ends_with("." + name.substr(7)) &&
            name.size() > node.size())
          node = name;
      if (node.empty()) throw spikenet::file_error(expected.name() + ": has no spikes of " + seen.name + ".");
      const std::vector<float> spikes = expected.values<float>(node);
      if (spikes.size() != output::steps * output::size)
        throw spikenet::file_error(expected.name() + ": has " + std::to_string(spikes.size()) + " values of " + node +
                                   ".");
      std::size_t of_layer = 0;
      for (std::size_t t = 0; t < output::steps; ++t)
        for (std::size_t c = 0; c < C; ++c)
          for (std::size_t p = 0; p < pixels; ++p) {
            const float mine = seen.output.data[t * output::size + p * C + c];
            of_layer += mine != spikes[t * output::size + c * pixels + p];
            fired += mine > 0;
          }
      std::printf("%s: %zu of %zu spikes differ\n", seen.name.c_str(), of_layer, spikes.size());
      ++layers, different += of_layer, compared += spikes.size();
    }
  });
  if (layers + 1 != expected.tensors().size())
    throw spikenet::file_error(expected.name() + ": has more layers of neurons.");
  if (fired == 0) throw spikenet::file_error(expected.name() + ": nothing is compared where no neuron fires.");
  return different;
}

}  // namespace

int main(int argc, char** argv) try {
  return argc == 2 && check(spikenet::safetensors_file::read(argv[1])) == 0 ? 0 : 1;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
