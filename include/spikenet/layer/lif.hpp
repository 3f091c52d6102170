// A layer of leaky integrate-and-fire neurons, one for each value of its input; the only layer that walks over time.
// The mathematics is in neuron/dynamics.hpp.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>

#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/layer/options.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

// Options: hard_reset (default) or soft_reset; through_reset (default) or detached_reset; heaviside (default) or ramp.
template <class... Options>
struct lif : layer {
  static_assert(
      (detail::has_option<Options, hard_reset, soft_reset, through_reset, detached_reset, heaviside, ramp> && ...),
      "spikenet: lif takes the options hard_reset, soft_reset, through_reset, detached_reset, heaviside, ramp");
  using dynamics =
      lif_dynamics<std::conditional_t<detail::has_option<soft_reset, Options...>, soft_reset, hard_reset>,
                   std::conditional_t<detail::has_option<detached_reset, Options...>, detached_reset, through_reset>,
                   std::conditional_t<detail::has_option<ramp, Options...>, ramp, heaviside>>;
  static constexpr content emits = detail::has_option<ramp, Options...> ? content::real : content::spikes;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    using output = signal<typename In::shape, T, emits>;
    using dynamics = typename lif::dynamics;
    static constexpr bool makes_packed = true;
    using value = held<Backend, output>;
    static constexpr std::array<parameter, 0> parameters{};
    std::array<parameter_slot<scalar>, 0> slots{};

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, value> y) {
      const auto k = c.neurons.template constants<scalar>();
      if constexpr (std::same_as<value, spike_bits>) {
        c.backend.template lif_forward<dynamics, T, In::steps, In::channels>(x.step_size() / In::channels, k, x.data,
                                                                             y.data);
      } else {
        c.backend.template lif_forward<dynamics, T, In::steps>(x.step_size(), k, x.data, y.data);
      }
    }

    void backward(context<Backend>& c, tensor<In, const real> x, tensor<output, const value>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      if (!gx) return;
      c.backend.template lif_backward<dynamics, T, In::steps>(x.step_size(), c.neurons.template constants<scalar>(),
                                                              x.data, gy.data, gx.data);
    }
  };
};

}  // namespace spikenet
