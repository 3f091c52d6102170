// The kinds of numbers that inference computes with: float and double as they are.
#pragma once

#include <concepts>
#include <cstddef>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/neuron/surrogate.hpp"

namespace spikenet::detail {

// What the kernels ask of a kind of numbers:
//   input   of an image                      value  what an image is in memory, a mean, what a last layer gives
//   weight  of a layer                       sum    of weights, and a membrane
//   wide    sum of products of values        logit  of a class
template <class Number>
struct arithmetic;

template <std::floating_point S>
struct arithmetic<S> {
  using input = S;
  using weight = S;
  using sum = S;
  using wide = S;
  using value = S;
  using logit = S;

  // What there is to know of a network beside its weights, and of the neurons of one stage.
  template <class Planned>
  struct constants {
    S threshold{}, decay{};

    constexpr neuron_constants<S> of_stage(std::size_t) const noexcept { return {threshold, decay, S{}, S{}}; }
    static constexpr S take(std::size_t, S value) noexcept { return value; }
  };
  using neurons = neuron_constants<S>;

  // One timestep: the sum moves the membrane u, and a spike resets it. A spike is 1.
  template <class Reset, class V>
  [[gnu::always_inline]] static V fire(const V& sum, V& u, const neurons& k, std::size_t) noexcept {
    u = k.decay * u + sum;
    const V o = heaviside::spike<V>(u, k);
    u = Reset::leak(u, o, k);
    return o;
  }

  // Of a window of a pooling, and of the timesteps of a last layer.
  static S average(S total, std::size_t count) noexcept { return total / static_cast<S>(count); }
  static S mean(S total, std::size_t count) noexcept { return total / static_cast<S>(count); }
};

}  // namespace spikenet::detail
