// Compiled once for each network: SPIKENET_MNIST_WIDTH, _TIMESTEPS and _READOUT come from CMakeLists.txt.
#include <cstdint>
#include <spikenet/dsrn.hpp>
#include <spikenet/export/header.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/inference.hpp>
#include <spikenet/inference/quantise.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/nir/export.hpp>

#include "deployed.hpp"
#include "network_of.hpp"
#include "trained.hpp"

namespace mnist {

namespace {

template <class Network>
class trained_network final : public trained {
  using in_float = spikenet::inference<typename Network::architecture, float>;
  using of_bytes = spikenet::inference<typename Network::architecture, spikenet::quantised<std::uint8_t>>;

 public:
  explicit trained_network(const model_options& options)
      : net_{spikenet::seed{},
             {.threshold = options.v_th, .decay = options.tau, .surrogate = {.half_width = options.a}}} {}

  void load(const spikenet::safetensors_file& file) override { spikenet::load_state_dict(net_, file); }
  spikenet::nir::graph nir_graph(double dt) const override { return spikenet::nir::to_graph(net_, dt); }
  std::unique_ptr<deployed> deploy(const std::string& number, const spikenet::normalise& normalisation) const override {
    if (number == "int8")
      return std::make_unique<deployed_as<Network, spikenet::quantised<std::uint8_t>>>(net_, normalisation);
    if (number == "float") return std::make_unique<deployed_as<Network, float>>(net_, normalisation);
    if (number == "double") return std::make_unique<deployed_as<Network, double>>(net_, normalisation);
    throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float, double or int8.");
  }
  void write_header(const std::filesystem::path& path, const std::string& number,
                    const spikenet::normalise& normalisation, const std::string& name,
                    const std::string& comment) const override {
    spikenet::header_options options{.name = name, .comment = comment};
    if (number == "int8") {
      spikenet::write_header<of_bytes>(*spikenet::quantise<of_bytes>(net_, normalisation), path, options);
    } else if (number == "float") {
      for (unsigned byte = 0; byte < 256; ++byte)
        options.values_of_bytes.push_back(normalisation(static_cast<std::uint8_t>(byte), 0));
      spikenet::write_header<in_float>(*spikenet::fold<in_float>(net_), path, options);
    } else {
      throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float or int8.");
    }
  }

 private:
  Network net_;
};

}  // namespace

template <std::size_t Width, std::size_t Timesteps, readout Readout>
std::unique_ptr<trained> make_trained(const model_options& options) {
  return std::make_unique<trained_network<network_of<spikenet::cpu<float>, Width, Timesteps, Readout>>>(options);
}

template std::unique_ptr<trained>
make_trained<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS, readout::SPIKENET_MNIST_READOUT>(const model_options&);

}  // namespace mnist
