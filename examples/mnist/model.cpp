// Compiled once for each size: SPIKENET_MNIST_WIDTH and SPIKENET_MNIST_TIMESTEPS come from CMakeLists.txt.
#include <spikenet/dsrn.hpp>

#include "model_of.hpp"

template <std::size_t Width, std::size_t Timesteps>
std::unique_ptr<mnist::model> mnist::make_model_of_size(const model_options& options, spikenet::seed seed) {
  return make_model_on<spikenet::cpu<float>, Width, Timesteps>(options, seed);
}

template std::unique_ptr<mnist::model> mnist::make_model_of_size<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS>(
    const model_options&, spikenet::seed);
