// Compiled once for each size: SPIKENET_MNIST_WIDTH and SPIKENET_MNIST_TIMESTEPS come from CMakeLists.txt.
#include <spikenet/dsrn.hpp>
#include <spikenet/export/header.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/inference.hpp>
#include <spikenet/inference/quantise.hpp>
#include <spikenet/nir/export.hpp>

#include "deployed.hpp"
#include "model_of.hpp"

namespace mnist {

namespace {

template <class Network>
class model_on_cpu final : public model_of<Network> {
 public:
  using model_of<Network>::model_of;

  spikenet::nir::graph nir_graph(double dt) const override { return spikenet::nir::to_graph(this->net_, dt); }
  std::unique_ptr<deployed> deploy(const std::string& number, const spikenet::normalise& normalisation) const override {
    if (number == "int8")
      return std::make_unique<deployed_as<Network, spikenet::quantised<std::uint8_t>>>(this->net_, normalisation);
    if (number == "float") return std::make_unique<deployed_as<Network, float>>(this->net_, normalisation);
    if (number == "double") return std::make_unique<deployed_as<Network, double>>(this->net_, normalisation);
    throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float, double or int8.");
  }
  void write_header(const std::filesystem::path& path, const std::string& number,
                    const spikenet::normalise& normalisation, spikenet::header_options options) const override {
    using in_float = spikenet::inference<typename Network::architecture, float>;
    using of_bytes = spikenet::inference<typename Network::architecture, spikenet::quantised<std::uint8_t>>;
    if (number == "int8") {
      spikenet::write_header<of_bytes>(*spikenet::quantise<of_bytes>(this->net_, normalisation), path, options);
    } else if (number == "float") {
      for (unsigned byte = 0; byte < 256; ++byte)
        options.values_of_bytes.push_back(normalisation(static_cast<std::uint8_t>(byte), 0));
      spikenet::write_header<in_float>(*spikenet::fold<in_float>(this->net_), path, options);
    } else {
      throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float or int8.");
    }
  }
};

}  // namespace

template <std::size_t Width, std::size_t Timesteps>
std::unique_ptr<model> make_model_of_size(const model_options& options, spikenet::seed seed) {
  return make_model_on<model_on_cpu, spikenet::cpu<float>, Width, Timesteps>(options, seed);
}

template std::unique_ptr<model> make_model_of_size<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS>(const model_options&,
                                                                                                   spikenet::seed);

}  // namespace mnist
