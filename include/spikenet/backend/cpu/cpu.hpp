// The CPU backend: spikenet::cpu<float>, spikenet::cpu<double>.
//
// Tensors are channels last (see core/tensor.hpp), parameters in PyTorch's layouts. Every operation uses all threads of
// the shared pool and gives the same bits at any number of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "spikenet/backend/backend.hpp"
#include "spikenet/backend/cpu/matrix_product.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/backend/options.hpp"

// clang warns where it does not unroll a loop as it is asked to: one of many timesteps, or under a sanitizer.
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif
#include "spikenet/backend/cpu/convolution.hpp"
#include "spikenet/backend/cpu/convolution_backward.hpp"
#include "spikenet/backend/cpu/neurons.hpp"
#include "spikenet/backend/cpu/spike_convolution.hpp"
#include "spikenet/backend/cpu/statistics.hpp"
#include "spikenet/backend/cpu/winograd.hpp"
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

namespace spikenet {

// Option: keep spikes as real numbers between layers, and multiply by them. Slower; what packed spikes are tested
// against.
struct real_spikes;

// Option: no fast algorithm for the gradient of a convolution by its input, which rounds differently, though no worse
// to speak of. Slower; for comparisons.
struct direct_convolution;

template <std::floating_point Scalar, class... Options>
class cpu {
 public:
  using scalar = Scalar;
  template <class T>
  using storage = buffer<T>;
  static constexpr bool fuses_stages = !(std::same_as<Options, one_by_one> || ...);
  static constexpr bool packs_spikes = !(std::same_as<Options, real_spikes> || ...);
  static constexpr bool always_direct = (std::same_as<Options, direct_convolution> || ...);

  static_assert(((std::same_as<Options, one_by_one> || std::same_as<Options, real_spikes> ||
                  std::same_as<Options, direct_convolution>)&&...),
                "spikenet: cpu takes the options one_by_one, real_spikes, direct_convolution");

