// One neuron over all its timesteps, in registers. Backward recomputes the membrane potentials from the layer's input, so
// that nothing but that input need be kept.
#pragma once

#include <cstddef>

#include "spikenet/core/compiler.hpp"
#include "spikenet/neuron/dynamics.hpp"

namespace spikenet::detail {

// Spikes of one neuron (or a vector of them) over T timesteps, from its input x_at(t).
template <class Dynamics, std::size_t T, class V, class S, class Input, class Output>
[[gnu::always_inline]] SPIKENET_HOST_DEVICE inline void walk_forward(const neuron_constants<S>& k, Input x_at,
                                                                     Output o_at) {
  V u{}, o{};
  SPIKENET_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    u = Dynamics::template membrane<V>(u, o, x_at(t), k);
    o = Dynamics::template spike<V>(u, k);
    o_at(t, o);
  }
}

// gu[t] of one neuron, last timestep first, from its input and the gradient go_at(t) of its spikes.
template <class Dynamics, std::size_t T, class V, class S, class Input, class Gradient, class Output>
[[gnu::always_inline]] SPIKENET_HOST_DEVICE inline void walk_backward(const neuron_constants<S>& k, Input x_at,
                                                                      Gradient go_at, Output gu_at) {
  V u[T], o[T];
  SPIKENET_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    u[t] = Dynamics::template membrane<V>(t > 0 ? u[t - 1] : V{}, t > 0 ? o[t - 1] : V{}, x_at(t), k);
    o[t] = Dynamics::template spike<V>(u[t], k);
  }
  V gu{};
  SPIKENET_UNROLL
  for (std::size_t later = 0; later < T; ++later) {
    const std::size_t t = T - 1 - later;
    gu = Dynamics::template backward<V>(u[t], o[t], go_at(t), gu, k);
    gu_at(t, gu);
  }
}

}  // namespace spikenet::detail
