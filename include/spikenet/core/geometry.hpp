// The numbers of a two-dimensional convolution, as a type.
#pragma once

#include <cstddef>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// Square kernel of size K over [InChannels, Height, Width], zero padding P on each side, stride S, dilation D, and G
// groups: output channels g*OutChannels/G ... see input channels g*InChannels/G ... only (PyTorch's conventions).
template <std::size_t InChannels, std::size_t Height, std::size_t Width, std::size_t OutChannels, std::size_t K,
          std::size_t S, std::size_t P, std::size_t D, std::size_t G>
struct conv2d_geometry {
  static constexpr std::size_t in_channels = InChannels, in_height = Height, in_width = Width;
  static constexpr std::size_t out_channels = OutChannels;
  static constexpr std::size_t kernel = K, stride = S, padding = P, dilation = D, groups = G;
  static constexpr std::size_t extent = D * (K - 1) + 1;  // what one window covers
  static constexpr std::size_t out_height = (Height + 2 * P - extent) / S + 1;
  static constexpr std::size_t out_width = (Width + 2 * P - extent) / S + 1;
  static constexpr std::size_t in_size = InChannels * Height * Width;
  static constexpr std::size_t out_size = OutChannels * out_height * out_width;
  static constexpr std::size_t group_in = InChannels / G, group_out = OutChannels / G;

  // Where a weight lies in PyTorch's layout: [out channel, in channel of the group, row, column of the window].
  static constexpr std::size_t weight_at(std::size_t out, std::size_t in, std::size_t tap) noexcept {
    return (out * group_in + in) * K * K + tap;
  }

  // How many windows cover an input row (or column), where `out` windows lie side by side.
  static constexpr std::size_t windows_over(std::size_t row, std::size_t out) noexcept {
    std::size_t windows = 0;
    for (std::size_t k = 0; k < K; ++k) {
      windows += row + P >= k * D && (row + P - k * D) % S == 0 && (row + P - k * D) / S < out;
    }
    return windows;
  }
};

}  // namespace spikenet
