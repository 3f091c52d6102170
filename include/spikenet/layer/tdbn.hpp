// Threshold-dependent batch normalisation (Zheng et al., "Going Deeper With Directly-Trained Larger Spiking Neural
// Networks", arXiv 2011.05280, eqs. 6-8). Statistics per channel, jointly over timesteps, batch, height and width:
//
//     xhat = alpha * Vth * (x - mean) / sqrt(var + eps)
//     y    = weight * xhat + bias
//
// alpha = 1 in series, 1/sqrt(n) where n branches are summed. Biased variance while training, running statistics
// (momentum 0.1, unbiased variance) in evaluation: with k = alpha * Vth, batch normalisation with scale k * weight.
//
// Backward, with z = (x - mean) / sqrt(var + eps), M the number of values of a channel and sums over all of them:
//
//     gbias = sum gy        gweight = k * sum gy z
//     gx    = k * weight / sqrt(var + eps) * (gy - (sum gy) / M - z * (sum gy z) / M)
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

#include "spikenet/backend/memory.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/core/error.hpp"
#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/layer.hpp"

namespace spikenet {

namespace detail {

// The numbers per channel of a tdBN, in the backend's memory, and what is computed of them. It knows neither the shape nor
// the timesteps, so that a network compiles it once.
template <class Backend>
class tdbn_channels {
 public:
  using scalar = typename Backend::scalar;
  using slots_type = std::array<parameter_slot<scalar>, 4>;  // weight, bias, running mean, running variance

  // Takes the memory.
  void reserve(std::size_t channels) {
    channels_ = channels;
    moments_.reserve(2 * channels);
    sums_.reserve(2 * channels);
    factors_.reserve(7 * channels);
  }

  // [channels] each. Of the batch:
  double* batch_mean() noexcept { return moments_.data(); }
  double* batch_variance() noexcept { return moments_.data() + channels_; }
  double* sums() noexcept { return sums_.data(); }  // [2, channels]; see normalisation_sums
  // y = scale x + shift
  scalar* scale() noexcept { return factor(0); }
  scalar* shift() noexcept { return factor(1); }
  scalar* mean() noexcept { return factor(2); }
  scalar* inverse_stddev() noexcept { return factor(3); }
  // gx = by_gradient gy + by_input x + constant
  scalar* by_gradient() noexcept { return factor(4); }
  scalar* by_input() noexcept { return factor(5); }
  scalar* constant() noexcept { return factor(6); }

  // Throws numeric_error where the statistics that the last pass used, the batch's or the running ones, are not finite.
  void check(Backend& backend, const slots_type& slots, bool training) {
    const auto find = [training](std::size_t channels, const auto* m, const auto* v) {
      for (std::size_t i = 0; i < channels; ++i) {
        if (std::isfinite(m[i]) && std::isfinite(v[i])) continue;
        throw numeric_error("the " + std::string(training ? "batch" : "running") + " statistics of channel " +
                            std::to_string(i) + " are not finite");
      }
    };
    const auto find_on_host = [&](const auto* m, const auto* v) {
      on_host(backend, m, channels_, [&](auto means) {
        on_host(backend, v, channels_, [&](auto variances) { find(channels_, means.data(), variances.data()); });
      });
    };
    if (training) {
      find_on_host(static_cast<const double*>(batch_mean()), static_cast<const double*>(batch_variance()));
    } else {
      find_on_host(static_cast<const scalar*>(slots[2].value), static_cast<const scalar*>(slots[3].value));
    }
    // Those of a step whose statistics others have replaced since.
    if constexpr (requires { backend.was_not_finite(batch_mean()); }) {
      if (backend.was_not_finite(batch_mean())) throw numeric_error("the batch statistics are not finite");
    }
  }

  // scale and shift, from the batch's statistics or the running ones. k = alpha * Vth
  void prepare(Backend& backend, const slots_type& slots, double k, double epsilon, bool training) {
    if constexpr (host_visible<Backend>) {
      check(backend, slots, training);
    } else if (training) {
      if constexpr (!watches_moments<Backend>) backend.watch(2 * channels_, batch_mean());
    } else {
      backend.watch(channels_, slots[2].value);
      backend.watch(channels_, slots[3].value);
    }
    const double *const batch_m = batch_mean(), *const batch_v = batch_variance();
    const scalar *const weight = slots[0].value, *const bias = slots[1].value;
    const scalar *const running_m = slots[2].value, *const running_v = slots[3].value;
    scalar *const to_scale = scale(), *const to_shift = shift(), *const to_mean = mean(),
                  *const to_inverse = inverse_stddev();
    backend.for_each(channels_, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      const double m = training ? batch_m[i] : static_cast<double>(running_m[i]);
      const double variance = training ? batch_v[i] : static_cast<double>(running_v[i]);
      const double inverse = 1.0 / std::sqrt(variance + epsilon);
      const double s = k * static_cast<double>(weight[i]) * inverse;
      to_mean[i] = static_cast<scalar>(m);
      to_inverse[i] = static_cast<scalar>(inverse);
      to_scale[i] = static_cast<scalar>(s);
      to_shift[i] = static_cast<scalar>(static_cast<double>(bias[i]) - s * m);
    });
  }

  // The gradients of weight and bias, and by_gradient, by_input and constant, from the sums. rows: values of a channel
  void differentiate(Backend& backend, const slots_type& slots, double k, double rows) {
    const double* const s = sums();
    const scalar *const scales = scale(), *const means = mean(), *const inverses = inverse_stddev();
    scalar *const weight_gradient = slots[0].gradient, *const bias_gradient = slots[1].gradient;
    scalar *const a = by_gradient(), *const b = by_input(), *const d = constant();
    const std::size_t channels = channels_;
    backend.for_each(channels, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      bias_gradient[i] = static_cast<scalar>(s[i]);
      weight_gradient[i] = static_cast<scalar>(k * s[channels + i]);
      const double slope_of_y = static_cast<double>(scales[i]);
      const double slope = -slope_of_y * static_cast<double>(inverses[i]) * s[channels + i] / rows;
      a[i] = scales[i];
      b[i] = static_cast<scalar>(slope);
      d[i] = static_cast<scalar>(-slope_of_y * s[i] / rows - slope * static_cast<double>(means[i]));
    });
  }

