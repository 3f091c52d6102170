// Fully connected layer: y = weight x + bias.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/initialize.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/layer/options.hpp"

namespace spikenet {

struct linear_needs_a_vector_so_put_flatten_or_global_avg_pool_before_it;
template <std::size_t Stated, std::size_t Received>
struct linear_was_promised_other_input_features;

// Features: outputs. Options: without_bias, in_channels<N> (input features; checked).
template <std::size_t Features, class... Options>
struct linear : layer {
  static_assert(Features > 0, "spikenet: linear needs at least 1 output");
  static_assert(((detail::is_option<in_channels, Options> ||
                  detail::has_option<Options, with_bias, without_bias>)&&...),
                "spikenet: linear takes the options in_channels, with_bias, without_bias");
  static constexpr bool has_bias = !detail::has_option<without_bias, Options...>;

 private:
  template <class Shape>
  struct check {
    using type = linear_needs_a_vector_so_put_flatten_or_global_avg_pool_before_it;
  };
  template <std::size_t F>
  struct check<shape<F>> {
    static constexpr std::size_t stated = detail::option_value<in_channels, F, Options...>;
    using type = std::conditional_t<stated == F, no_problem, linear_was_promised_other_input_features<stated, F>>;
  };

 public:
  template <class In>
  using problem = typename check<typename In::shape>::type;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    using output = signal<shape<Features>, In::steps>;

    static constexpr std::array<parameter, has_bias ? 2 : 1> parameters = [] {
      std::array<parameter, has_bias ? 2 : 1> list{parameter{"weight", {Features, In::size}, 2}};
      if constexpr (has_bias) list[1] = parameter{"bias", {Features}, 1};
      return list;
    }();
    std::array<parameter_slot<scalar>, parameters.size()> slots{};

    // How many outputs an input goes into.
    static constexpr std::size_t fan_out(std::size_t) noexcept { return Features; }

    static void initialize(std::size_t i, std::span<scalar> values, initialization how, random_stream& random) {
      if (i == 0) {
        detail::initialize_weights(values, how, In::size, Features, random);
      } else {
        detail::initialize_biases(values, how, In::size, random);
      }
    }

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      const scalar* bias = nullptr;
      if constexpr (has_bias) bias = slots[1].value;
      c.backend.template linear_forward<In::size, Features>(x.items(), x.data, slots[0].value, bias, y.data);
    }

    void backward(context<Backend>& c, tensor<In, const real> x, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      c.backend.template linear_backward_weight<In::size, Features>(x.items(), x.data, gy.data, slots[0].gradient);
      if constexpr (has_bias) c.backend.template channel_sums<Features>(gy.items(), gy.data, slots[1].gradient);
      if (gx) c.backend.template linear_backward_input<In::size, Features>(x.items(), gy.data, slots[0].value, gx.data);
    }
  };
};

}  // namespace spikenet
