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

// Scale and shift of a channel, from the batch's statistics or the running ones. k = alpha * Vth
template <class Scalar>
struct tdbn_preparation {
  double k, epsilon;
  bool training;
  const double *batch_mean, *batch_variance;
  const Scalar *weight, *bias, *running_mean, *running_variance;
  Scalar *scale, *shift, *mean, *inverse_stddev;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    const double m = training ? batch_mean[i] : static_cast<double>(running_mean[i]);
    const double variance = training ? batch_variance[i] : static_cast<double>(running_variance[i]);
    const double inverse = 1.0 / std::sqrt(variance + epsilon);
    const double s = k * static_cast<double>(weight[i]) * inverse;
    mean[i] = static_cast<Scalar>(m);
    inverse_stddev[i] = static_cast<Scalar>(inverse);
    scale[i] = static_cast<Scalar>(s);
    shift[i] = static_cast<Scalar>(static_cast<double>(bias[i]) - s * m);
  }
};

// The gradients of a channel's weight and bias, and by_gradient, by_input and constant, from the sums. rows: its values
template <class Scalar>
struct tdbn_differentiation {
  double k, rows;
  std::size_t channels;
  const double* sums;
  const Scalar *scale, *mean, *inverse_stddev;
  Scalar *weight_gradient, *bias_gradient, *by_gradient, *by_input, *constant;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    bias_gradient[i] = static_cast<Scalar>(sums[i]);
    weight_gradient[i] = static_cast<Scalar>(k * sums[channels + i]);
    const double slope_of_y = static_cast<double>(scale[i]);
    const double slope = -slope_of_y * static_cast<double>(inverse_stddev[i]) * sums[channels + i] / rows;
    by_gradient[i] = scale[i];
    by_input[i] = static_cast<Scalar>(slope);
    constant[i] = static_cast<Scalar>(-slope_of_y * sums[i] / rows - slope * static_cast<double>(mean[i]));
  }
};

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

  tdbn_preparation<scalar> preparation(const slots_type& slots, double k, double epsilon, bool training) {
    return {.k = k,
            .epsilon = epsilon,
            .training = training,
            .batch_mean = batch_mean(),
            .batch_variance = batch_variance(),
            .weight = slots[0].value,
            .bias = slots[1].value,
            .running_mean = slots[2].value,
            .running_variance = slots[3].value,
            .scale = scale(),
            .shift = shift(),
            .mean = mean(),
            .inverse_stddev = inverse_stddev()};
  }
  tdbn_differentiation<scalar> differentiation(const slots_type& slots, double k, double rows) {
    return {.k = k,
            .rows = rows,
            .channels = channels_,
            .sums = sums(),
            .scale = scale(),
            .mean = mean(),
            .inverse_stddev = inverse_stddev(),
            .weight_gradient = slots[0].gradient,
            .bias_gradient = slots[1].gradient,
            .by_gradient = by_gradient(),
            .by_input = by_input(),
            .constant = constant()};
  }

  // Before statistics that nobody has looked at are used; where the host does not see them, a device is asked to.
  void check_or_watch(Backend& backend, const slots_type& slots, bool training) {
    if constexpr (host_visible<Backend>) {
      check(backend, slots, training);
    } else if (training) {
      if constexpr (!watches_moments<Backend>) backend.watch(2 * channels_, batch_mean());
    } else {
      backend.watch(channels_, slots[2].value);
      backend.watch(channels_, slots[3].value);
    }
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
      const auto differentiate = differentiation(c, x);
      const scalar *const mean = of_channels.mean(), *const inverse_stddev = of_channels.inverse_stddev();
      double* const sums = of_channels.sums();
      if constexpr (continues_reductions<Backend>) {
        c.backend.template normalisation_sums<channels>(x.rows(), x.data, gy.data, mean, inverse_stddev, sums,
                                                        differentiate);
      } else {
        c.backend.template normalisation_sums<channels>(x.rows(), x.data, gy.data, mean, inverse_stddev, sums);
        c.backend.for_each(channels, differentiate);
      }
      finish_backward(c, x, gy.data, gx);
    }

    batch_moments input_moments() {
      of_channels.reserve(channels);
      return {of_channels.batch_mean(), of_channels.batch_variance()};
    }

    // The parts that the fused stage shares. prepare: scale and shift of the affine map that this layer amounts to.
    // known: whoever wrote x has left its moments.
    // Throws argument_error if a training pass has a single value per channel: its variance is 0 and its gradient, too.
    void prepare(context<Backend>& c, tensor<In, const real> x, bool known = false) {
      if (c.training && x.rows() < 2) {
        throw argument_error(
            "batch normalisation cannot be trained on a batch of 1 image, which has only 1 value per channel here; at "
            "least 2 are needed");
      }
      of_channels.reserve(channels);
      const auto prepare_channel = of_channels.preparation(slots, factor(c), epsilon, c.training);
      double *const mean = of_channels.batch_mean(), *const variance = of_channels.batch_variance();
      const bool measure = c.training && !known;
      if constexpr (continues_reductions<Backend>) {
        if (measure) return c.backend.template channel_moments<channels>(x.rows(), x.data, mean, variance, prepare_channel);
      } else {
        if (measure) c.backend.template channel_moments<channels>(x.rows(), x.data, mean, variance);
      }
      of_channels.check_or_watch(c.backend, slots, c.training);
      c.backend.for_each(channels, prepare_channel);
    }

    // What is to be done for each channel once of_channels.sums() are those of gy and of gy * z.
    auto differentiation(const context<Backend>& c, tensor<In, const real> x) {
      return of_channels.differentiation(slots, factor(c), static_cast<double>(x.rows()));
    }
    // gx in parts, when that has been done; and whole, where gx may be where gy is.
    affine_gradient<In, real, scalar> affine(tensor<In, const real> x, const real* gy) {
      return {{gy, x.batch}, x, of_channels.by_gradient(), of_channels.by_input(), of_channels.constant()};
    }
    void finish_backward(context<Backend>& c, tensor<In, const real> x, const real* gy, tensor<In, real> gx) {
      const affine_gradient<In, real, scalar> parts = affine(x, gy);
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