  // The batch's statistics enter the running ones with this share. count: values of a channel
  void blend(Backend& backend, const slots_type& slots, double share, double count) {
    const double unbiased = count > 1 ? count / (count - 1) : 1;
    const double *const m = batch_mean(), *const v = batch_variance();
    scalar *const running_m = slots[2].value, *const running_v = slots[3].value;
    backend.for_each(channels_, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      running_m[i] = static_cast<scalar>((1 - share) * static_cast<double>(running_m[i]) + share * m[i]);
      running_v[i] = static_cast<scalar>((1 - share) * static_cast<double>(running_v[i]) + share * (v[i] * unbiased));
    });
  }

 private:
  scalar* factor(std::size_t i) noexcept { return factors_.data() + i * channels_; }

  std::size_t channels_ = 0;
  typename Backend::template storage<double> moments_, sums_;
  typename Backend::template storage<scalar> factors_;
};

}  // namespace detail

// Branches: how many branches are summed after this layer; alpha = 1/sqrt(Branches).
template <std::size_t Branches>
struct tdbn : layer {
  static_assert(Branches > 0, "spikenet: tdbn<Branches> stands in at least 1 branch");
  static constexpr double epsilon = 1e-5, momentum = 0.1;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
    using real = real_of<Backend>;
    using output = signal<typename In::shape, In::steps>;
    static constexpr std::size_t channels = In::channels;

    static constexpr std::array<parameter, 4> parameters{
        parameter{"weight", {channels}, 1, true, Branches}, parameter{"bias", {channels}, 1},
        parameter{"running_mean", {channels}, 1, false}, parameter{"running_var", {channels}, 1, false}};
    std::array<parameter_slot<scalar>, 4> slots{};

    // The running variance of an untrained layer is 1, its weight too.
    static void initialize(std::size_t i, std::span<scalar> values, initialization, random_stream&) {
      std::fill(values.begin(), values.end(), i == 0 || i == 3 ? scalar{1} : scalar{0});
    }

    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      prepare(c, x);
      c.backend.template channel_affine<channels>(x.rows(), x.data, nullptr, of_channels.scale(), nullptr,
                                                  of_channels.shift(), y.data);
    }

    void backward(context<Backend>& c, tensor<In, const real> x, tensor<output, const real>,
                  tensor<output, const real> gy, tensor<In, real> gx) {
      c.backend.template normalisation_sums<channels>(x.rows(), x.data, gy.data, of_channels.mean(),
                                                      of_channels.inverse_stddev(), of_channels.sums());
      finish_backward(c, x, gy.data, gx);
    }

    batch_moments input_moments() {
      of_channels.reserve(channels);
      return {of_channels.batch_mean(), of_channels.batch_variance()};
    }

    // The parts that the fused stage shares. prepare: scale and shift of the affine map that this layer amounts to.
    // known: whoever wrote x has left its moments.
    void prepare(context<Backend>& c, tensor<In, const real> x, bool known = false) {
      of_channels.reserve(channels);
      if (c.training && !known) {
        c.backend.template channel_moments<channels>(x.rows(), x.data, of_channels.batch_mean(),
                                                     of_channels.batch_variance());
      }
      of_channels.prepare(c.backend, slots, factor(c), epsilon, c.training);
    }

    // gx in parts, where of_channels.sums() are those of gy and of gy * z; and whole, where gx may be where gy is.
    affine_gradient<In, real, scalar> affine(context<Backend>& c, tensor<In, const real> x, const real* gy) {
      of_channels.differentiate(c.backend, slots, factor(c), static_cast<double>(x.rows()));
      return {{gy, x.batch}, x, of_channels.by_gradient(), of_channels.by_input(), of_channels.constant()};
    }
    void finish_backward(context<Backend>& c, tensor<In, const real> x, const real* gy, tensor<In, real> gx) {
      const affine_gradient<In, real, scalar> parts = affine(c, x, gy);
      if (gx) c.backend.template channel_affine<channels>(x.rows(), gy, x.data, parts.a, parts.b, parts.d, gx.data);
    }

    // After a training step's backward pass: the batch's statistics enter the running ones.
    void update_statistics(context<Backend>& c, std::size_t batch) {
      of_channels.blend(c.backend, slots, momentum, values_of_a_channel(batch));
    }

    // The running statistics become the mean over n batches, of which this is the last.
    void average_statistics(context<Backend>& c, std::size_t batch, std::size_t n) {
      of_channels.blend(c.backend, slots, 1.0 / static_cast<double>(n), values_of_a_channel(batch));
    }

    // Throws numeric_error where the last pass met statistics that are not finite; prepare does, where it sees them.
    void check_statistics(context<Backend>& c) { of_channels.check(c.backend, slots, c.training); }

    detail::tdbn_channels<Backend> of_channels;

   private:
    // alpha * Vth
    static double factor(const context<Backend>& c) {
      return c.neurons.threshold / std::sqrt(static_cast<double>(Branches));
    }
    // Where the input was computed once for all timesteps, its values still count T times, as if it had been computed T
    // times.
    static double values_of_a_channel(std::size_t batch) {
      return static_cast<double>(T * batch * (In::size / channels));
    }
  };
};

}  // namespace spikenet
