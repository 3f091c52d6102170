// Numbers of one type from those of another.
#pragma once

#include <cstddef>

#include "spikenet/backend/cuda/kernels/for_each.hpp"
#include "spikenet/core/compiler.hpp"

namespace spikenet::detail::cuda_kernels {

template <class From, class To>
struct converted {
  const From* from;
  To* to;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const { to[i] = static_cast<To>(from[i]); }
};

template <class From, class To>
void convert(cudaStream_t stream, std::size_t count, const From* from, To* to) {
  for_each_on_device(stream, count, converted<From, To>{from, to});
}

}  // namespace spikenet::detail::cuda_kernels
