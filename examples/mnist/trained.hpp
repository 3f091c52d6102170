// What is done with a network after its training: running it as it is deployed, and writing it down for others.
// trained_network.cpp implements it, compiled once for each network, apart from its training.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <spikenet/data/transform.hpp>
#include <string>

#include "checkpoint.hpp"
#include "model.hpp"

namespace spikenet {
class safetensors_file;
namespace nir {
struct graph;
}
}  // namespace spikenet

namespace mnist {

class deployed;  // deployed.hpp

class trained {
 public:
  virtual ~trained() = default;
  virtual void load(const spikenet::safetensors_file& file) = 0;
  // See spikenet/nir/export.hpp.
  virtual spikenet::nir::graph nir_graph(double dt) const = 0;
  // The network's inference. number: "float", "double", or "int8", which is spikenet::quantised.
  virtual std::unique_ptr<deployed> deploy(const std::string& number,
                                           const spikenet::normalise& normalisation) const = 0;
  // Writes the network's inference as C++: see spikenet/export/header.hpp. number: "float"; or "int8", which takes the
  // bytes of images, and for which the normalisation becomes a part of the network. name: of its namespace.
  virtual void write_header(const std::filesystem::path& path, const std::string& number,
                            const spikenet::normalise& normalisation, const std::string& name,
                            const std::string& comment) const = 0;
};

struct saved_network {
  checkpoint_info info;
  std::unique_ptr<trained> net;
};

// The network that `train` has saved in a file. Throws spikenet::file_error naming the file and what is wrong with it.
saved_network load_trained(const std::filesystem::path& path);

// One network; trained_network.cpp has the definitions. options.width, options.steps and options.readout are not looked
// at.
template <std::size_t Width, std::size_t Timesteps, readout Readout>
std::unique_ptr<trained> make_trained(const model_options& options);

}  // namespace mnist
