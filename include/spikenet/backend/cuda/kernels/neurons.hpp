// The LIF layer, alone and fused with the normalisation before it: each thread walks one neuron's T timesteps in registers.
// Backward recomputes the membrane potentials from the layer's input, so nothing but that input is kept. What is stored as
// Real is computed with in S, membrane potentials too: both passes make the same of the same stored values.
#pragma once

#include <cstddef>

#include "spikenet/backend/cuda/kernels/lanes.hpp"
#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/backend/cuda/kernels/statistics.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/neuron/lif.hpp"
#include "spikenet/neuron/walk.hpp"

namespace spikenet::detail::cuda_kernels {

// x [InSteps, neurons], InSteps being T, or 1 for the same input at every timestep; o [T, neurons]
template <class Dynamics, std::size_t T, std::size_t InSteps, class S, class Real>
struct lif_forward {
  std::size_t neurons;
  neuron_constants<S> k;
  const Real* x;
  Real* o;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    walk_forward<Dynamics, T, S>(
        k, [&](std::size_t t) { return static_cast<S>(x[(InSteps == 1 ? 0 : t) * neurons + i]); },
        [&](std::size_t t, S spike) { o[t * neurons + i] = static_cast<Real>(spike); });
  }
};

// gx [InSteps, neurons] from x and go [T, neurons]; gx may be go where InSteps is T
template <class Dynamics, std::size_t T, std::size_t InSteps, class S, class Real>
struct lif_backward {
  std::size_t neurons;
  neuron_constants<S> k;
  const Real *x, *go;
  Real* gx;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    S total{};
    walk_backward<Dynamics, T, S>(
        k, [&](std::size_t t) { return static_cast<S>(x[(InSteps == 1 ? 0 : t) * neurons + i]); },
        [&](std::size_t t) { return static_cast<S>(go[t * neurons + i]); },
        [&](std::size_t t, S gu) {
          if constexpr (InSteps == T) gx[t * neurons + i] = static_cast<Real>(gu);
          total += gu;
        });
    if constexpr (InSteps != T) gx[i] = static_cast<Real>(total);
  }
};

// What a stage of tdBN, residual sum and LIF is computed from: x [InSteps, rows, Channels]; scale, shift [Channels]; residual
// [T, rows, Channels] or null; size: rows * Channels, the neurons of one timestep. A thread takes a few neighbouring channels.
template <std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real,
          std::size_t Width = lanes<Channels, T>>
struct stage_input {
  static constexpr std::size_t width = Width;
  using values = lane_values<S, width>;

  std::size_t size;
  const Real* x;
  const S *scale, *shift;
  addend<Real> residual;

  // Of the neurons from number i on, which is a multiple of the width.
  struct of_neurons {
    values x[InSteps], sum[T];  // sum: scale x + shift + residual
  };
  SPIKENET_HOST_DEVICE of_neurons at(std::size_t i, const values& a, const values& d) const {
    of_neurons all;
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < InSteps; ++t) all.x[t] = load<S, width>(x + t * size + i);
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      SPIKENET_UNROLL
      for (std::size_t lane = 0; lane < width; ++lane)
        all.sum[t][lane] = a[lane] * all.x[InSteps == 1 ? 0 : t][lane] + d[lane];
      if (residual.spikes) {
        if constexpr (copies_spikes<Channels, T>) add(spikes_from<width>(residual.spikes, t * size + i), all.sum[t]);
      } else if (residual.values) {
        add(load<S, width>(residual.values + t * size + i), all.sum[t]);
      }
    }
    return all;
  }

 private:
  template <class Other>
  SPIKENET_HOST_DEVICE static void add(const Other& other, values& sum) {
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < width; ++lane) sum[lane] += static_cast<S>(other[lane]);
  }
};

// Spikes o [T, rows, Channels] of the sums: tdBN, residual sum and LIF in one pass. copy: null, or where to leave them as bits,
// too, [T, rows, spike_bytes<Channels>]; a thread writes whole bytes then. A function of size / width indices.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_forward {
  static constexpr std::size_t width = copies_spikes<Channels, T> ? 8 : lanes<Channels, T>;
  using input = stage_input<T, InSteps, Channels, S, Real, width>;

  input in;
  neuron_constants<S> k;
  Real* o;
  spike_bits* copy;
  SPIKENET_HOST_DEVICE void operator()(std::size_t group) const {
    const std::size_t i = group * width, channel = i % Channels;
    const auto neurons = in.at(i, load<S, width>(in.scale + channel), load<S, width>(in.shift + channel));
    lane_values<S, width> spikes[T];
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < width; ++lane) {
      walk_forward<Dynamics, T, S>(
          k, [&](std::size_t t) { return neurons.sum[t][lane]; },
          [&](std::size_t t, S spike) { spikes[t][lane] = spike; });
    }
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      store(spikes[t], o + t * in.size + i);
      if constexpr (copies_spikes<Channels, T>) {
        if (copy) copy[(t * in.size + i) / width] = bits_of(spikes[t]);
      }
    }
  }
};

