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

#include "spikenet/core/error.hpp"
#include "spikenet/layer/declarations.hpp"
#include "spikenet/layer/layer.hpp"

namespace spikenet {

// Branches: how many branches are summed after this layer; alpha = 1/sqrt(Branches).
template <std::size_t Branches>
struct tdbn : layer {
  static_assert(Branches > 0, "spikenet: tdbn<Branches> stands in at least 1 branch");
  static constexpr double epsilon = 1e-5, momentum = 0.1;

  template <class Backend, std::size_t T, class In>
  struct module {
    using scalar = typename Backend::scalar;
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

    void forward(context<Backend>& c, tensor<In, const scalar> x, tensor<output, scalar> y) {
      prepare(c, x);
      c.backend.template channel_affine<channels>(x.rows(), x.data, nullptr, scale.data(), nullptr, shift.data(),
                                                  y.data);
    }

    void backward(context<Backend>& c, tensor<In, const scalar> x, tensor<output, const scalar>,
                  tensor<output, const scalar> gy, tensor<In, scalar> gx) {
      std::array<double, 2 * channels> sums;
      c.backend.template normalisation_sums<channels>(x.rows(), x.data, gy.data, mean.data(), inverse_stddev.data(),
                                                      sums.data());
      finish_backward(c, x, gy.data, gx, sums);
    }

    batch_moments input_moments() noexcept { return {batch_mean.data(), batch_variance.data()}; }

    // The parts that the fused stage shares. prepare: scale and shift of the affine map that this layer amounts to.
    // known: whoever wrote x has left its moments.
    void prepare(context<Backend>& c, tensor<In, const scalar> x, bool known = false) {
      const double k = c.neurons.threshold / std::sqrt(static_cast<double>(Branches));
      if (c.training && !known)
        c.backend.template channel_moments<channels>(x.rows(), x.data, batch_mean.data(), batch_variance.data());
      for (std::size_t i = 0; i < channels; ++i) {
        const double m = c.training ? batch_mean[i] : static_cast<double>(slots[2].value[i]);
        const double variance = c.training ? batch_variance[i] : static_cast<double>(slots[3].value[i]);
        if (!std::isfinite(m) || !std::isfinite(variance)) {
          throw numeric_error("the " + std::string(c.training ? "batch" : "running") + " statistics of channel " +
                              std::to_string(i) + " are not finite");
        }
        const double inverse = 1.0 / std::sqrt(variance + epsilon);
        const double s = k * static_cast<double>(slots[0].value[i]) * inverse;
        mean[i] = static_cast<scalar>(m);
        inverse_stddev[i] = static_cast<scalar>(inverse);
        scale[i] = static_cast<scalar>(s);
        shift[i] = static_cast<scalar>(static_cast<double>(slots[1].value[i]) - s * m);
      }
    }

    // gx in parts, from the sums [2, channels] of gy and of gy * z; and whole, where gx may be where gy is.
    affine_gradient<In, scalar> affine(context<Backend>& c, tensor<In, const scalar> x, const scalar* gy,
                                       const std::array<double, 2 * channels>& sums) {
      const double k = c.neurons.threshold / std::sqrt(static_cast<double>(Branches));
      const double count = static_cast<double>(x.rows());
      for (std::size_t i = 0; i < channels; ++i) {
        slots[1].gradient[i] = static_cast<scalar>(sums[i]);
        slots[0].gradient[i] = static_cast<scalar>(k * sums[channels + i]);
        const double s = static_cast<double>(scale[i]), inverse = static_cast<double>(inverse_stddev[i]);
        const double slope = -s * inverse * sums[channels + i] / count;
        by_gradient[i] = scale[i];
        by_input[i] = static_cast<scalar>(slope);
        constant[i] = static_cast<scalar>(-s * sums[i] / count - slope * static_cast<double>(mean[i]));
      }
      return {{gy, x.batch}, x, by_gradient.data(), by_input.data(), constant.data()};
    }
    void finish_backward(context<Backend>& c, tensor<In, const scalar> x, const scalar* gy, tensor<In, scalar> gx,
                         const std::array<double, 2 * channels>& sums) {
      const affine_gradient<In, scalar> parts = affine(c, x, gy, sums);
      if (gx) c.backend.template channel_affine<channels>(x.rows(), gy, x.data, parts.a, parts.b, parts.d, gx.data);
    }

    // After a training step's backward pass: the batch's statistics enter the running ones.
    void update_statistics(std::size_t batch) { blend_statistics(batch, momentum); }

    // The running statistics become the mean over n batches, of which this is the last.
    void average_statistics(std::size_t batch, std::size_t n) { blend_statistics(batch, 1.0 / static_cast<double>(n)); }

    // Where the input was computed once for all timesteps, its values still count T times, as if it had been computed T
    // times.
    void blend_statistics(std::size_t batch, double share) {
      const double count = static_cast<double>(T * batch * (In::size / channels));
      const double unbiased = count > 1 ? count / (count - 1) : 1;
      const auto blend = [share](scalar& running, double now) {
        running = static_cast<scalar>((1 - share) * static_cast<double>(running) + share * now);
      };
      for (std::size_t i = 0; i < channels; ++i) {
        blend(slots[2].value[i], batch_mean[i]);
        blend(slots[3].value[i], batch_variance[i] * unbiased);
      }
    }

    std::array<double, channels> batch_mean{}, batch_variance{};
    std::array<scalar, channels> mean{}, inverse_stddev{}, scale{}, shift{};
    std::array<scalar, channels> by_gradient{}, by_input{}, constant{};  // of the gradient by the input
  };
};

}  // namespace spikenet
