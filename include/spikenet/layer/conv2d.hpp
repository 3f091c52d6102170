// Two-dimensional convolution (cross-correlation, as everywhere in deep learning), zero padding:
//
//     y[co, i, j] = bias[co] + sum over ci, k, l of weight[co, ci, k, l] * x[ci, i*stride + k*dilation - padding, ...]
//
// Without a bias by default: in these networks a tdBN follows, which has one.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>

#include "spikenet/core/geometry.hpp"
#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/initialize.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/layer/options.hpp"

namespace spikenet {

struct conv2d_needs_a_map_of_channels_height_width;
struct conv2d_kernel_is_larger_than_its_padded_input;
struct conv2d_groups_must_divide_its_input_and_output_channels;
template <std::size_t Stated, std::size_t Received>
struct conv2d_was_promised_other_input_channels;

// Channels: output channels; Kernel: height and width of the window.
// Options: stride<1>, dilation<1>, groups<1>, with_bias, in_channels<N> (checked), padding. By default an odd kernel keeps
// height and width: padding<dilation * (Kernel / 2)>. An even kernel cannot, so its padding must be said.
template <std::size_t Channels, std::size_t Kernel, class... Options>
struct conv2d : layer {
  static_assert(Channels > 0, "spikenet: conv2d needs at least 1 output channel");
  static_assert(Kernel > 0, "spikenet: conv2d needs a kernel of at least 1");
  static_assert(((detail::is_option<stride, Options> || detail::is_option<padding, Options> ||
                  detail::is_option<dilation, Options> || detail::is_option<groups, Options> ||
                  detail::is_option<in_channels, Options> ||
                  detail::has_option<Options, with_bias, without_bias>)&&...),
                "spikenet: conv2d takes the options stride, padding, dilation, groups, in_channels, with_bias");

  using options = detail::conv2d_options<Kernel, Options...>;
  static constexpr std::size_t stride_value = options::stride_value, dilation_value = options::dilation_value;
  static constexpr std::size_t padding_value = options::padding_value, groups_value = options::groups_value;
  static constexpr bool has_bias = options::has_bias;

 private:
  template <class Shape>
  struct check {
    using type = conv2d_needs_a_map_of_channels_height_width;
  };
  template <std::size_t C, std::size_t H, std::size_t W>
  struct check<shape<C, H, W>> {
    static constexpr std::size_t extent = dilation_value * (Kernel - 1) + 1;
    static constexpr std::size_t stated = detail::option_value<in_channels, C, Options...>;
    using type = std::conditional_t<
        stated != C, conv2d_was_promised_other_input_channels<stated, C>,
        std::conditional_t<(extent > H + 2 * padding_value || extent > W + 2 * padding_value),
                           conv2d_kernel_is_larger_than_its_padded_input,
                           std::conditional_t<(C % groups_value != 0 || Channels % groups_value != 0),
                                              conv2d_groups_must_divide_its_input_and_output_channels, no_problem>>>;
  };

 public:
  template <class In>
  using problem = typename check<typename In::shape>::type;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    using geometry = conv2d_geometry<In::shape::extents[0], In::shape::extents[1], In::shape::extents[2], Channels,
                                     Kernel, stride_value, padding_value, dilation_value, groups_value>;
    using output = signal<shape<Channels, geometry::out_height, geometry::out_width>, In::steps>;

    static constexpr bool takes_packed = true;
    using value = held<Backend, In>;
    static constexpr bool takes_affine_gradient = [] {
      if constexpr (!has_bias && std::same_as<value, spike_bits> &&
                    requires { Backend::template fuses_conv2d_backward<geometry>; }) {
        return Backend::template fuses_conv2d_backward<geometry>;
      } else {
        return false;
      }
    }();

    static constexpr bool adds_input_gradient = spikenet::adds_input_gradient<Backend>;

    static constexpr bool makes_moments = [] {
      if constexpr (std::same_as<value, spike_bits> && requires { Backend::template fuses_conv2d_moments<geometry>; }) {
        return Backend::template fuses_conv2d_moments<geometry>;
      } else {
        return false;
      }
    }();

    static constexpr std::array<parameter, has_bias ? 2 : 1> parameters = [] {
      std::array<parameter, has_bias ? 2 : 1> list{
          parameter{"weight", {Channels, geometry::group_in, Kernel, Kernel}, 4}};
      if constexpr (has_bias) list[1] = parameter{"bias", {Channels}, 1};
      return list;
    }();
    std::array<parameter_slot<scalar>, parameters.size()> slots{};

    // How many outputs value i of an input item (channels last) goes into: fewer at the borders and between strides.
    static constexpr std::size_t fan_out(std::size_t i) noexcept {
      const std::size_t pixel = i / In::channels, row = pixel / geometry::in_width, column = pixel % geometry::in_width;
      return geometry::windows_over(row, geometry::out_height) * geometry::windows_over(column, geometry::out_width) *
             geometry::group_out;
    }

    static void initialize(std::size_t i, std::span<scalar> values, initialization how, random_stream& random) {
      const std::size_t window = Kernel * Kernel;
      if (i == 0) {
        detail::initialize_weights(values, how, geometry::group_in * window, geometry::group_out * window, random);
      } else {
        detail::initialize_biases(values, how, geometry::group_in * window, random);
      }
    }

    void forward(context<Backend>& c, tensor<In, const value> x, tensor<output, real> y) {
      c.backend.template conv2d_forward<geometry>(x.items(), x.data, slots[0].value, bias(), y.data);
    }
    void forward(context<Backend>& c, tensor<In, const value> x, tensor<output, real> y,
                 const batch_moments& m) requires makes_moments {
      c.backend.template conv2d_forward<geometry>(x.items(), x.data, slots[0].value, bias(), y.data, m.mean,
                                                  m.variance);
    }
    const scalar* bias() const noexcept {
      if constexpr (has_bias) return slots[1].value;
      return nullptr;
    }

    void backward(context<Backend>& c, tensor<In, const value> x, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx, [[maybe_unused]] bool add = false) {
      c.backend.template conv2d_backward_weight<geometry>(x.items(), x.data, gy.data, slots[0].gradient);
      if constexpr (has_bias) {
        c.backend.template channel_sums<Channels>(gy.rows(), gy.data, slots[1].gradient);
      }
      if (!gx) return;
      if constexpr (adds_input_gradient) {
        c.backend.template conv2d_backward_input<geometry>(x.items(), gy.data, slots[0].value, gx.data, add);
      } else {
        c.backend.template conv2d_backward_input<geometry>(x.items(), gy.data, slots[0].value, gx.data);
      }
    }
    void backward(context<Backend>& c, tensor<In, const value> x, const affine_gradient<output, real, scalar>& gy,
                  tensor<In, real> gx, bool add) requires takes_affine_gradient {
      c.backend.template conv2d_backward<geometry>(x.items(), x.data, slots[0].value, gy.g.data, gy.x.data, gy.a, gy.b,
                                                   gy.d, slots[0].gradient, gx.data, add);
    }
  };
};

}  // namespace spikenet
