// A convolution's weight between PyTorch's layout and channels last.
//
// Parameters are in PyTorch's layout, [Cout, Cin / groups, K, K], so that state dicts and optimizers need not know what
// runs a network. With activations channels last, cuDNN's engines for tensor cores want the weight so, too: [Cout, K, K,
// Cin / groups]. One in PyTorch's layout it transposes in its workspace, at each call, and for some shapes another engine
// than the best must do (docs/cuda-plans.md). A weight is small beside the activations: for 256 channels of 14 x 14 pixels
// and 128 items the copy moves 9 % of the values that the convolution reads and writes. In mixed precision it is where
// parameters become half, and their gradients float.
#pragma once

#include <cstddef>

#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// True where both layouts are the same.
template <class G>
inline constexpr bool filter_layouts_agree = G::kernel == 1 || G::group_in == 1;

// A block takes as many pairs of a filter and a channel as it has threads, by way of the memory that its threads share: so
// neighbours read and write neighbouring values on both sides.
template <std::size_t Taps>
inline constexpr std::size_t filter_threads = Taps <= 32 ? 256 : Taps <= 128 ? 64 : 32;
template <std::size_t Taps, class To>
inline constexpr std::size_t filter_shared_bytes = filter_threads<Taps> * Taps * sizeof(To);

// to [filters, Taps, Channels] from [filters, Channels, Taps]
template <std::size_t Channels, std::size_t Taps, class From, class To>
__global__ void filter_to_channels_last(std::size_t filters, const From* from, To* to) {
  To* const taps_of_pair = cuda_kernels::shared_memory<To>();  // [threads, Taps]
  const std::size_t first = std::size_t{blockIdx.x} * blockDim.x, pair = first + threadIdx.x;
  for (std::size_t i = threadIdx.x; i < blockDim.x * Taps && first * Taps + i < filters * Channels * Taps; i += blockDim.x)
    taps_of_pair[i] = static_cast<To>(from[first * Taps + i]);
  __syncthreads();
  if (pair >= filters * Channels) return;
  To* const own = to + pair / Channels * Taps * Channels + pair % Channels;
  SPIKENET_UNROLL
  for (std::size_t tap = 0; tap < Taps; ++tap) own[tap * Channels] = taps_of_pair[threadIdx.x * Taps + tap];
}

// And back.
template <std::size_t Channels, std::size_t Taps, class From, class To>
__global__ void filter_to_pytorch(std::size_t filters, const From* from, To* to) {
  To* const taps_of_pair = cuda_kernels::shared_memory<To>();
  const std::size_t first = std::size_t{blockIdx.x} * blockDim.x, pair = first + threadIdx.x;
  if (pair < filters * Channels) {
    const From* const own = from + pair / Channels * Taps * Channels + pair % Channels;
    SPIKENET_UNROLL
    for (std::size_t tap = 0; tap < Taps; ++tap) taps_of_pair[threadIdx.x * Taps + tap] = static_cast<To>(own[tap * Channels]);
  }
  __syncthreads();
  for (std::size_t i = threadIdx.x; i < blockDim.x * Taps && first * Taps + i < filters * Channels * Taps; i += blockDim.x)
    to[first * Taps + i] = taps_of_pair[i];
}

}  // namespace spikenet::detail
