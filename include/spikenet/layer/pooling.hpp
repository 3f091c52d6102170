// Layers without parameters that change the shape: average pooling, global average pooling, flattening.
#pragma once

#include <array>
#include <cstddef>

#include "spikenet/core/compiler.hpp"
#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/layer/options.hpp"

namespace spikenet {

struct pooling_needs_a_map_of_channels_height_width;
struct avg_pool2d_window_is_larger_than_its_input;

// The mean of each channel over height and width: [C, H, W] -> [C].
struct global_avg_pool : layer {
  template <class In>
  using problem =
      std::conditional_t<map_shape<typename In::shape>, no_problem, pooling_needs_a_map_of_channels_height_width>;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    static constexpr std::size_t C = In::channels, pixels = In::size / C;
    using output = signal<shape<C>, In::steps>;
    static constexpr std::array<parameter, 0> parameters{};
    std::array<parameter_slot<scalar>, 0> slots{};

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      const real* const in = x.data;
      real* const out = y.data;
      c.backend.for_each(y.size(), [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const real* map = in + i / C * In::size + i % C;
        scalar sum{};
        for (std::size_t p = 0; p < pixels; ++p) sum += static_cast<scalar>(map[p * C]);
        out[i] = static_cast<real>(sum / static_cast<scalar>(pixels));
      });
    }

    void backward(context<Backend>& c, tensor<In, const real>, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      if (!gx) return;
      const real* const g = gy.data;
      real* const out = gx.data;
      // A processor takes the channels of a pixel at once, the threads of a device take one each.
      constexpr std::size_t channels_at_once = host_visible<Backend> ? C : 1;
      c.backend.for_each(gx.size() / channels_at_once, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const std::size_t first = i * channels_at_once;
        const real* const of_item = g + first / In::size * C + first % C;
        for (std::size_t k = 0; k < channels_at_once; ++k) {
          out[first + k] = static_cast<real>(static_cast<scalar>(of_item[k]) / static_cast<scalar>(pixels));
        }
      });
    }
  };
};

// The mean over windows of Kernel x Kernel, [C, H, W] -> [C, (H-Kernel)/stride + 1, (W-Kernel)/stride + 1].
// Options: stride<Kernel>.
template <std::size_t Kernel, class... Options>
struct avg_pool2d : layer {
  static_assert(Kernel > 0, "spikenet: avg_pool2d needs a window of at least 1");
  static_assert((detail::is_option<stride, Options> && ...), "spikenet: avg_pool2d takes the option stride");
  static constexpr std::size_t S = detail::option_value<stride, Kernel, Options...>;

 private:
  template <class Shape>
  struct check {
    using type = pooling_needs_a_map_of_channels_height_width;
  };
  template <std::size_t C, std::size_t H, std::size_t W>
  struct check<shape<C, H, W>> {
    using type =
        std::conditional_t<(H >= Kernel && W >= Kernel), no_problem, avg_pool2d_window_is_larger_than_its_input>;
  };

 public:
  template <class In>
  using problem = typename check<typename In::shape>::type;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    static constexpr std::size_t C = In::shape::extents[0], H = In::shape::extents[1], W = In::shape::extents[2];
    static constexpr std::size_t OH = (H - Kernel) / S + 1, OW = (W - Kernel) / S + 1;
    static constexpr scalar share = scalar{1} / static_cast<scalar>(Kernel * Kernel);
    using output = signal<shape<C, OH, OW>, In::steps>;
    static constexpr std::array<parameter, 0> parameters{};
    std::array<parameter_slot<scalar>, 0> slots{};

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      const real* const in = x.data;
      real* const out = y.data;
      c.backend.for_each(y.size(), [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const std::size_t channel = i % C, column = i / C % OW, row = i / C / OW % OH, item = i / output::size;
        const real* window = in + item * In::size + (row * S * W + column * S) * C + channel;
        scalar sum{};
        for (std::size_t k = 0; k < Kernel; ++k) {
          for (std::size_t l = 0; l < Kernel; ++l) sum += static_cast<scalar>(window[(k * W + l) * C]);
        }
        out[i] = static_cast<real>(sum * share);
      });
    }

    // Each input pixel gathers from the windows that cover it.
    void backward(context<Backend>& c, tensor<In, const real>, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      if (!gx) return;
      const real* const g = gy.data;
      real* const out = gx.data;
      c.backend.for_each(gx.size(), [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const std::size_t channel = i % C, column = i / C % W, row = i / C / W % H, item = i / In::size;
        const std::size_t first_row = row < Kernel ? 0 : (row - Kernel) / S + 1;
        const std::size_t first_column = column < Kernel ? 0 : (column - Kernel) / S + 1;
        scalar sum{};
        for (std::size_t r = first_row; r < OH && r * S <= row; ++r) {
          for (std::size_t l = first_column; l < OW && l * S <= column; ++l) {
            sum += static_cast<scalar>(g[item * output::size + (r * OW + l) * C + channel]);
          }
        }
        out[i] = static_cast<real>(sum * share);
      });
    }
  };
};

// [C, H, W] -> [C*H*W] in PyTorch's order (channels outermost), so that weights of a linear layer after it agree.
struct flatten : layer {
  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    static constexpr std::size_t C = In::channels, pixels = In::size / C;
    using output = signal<shape<In::size>, In::steps, In::holds>;
    static constexpr std::array<parameter, 0> parameters{};
    std::array<parameter_slot<scalar>, 0> slots{};

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      const real* const in = x.data;
      real* const out = y.data;
      c.backend.for_each(y.size(), [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const std::size_t item = i / In::size, channel = i % In::size / pixels, pixel = i % pixels;
        out[i] = in[item * In::size + pixel * C + channel];
      });
    }

    void backward(context<Backend>& c, tensor<In, const real>, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      if (!gx) return;
      const real* const g = gy.data;
      real* const out = gx.data;
      c.backend.for_each(gx.size(), [=] SPIKENET_HOST_DEVICE(std::size_t i) {
        const std::size_t item = i / In::size, channel = i % In::size / pixels, pixel = i % pixels;
        out[item * In::size + pixel * C + channel] = g[i];
      });
    }
  };
};

}  // namespace spikenet
