// Compiled once for each network: SPIKENET_MNIST_WIDTH, _TIMESTEPS and _READOUT come from CMakeLists.txt.
#include <spikenet/dsrn.hpp>

#include "model_of.hpp"
#include "network_of.hpp"

namespace mnist {

template <std::size_t Width, std::size_t Timesteps, readout Readout>
std::unique_ptr<model> make_model_of(const model_options& options, spikenet::seed seed) {
  return std::make_unique<model_of<network_of<spikenet::cpu<float>, Width, Timesteps, Readout>>>(options, seed);
}

template std::unique_ptr<model>
make_model_of<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS, readout::SPIKENET_MNIST_READOUT>(const model_options&,
                                                                                               spikenet::seed);

}  // namespace mnist
