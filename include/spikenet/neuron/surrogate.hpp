// Spike functions and their surrogate derivative.
//
// A spike o = [u > Vth] has derivative 0 almost everywhere, so training replaces it (STBP, Wu et al. 2018, eq. 24) by a
// rectangle around the threshold:
//
//     d o / d u := height   if |u - Vth| < half_width   (strictly)
//                  0        else
//
// The papers and frameworks disagree on what "a" means, so width and height are stated apart. The default height
// 1 / (2 half_width) gives the rectangle area 1.
#pragma once

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// half_width and height are in the units of the membrane potential and its inverse; both must be positive and finite.
struct rectangular {
  double half_width = 0.5;
  double height = 1.0 / (2.0 * half_width);
};

// What a neuron computes with, in the precision of the network.
template <class Scalar>
struct neuron_constants {
  Scalar threshold, decay, half_width, height;
};

// The functions below take V = a floating-point number or a vector of them; a comparison of vectors gives a mask.

// o = 1 where u > Vth (strictly), else 0: what a spiking neuron emits.
struct heaviside {
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V spike(V u, const neuron_constants<S>& c) noexcept {
    return u > V{} + c.threshold ? V{} + S{1} : V{};
  }
};

// o = clamp((u - Vth + a) / (2 a), 0, 1). Its true derivative is the rectangle of height 1 / (2 a), so that finite
// differences can check a whole network's backward pass: across a step function they mean nothing. Not for training.
struct ramp {
  template <class V, class S>
  SPIKENET_HOST_DEVICE static constexpr V spike(V u, const neuron_constants<S>& c) noexcept {
    const V o = (u - c.threshold + c.half_width) / (S{2} * c.half_width);
    return o < V{} ? V{} : o > V{} + S{1} ? V{} + S{1} : o;
  }
};

// d o / d u.
template <class V, class S>
SPIKENET_HOST_DEVICE constexpr V surrogate_derivative(V u, const neuron_constants<S>& c) noexcept {
  const V v = u - c.threshold;
  const auto inside = (v < V{} + c.half_width) & (v > V{} - c.half_width);
  return inside ? V{} + c.height : V{};
}

}  // namespace spikenet
