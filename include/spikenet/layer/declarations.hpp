// The names of the layers, without what they do: whoever only reads a list of layers, such as inference on a small
// target, needs no more.
#pragma once

#include <cstddef>

#include "spikenet/layer/options.hpp"

namespace spikenet {

template <std::size_t Channels, std::size_t Kernel, class... Options>
struct conv2d;
template <std::size_t Features, class... Options>
struct linear;
template <std::size_t Branches = 1>
struct tdbn;
template <class... Options>
struct lif;
struct global_avg_pool;
template <std::size_t Kernel, class... Options>
struct avg_pool2d;
struct flatten;

namespace detail {

// What conv2d's options say, with its defaults. The default padding keeps height and width, which for an even kernel no
// padding does.
template <std::size_t Kernel, class... Options>
struct conv2d_options {
  static_assert(Kernel % 2 == 1 || (is_option<padding, Options> || ...),
                "spikenet: conv2d with an even kernel needs its padding: say padding<0>, or padding<1>, and so on (only "
                "an odd kernel has a default, which keeps height and width)");
  static constexpr std::size_t stride_value = option_value<stride, 1, Options...>;
  static constexpr std::size_t dilation_value = option_value<dilation, 1, Options...>;
  static constexpr std::size_t padding_value = option_value<padding, dilation_value*(Kernel / 2), Options...>;
  static constexpr std::size_t groups_value = option_value<groups, 1, Options...>;
  static constexpr bool has_bias = has_option<with_bias, Options...>;
};

}  // namespace detail
}  // namespace spikenet
