// A function of an index, on every thread of the device: what element-wise operations run as.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>

#include "spikenet/backend/cuda/runtime.hpp"

namespace spikenet::detail::cuda_kernels {

// unless: null, or what must be 0 for anything to be done.
template <class F>
__global__ void __launch_bounds__(256) for_each_kernel(std::size_t count, const unsigned long long* unless, F f) {
  if (unless && *unless != 0) return;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) f(i);
}

// f(0) ... f(count - 1). The grid is large enough for any device; threads of a larger array take several indices each.
template <class F>
void for_each_on_device(cudaStream_t stream, std::size_t count, F f, const unsigned long long* unless = nullptr) {
  constexpr std::size_t threads = 256, largest_grid = std::size_t{1} << 16;
  if (count == 0) return;
  const std::size_t blocks = std::min((count + threads - 1) / threads, largest_grid);
  launch(stream, "for_each", dim3(static_cast<unsigned>(blocks)), dim3(threads), 0, &for_each_kernel<F>, count, unless,
         f);
}

}  // namespace spikenet::detail::cuda_kernels
