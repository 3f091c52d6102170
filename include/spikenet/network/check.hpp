// The one compile-time error that a wrong network gives. docs/compile-errors.md shows how to read it.
#pragma once

#include <cstddef>
#include <type_traits>

#include "spikenet/layer/layer.hpp"
#include "spikenet/network/name.hpp"

namespace spikenet {

// What the compiler prints: the layer's index (from 0) in its network or sequence, the layer, the shape it was given by
// the layer before it, and what is wrong with that. The assertions stand in the body of these types, so that g++ starts
// its message with the whole name ("In instantiation of ...") and clang repeats it right under the message.
template <std::size_t LayerIndex, class Layer, class ReceivedShape, class Problem>
struct layer_cannot_take_what_it_is_given {
  static_assert(std::is_same_v<Problem, no_problem>,
                "spikenet: a layer cannot take the shape that the layer before it produces (see "
                "layer_cannot_take_what_it_is_given<index, layer, received shape, problem>)");
  static constexpr bool value = std::is_same_v<Problem, no_problem>;
};

template <std::size_t LayerIndex, class Type, class ReceivedShape>
struct type_is_not_a_layer {
  static_assert(is_layer<Type>,
                "spikenet: this type is not a layer (see type_is_not_a_layer<index, type, shape it would receive>); "
                "layers derive from spikenet::layer");
  static constexpr bool value = is_layer<Type>;
};

namespace detail {

template <std::size_t Index, class L, class In>
consteval bool check_layer() {
  using Layer = layer_of<L>;
  using Shape = typename In::shape;
  if constexpr (is_layer<Layer>) {
    return layer_cannot_take_what_it_is_given<Index, Layer, Shape, typename Layer::template problem<In>>::value;
  } else {
    return type_is_not_a_layer<Index, Layer, Shape>::value;
  }
}

}  // namespace detail
}  // namespace spikenet
