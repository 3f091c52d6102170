// The shape of one item of a batch, as a type: shape<C, H, W> for a map of C channels, shape<F> for F features.
#pragma once

#include <array>
#include <cstddef>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

template <std::size_t... Dims>
struct shape {
  static_assert(sizeof...(Dims) > 0 && ((Dims > 0) && ...), "spikenet: every extent of a shape must be at least 1");
  static constexpr std::size_t rank = sizeof...(Dims);
  static constexpr std::size_t size = (Dims * ...);
  static constexpr std::array<std::size_t, rank> extents{Dims...};
  // Values that share one set of statistics or one filter: the channels of a map, the features of a vector.
  static constexpr std::size_t channels = extents[0];
};

template <class Shape>
concept map_shape = Shape::rank == 3;
template <class Shape>
concept vector_shape = Shape::rank == 1;

}  // namespace spikenet
