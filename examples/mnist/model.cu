// Compiled by nvcc once for each size that SPIKENET_MNIST_GPU_SIZES has; see CMakeLists.txt.
#include <spikenet/cuda.cuh>

#include "model_of.hpp"

namespace mnist {

template <std::size_t Width, std::size_t Timesteps>
std::unique_ptr<model> make_gpu_model_of_size(const model_options& options, spikenet::seed seed) {
  return make_model_on<model_of, spikenet::cuda<float>, Width, Timesteps>(options, seed);
}

template std::unique_ptr<model> make_gpu_model_of_size<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS>(
    const model_options&, spikenet::seed);

}  // namespace mnist