  // f(i) for i = 0 ... count-1, in any order. For element-wise layers, user-written ones among them.
  template <class F>
  void for_each(std::size_t count, F f) {
    const detail::row_items items(count);
    pool_->run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
      for (std::size_t i = items.first(item), last = items.first(item + 1); i < last; ++i) f(i);
    });
  }

  // x [items, H, W, Cin], weight [Cout, Cin/groups, K, K], bias [Cout] or null, y [items, Ho, Wo, Cout]
  template <class G>
  void conv2d_forward(std::size_t items, const Scalar* x, const Scalar* weight, const Scalar* bias, Scalar* y) {
    detail::convolution<Scalar, G>::forward(*pool_, convolution_, items, x, weight, bias, y);
  }
  template <class G>
  void conv2d_backward_input(std::size_t items, const Scalar* gy, const Scalar* weight, Scalar* gx) {
    if constexpr (detail::winograd_convolution<Scalar, G>::applies && !always_direct) {
      detail::winograd_convolution<Scalar, G>::backward_input(*pool_, winograd_, items, gy, weight, gx);
    } else {
      detail::convolution<Scalar, G>::backward_input(*pool_, convolution_, items, gy, weight, gx);
    }
  }
  template <class G>
  void conv2d_backward_weight(std::size_t items, const Scalar* x, const Scalar* gy, Scalar* gweight) {
    detail::convolution<Scalar, G>::backward_weight(*pool_, convolution_, items, x, gy, gweight);
  }

  // The same for spikes, x [items, H, W, spike_bytes<Cin>]; see core/spikes.hpp.
  template <class G>
  void conv2d_forward(std::size_t items, const spike_bits* x, const Scalar* weight, const Scalar* bias, Scalar* y) {
    detail::spike_convolution<Scalar, G>::forward(*pool_, spike_convolution_, items, bytes_of(x), weight, bias, y);
  }
  // and, where it can tell them, the moments of y as channel_moments has them
  template <class G>
  static constexpr bool fuses_conv2d_moments =
      fuses_stages && packs_spikes && detail::spike_convolution<Scalar, G>::tells_moments;
  template <class G>
  void conv2d_forward(std::size_t items, const spike_bits* x, const Scalar* weight, const Scalar* bias, Scalar* y,
                      double* mean, double* variance) {
    detail::spike_convolution<Scalar, G>::forward(*pool_, spike_convolution_, items, bytes_of(x), weight, bias, y, mean,
                                                  variance);
  }
  template <class G>
  void conv2d_backward_weight(std::size_t items, const spike_bits* x, const Scalar* gy, Scalar* gweight) {
    detail::spike_convolution<Scalar, G>::backward_weight(*pool_, spike_convolution_, items, bytes_of(x), gy, gweight);
  }

  // Both gradients of a convolution of spikes at once, where there is a kernel for that, from the gradient by its output
  // in parts: gy = a g + b z + d per channel, g and z [items, Ho, Wo, Cout]. gx may be null; add: to the gx that is
  // there.
  template <class G>
  static constexpr bool fuses_conv2d_backward =
      fuses_stages && packs_spikes && !always_direct && detail::convolution_backward<Scalar, G>::applies;
  template <class G>
  void conv2d_backward(std::size_t items, const spike_bits* x, const Scalar* weight, const Scalar* g, const Scalar* z,
                       const Scalar* a, const Scalar* b, const Scalar* d, Scalar* gweight, Scalar* gx, bool add) {
    detail::convolution_backward<Scalar, G>::run(*pool_, winograd_, spike_convolution_, reduction_, items, bytes_of(x),
                                                 weight, g, z, a, b, d, gweight, gx, add);
  }

  // Spikes as bits from real numbers, any but 0 being a spike, and the other way round. values [rows, Channels], spikes
  // [rows, spike_bytes<Channels>]
  template <std::size_t Channels>
  void pack(std::size_t rows, const Scalar* values, spike_bits* spikes) {
    detail::pack<blocks<Channels>>(*pool_, Channels, rows, values, spikes);
  }
  template <std::size_t Channels>
  void unpack(std::size_t rows, const spike_bits* spikes, Scalar* values) {
    detail::unpack<blocks<Channels>>(*pool_, Channels, rows, spikes, values);
  }

  // y = x weight^T + bias: x [items, In], weight [Out, In], bias [Out] or null, y [items, Out]
  template <std::size_t In, std::size_t Out>
  void linear_forward(std::size_t items, const Scalar* x, const Scalar* weight, const Scalar* bias, Scalar* y) {
    detail::multiply(*pool_, rows_of(y, items, Out), rows_of(x, items, In), columns_of(weight, In, Out));
    if (bias) {
      for_each(items, [=](std::size_t item) {
        for (std::size_t o = 0; o < Out; ++o) y[item * Out + o] += bias[o];
      });
    }
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(std::size_t items, const Scalar* gy, const Scalar* weight, Scalar* gx) {
    detail::multiply(*pool_, rows_of(gx, items, In), rows_of(gy, items, Out), rows_of(weight, Out, In));
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(std::size_t items, const Scalar* x, const Scalar* gy, Scalar* gweight) {
    detail::multiply(*pool_, rows_of(gweight, Out, In), columns_of(gy, Out, items), rows_of(x, items, In));
  }

  // sums[c] = sum of x [rows, Channels] over the rows
  template <std::size_t Channels>
  void channel_sums(std::size_t rows, const Scalar* x, Scalar* sums) {
    const detail::row_items items(rows);
    Scalar* partial = reduction_.reserve(items.items * Channels);
    pool_->run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
      Scalar* out = partial + item * Channels;
      std::fill_n(out, Channels, Scalar{});
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        for (std::size_t c = 0; c < Channels; ++c) out[c] += x[row * Channels + c];
      }
    });
    std::fill_n(sums, Channels, Scalar{});
    for (std::size_t item = 0; item < items.items; ++item) {
      for (std::size_t c = 0; c < Channels; ++c) sums[c] += partial[item * Channels + c];
    }
  }

  // mean and biased variance of each channel of x [rows, Channels]
  template <std::size_t Channels>
  void channel_moments(std::size_t rows, const Scalar* x, double* mean, double* variance) {
    detail::channel_moments<blocks<Channels>>(*pool_, reduction_, Channels, rows, x, mean, variance);
  }
  // sums [2, Channels]: of g, and of g * (x - mean) * inverse_stddev
  template <std::size_t Channels>
  void normalisation_sums(std::size_t rows, const Scalar* x, const Scalar* g, const Scalar* mean,
                          const Scalar* inverse_stddev, double* sums) {
    detail::normalisation_sums<blocks<Channels>>(*pool_, reduction_, Channels, rows, x, g, mean, inverse_stddev,
                                                 sums);
  }
  // y = a x + b z + d with a, b, d [Channels]; z may be null, y may be x or z
  template <std::size_t Channels>
  void channel_affine(std::size_t rows, const Scalar* x, const Scalar* z, const Scalar* a, const Scalar* b,
                      const Scalar* d, Scalar* y) {
    detail::channel_affine<blocks<Channels>>(*pool_, Channels, rows, x, z, a, b, d, y);
  }

  // x [InSteps, neurons], o [T, neurons]
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_forward(std::size_t neurons, const neuron_constants<Scalar>& k, const Scalar* x, Scalar* o) {
    detail::lif_forward<Dynamics, T, InSteps>(*pool_, neurons, k, x, o);
  }
  // x [InSteps, rows, Channels], o [T, rows, spike_bytes<Channels>]
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels>
  void lif_forward(std::size_t rows, const neuron_constants<Scalar>& k, const Scalar* x, spike_bits* o) {
    detail::lif_forward<Dynamics, T, InSteps, blocks<Channels>>(*pool_, Channels, rows, k, x, o);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_backward(std::size_t neurons, const neuron_constants<Scalar>& k, const Scalar* x, const Scalar* go,
                    Scalar* gx) {
    detail::lif_backward<Dynamics, T, InSteps>(*pool_, neurons, k, x, go, gx);
  }

  // The stage tdBN, (residual sum,) LIF in one pass; see backend/cpu/neurons.hpp. Residual and O: Scalar or spike_bits.
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class Residual, class O>
  void tdbn_lif_forward(std::size_t rows, const neuron_constants<Scalar>& k, const Scalar* x, const Scalar* scale,
                        const Scalar* shift, const Residual* residual, O* o) {
    detail::tdbn_lif_forward<Dynamics, T, InSteps, blocks<Channels>>(*pool_, Channels, rows, k, x, scale, shift,
                                                                     residual, o);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class Residual>
  void tdbn_lif_backward(std::size_t rows, const neuron_constants<Scalar>& k, const Scalar* x, const Scalar* scale,
                         const Scalar* shift, const Residual* residual, const Scalar* mean,
                         const Scalar* inverse_stddev, const Scalar* go, Scalar* gu, double* sums) {
    detail::tdbn_lif_backward<Dynamics, T, InSteps, blocks<Channels>>(
        *pool_, reduction_, Channels, rows, k, x, scale, shift, residual, mean, inverse_stddev, go, gu, sums);
  }

 private:
  template <std::size_t Channels>
  using blocks = detail::blocks_of_channels<Scalar, Channels>;

  // A byte may be read as what it is.
  static const std::uint8_t* bytes_of(const spike_bits* x) { return reinterpret_cast<const std::uint8_t*>(x); }

  template <class T>
  static detail::row_major<T> rows_of(T* p, std::size_t rows, std::size_t columns) {
    return {p, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
  }
  static detail::column_major<const Scalar> columns_of(const Scalar* p, std::size_t rows, std::size_t columns) {
    return {p, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
  }

  std::shared_ptr<detail::thread_pool> pool_ = detail::shared_pool();
  detail::convolution_scratch<Scalar> convolution_;
  detail::spike_convolution_scratch<Scalar> spike_convolution_;
  detail::winograd_scratch<Scalar> winograd_;
  buffer<Scalar> reduction_;
};

}  // namespace spikenet
