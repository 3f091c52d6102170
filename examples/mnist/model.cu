// Compiled by nvcc once for each size and precision that SPIKENET_MNIST_GPU_SIZES and SPIKENET_MNIST_GPU_PRECISIONS have; see
// CMakeLists.txt.
#include <spikenet/cuda.cuh>
#include <type_traits>

#include "model_of.hpp"
#include "network_of.hpp"

namespace mnist {

namespace {

template <gpu_precision>
struct policy;
template <>
struct policy<gpu_precision::float32> : std::type_identity<spikenet::cuda<float, spikenet::step_graphs>> {};
template <>
struct policy<gpu_precision::tf32>
    : std::type_identity<spikenet::cuda<float, spikenet::allow_tf32, spikenet::step_graphs>> {};
template <>
struct policy<gpu_precision::float16>
    : std::type_identity<spikenet::cuda<float, spikenet::mixed<__half>, spikenet::step_graphs>> {};
template <>
struct policy<gpu_precision::bfloat16>
    : std::type_identity<spikenet::cuda<float, spikenet::mixed<__nv_bfloat16>, spikenet::step_graphs>> {};

}  // namespace

template <std::size_t Width, std::size_t Timesteps, gpu_precision Precision>
std::unique_ptr<model> make_gpu_model_of_size(const model_options& options, spikenet::seed seed) {
  using backend = typename policy<Precision>::type;
  if (options.readout == "mean_current")
    return std::make_unique<model_of<network_of<backend, Width, Timesteps, readout::mean_current>>>(options, seed);
  if (options.readout == "mean_spikes")
    return std::make_unique<model_of<network_of<backend, Width, Timesteps, readout::mean_spikes>>>(options, seed);
  throw spikenet::argument_error("There is no readout \"" + options.readout + "\": it is mean_current or mean_spikes.");
}

template std::unique_ptr<model>
make_gpu_model_of_size<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS, gpu_precision::SPIKENET_MNIST_PRECISION>(
    const model_options&, spikenet::seed);

}  // namespace mnist
