// Options of layers, as types: conv2d<32, 3, stride<2>, with_bias>. A number option is found by its template.
#pragma once

#include <concepts>
#include <cstddef>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

template <std::size_t N>
struct stride {
  static_assert(N > 0, "spikenet: a stride must be at least 1");
};
template <std::size_t N>
struct padding {};
template <std::size_t N>
struct dilation {
  static_assert(N > 0, "spikenet: a dilation must be at least 1");
};
template <std::size_t N>
struct groups {
  static_assert(N > 0, "spikenet: groups must be at least 1");
};
// What a layer must receive. Deduced, so never needed; stated, it is checked.
template <std::size_t N>
struct in_channels {};
struct with_bias {};
struct without_bias {};

namespace detail {

template <template <std::size_t> class Option, std::size_t Default, class... Given>
inline constexpr std::size_t option_value = Default;
template <template <std::size_t> class Option, std::size_t Default, std::size_t N, class... Rest>
inline constexpr std::size_t option_value<Option, Default, Option<N>, Rest...> = N;
template <template <std::size_t> class Option, std::size_t Default, class First, class... Rest>
inline constexpr std::size_t option_value<Option, Default, First, Rest...> = option_value<Option, Default, Rest...>;

template <class Option, class... Given>
inline constexpr bool has_option = (std::same_as<Option, Given> || ...);

template <template <std::size_t> class Option, class Given>
inline constexpr bool is_option = false;
template <template <std::size_t> class Option, std::size_t N>
inline constexpr bool is_option<Option, Option<N>> = true;

}  // namespace detail
}  // namespace spikenet
