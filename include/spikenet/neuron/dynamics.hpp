// The leaky integrate-and-fire neuron, iterative form (Wu et al., STBP, Frontiers in Neuroscience 2018, eqs. 15-18):
//
//     u[t] = decay * leak(u[t-1], o[t-1]) + x[t]        u[-1] = 0, o[-1] = 0
//     o[t] = spike(u[t])
//
// with leak(u, o) = u (1 - o) for a hard reset to 0 and u - Vth o for a soft reset. Backward through time, with
// g = dL/d., h the surrogate derivative and gu[T] = 0:
//
//     go'[t] = go[t] + decay * (d leak / d o) * gu[t+1]          the term through the reset; left out where detached
//     gu[t]  = go'[t] * h(u[t] - Vth) + decay * (d leak / d u) * gu[t+1]
//     gx[t]  = gu[t]
#pragma once

#include "spikenet/core/compiler.hpp"
#include "spikenet/neuron/surrogate.hpp"

namespace spikenet {

// Policies: what a spike does to the membrane, and whether the gradient flows through it.
struct hard_reset {
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak(V u, V o, const neuron_constants<S>&) noexcept {
    return u * (S{1} - o);
  }
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak_by_membrane(V, V o, const neuron_constants<S>&) noexcept {
    return S{1} - o;
  }
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak_by_spike(V u, V, const neuron_constants<S>&) noexcept {
    return -u;
  }
};

struct soft_reset {
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak(V u, V o, const neuron_constants<S>& c) noexcept {
    return u - c.threshold * o;
  }
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak_by_membrane(V, V, const neuron_constants<S>&) noexcept {
    return V{} + S{1};
  }
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V leak_by_spike(V, V, const neuron_constants<S>& c) noexcept {
    return V{} - c.threshold;
  }
};

struct through_reset {
  static constexpr bool detached = false;
};
struct detached_reset {
  static constexpr bool detached = true;
};

// One neuron, one timestep; V as in surrogate.hpp.
template <class Reset, class ResetGradient, class Spike>
struct lif_dynamics {
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V membrane(V u_before, V o_before, V x, const neuron_constants<S>& c) noexcept {
    return c.decay * Reset::leak(u_before, o_before, c) + x;
  }

  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V spike(V u, const neuron_constants<S>& c) noexcept {
    return Spike::spike(u, c);
  }

  // gu[t], from u[t], o[t], go[t] and gu[t+1].
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V backward(V u, V o, V go, V gu_next, const neuron_constants<S>& c) noexcept {
    const V carried = c.decay * gu_next;
    if constexpr (!ResetGradient::detached) go += Reset::leak_by_spike(u, o, c) * carried;
    return go * surrogate_derivative(u, c) + Reset::leak_by_membrane(u, o, c) * carried;
  }
};

}  // namespace spikenet