// The gradient at the sums of some neurons, from go [T, rows, Channels], that at their spikes; [InSteps], summed over time
// where the input is the same at every timestep.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct stage_gradient {
  static constexpr std::size_t width = lanes<Channels, T>;
  lane_values<S, width> at_sum[InSteps];

  SPIKENET_HOST_DEVICE stage_gradient(const typename stage_input<T, InSteps, Channels, S, Real>::of_neurons& neurons,
                                      const neuron_constants<S>& k, std::size_t size, std::size_t i, const Real* go) {
    lane_values<S, width> gradient[T];
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < T; ++t) gradient[t] = load<S, width>(go + t * size + i);
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < width; ++lane) {
      S total{};
      walk_backward<Dynamics, T, S>(
          k, [&](std::size_t t) { return neurons.sum[t][lane]; }, [&](std::size_t t) { return gradient[t][lane]; },
          [&](std::size_t t, S of_step) {
            if constexpr (InSteps == T) at_sum[t][lane] = of_step;
            total += of_step;
          });
      if constexpr (InSteps != T) at_sum[0][lane] = total;
    }
  }
};

// Writes gu [InSteps, rows, Channels], the gradient at the sum, unless it is null, and gives its part of the two sums that
// tdBN's backward pass needs of it: see gradient_sums.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_backward {
  using input = stage_input<T, InSteps, Channels, S, Real>;
  static constexpr std::size_t width = input::width;

  input in;
  neuron_constants<S> k;
  const S *mean, *inverse_stddev;
  const Real* go;
  Real* gu;
  SPIKENET_HOST_DEVICE of_lanes<sums<2>, width> operator()(row_range rows, std::size_t channel) const {
    const auto a = load<S, width>(in.scale + channel), d = load<S, width>(in.shift + channel);
    const auto m = load<S, width>(mean + channel);
    gradient_sums<S, width> own;
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const std::size_t i = row * Channels + channel;
      const auto neurons = in.at(i, a, d);
      const stage_gradient<Dynamics, T, InSteps, Channels, S, Real> gradient(neurons, k, in.size, i, go);
      SPIKENET_UNROLL
      for (std::size_t t = 0; t < InSteps; ++t) {
        own.add(gradient.at_sum[t], neurons.x[t], m);
        if (gu) store(gradient.at_sum[t], gu + t * in.size + i);
      }
    }
    return own.of_rows(inverse_stddev + channel);
  }
};

// gx = a gu + b x + d, the gradient by tdBN's input, where gu [InSteps, rows, Channels] is that at the neurons' input, which
// is computed once more: that moves fewer bytes than to write it to memory and read it again. gx may be go. A function of
// size / width indices.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_backward_input {
  using input = stage_input<T, InSteps, Channels, S, Real>;
  static constexpr std::size_t width = input::width;

  input in;
  neuron_constants<S> k;
  const Real* go;
  const S *a, *b, *d;
  Real* gx;
  SPIKENET_HOST_DEVICE void operator()(std::size_t group) const {
    const std::size_t i = group * width, channel = i % Channels;
    const auto neurons = in.at(i, load<S, width>(in.scale + channel), load<S, width>(in.shift + channel));
    const stage_gradient<Dynamics, T, InSteps, Channels, S, Real> gradient(neurons, k, in.size, i, go);
    const auto by_gradient = load<S, width>(a + channel), by_input = load<S, width>(b + channel);
    const auto constant = load<S, width>(d + channel);
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < InSteps; ++t) {
      lane_values<S, width> result;
      SPIKENET_UNROLL
      for (std::size_t lane = 0; lane < width; ++lane) {
        result[lane] =
            by_gradient[lane] * gradient.at_sum[t][lane] + by_input[lane] * neurons.x[t][lane] + constant[lane];
      }
      store(result, gx + t * in.size + i);
    }
  }
};

}  // namespace spikenet::detail::cuda_kernels
