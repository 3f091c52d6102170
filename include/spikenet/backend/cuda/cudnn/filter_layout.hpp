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

#include "spikenet/backend/cuda/runtime.hpp"

namespace spikenet::detail {

// True where both layouts are the same.
template <class G>
inline constexpr bool filter_layouts_agree = G::kernel == 1 || G::group_in == 1;

// to [Cout, taps, channels] from [Cout, channels, taps], or with the two numbers exchanged the other way round.
template <class From, class To>
__global__ void transpose_filter(std::size_t count, std::size_t channels, std::size_t taps, const From* from, To* to) {
  const std::size_t threads = std::size_t{blockDim.x} * gridDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += threads) {
    const std::size_t channel = i % channels, tap = i / channels % taps, out = i / (channels * taps);
    to[i] = static_cast<To>(from[(out * channels + channel) * taps + tap]);
  }
}

}  // namespace spikenet::detail
