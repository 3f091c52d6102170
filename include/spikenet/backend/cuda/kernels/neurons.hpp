// The LIF layer, alone and fused with the normalisation before it: each thread walks one neuron's T timesteps in registers.
// Backward recomputes the membrane potentials from the layer's input, so nothing but that input is kept. What is stored as
// Real is computed with in S, membrane potentials too: both passes make the same of the same stored values.
#pragma once

#include <cstddef>

#include "spikenet/backend/cuda/kernels/reduction.hpp"
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

// Spikes of scale x + shift + residual: tdBN, residual sum and LIF in one pass. x [InSteps, rows, Channels]; residual [T,
// rows, Channels] or null; o [T, rows, Channels]; size: rows * Channels, the neurons of one timestep
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_forward {
  std::size_t size;
  neuron_constants<S> k;
  const Real* x;
  const S *scale, *shift;
  const Real* residual;
  Real* o;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    const S a = scale[i % Channels], d = shift[i % Channels];
    walk_forward<Dynamics, T, S>(
        k,
        [&](std::size_t t) {
          S input = a * static_cast<S>(x[(InSteps == 1 ? 0 : t) * size + i]) + d;
          if (residual) input += static_cast<S>(residual[t * size + i]);
          return input;
        },
        [&](std::size_t t, S spike) { o[t * size + i] = static_cast<Real>(spike); });
  }
};

// Writes gu [InSteps, rows, Channels], the gradient at the sum, unless it is null, and gives its part of the two sums that
// tdBN's backward pass needs of it: see normalisation_sum.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_backward {
  std::size_t size;
  neuron_constants<S> k;
  const Real* x;
  const S *scale, *shift;
  const Real* residual;
  const S *mean, *inverse_stddev;
  const Real* go;
  Real* gu;
  SPIKENET_HOST_DEVICE sums<2> operator()(row_range rows, std::size_t channel) const {
    const S a = scale[channel], d = shift[channel], m = mean[channel];
    S plain{}, product{};
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const std::size_t i = row * Channels + channel;
      S total{};
      walk_backward<Dynamics, T, S>(
          k,
          [&](std::size_t t) {
            S input = a * static_cast<S>(x[(InSteps == 1 ? 0 : t) * size + i]) + d;
            if (residual) input += static_cast<S>(residual[t * size + i]);
            return input;
          },
          [&](std::size_t t) { return static_cast<S>(go[t * size + i]); },
          [&](std::size_t t, S gradient) {
            total += gradient;
            if constexpr (InSteps == T) {
              if (gu) gu[t * size + i] = static_cast<Real>(gradient);
              product += gradient * (static_cast<S>(x[t * size + i]) - m);
            }
          });
      plain += total;
      if constexpr (InSteps != T) {
        if (gu) gu[i] = static_cast<Real>(total);
        product += total * (static_cast<S>(x[i]) - m);
      }
    }
    return {{static_cast<double>(plain), static_cast<double>(product * inverse_stddev[channel])}};
  }
};

// gx = a gu + b x + d, the gradient by tdBN's input, where gu [InSteps, rows, Channels] is that at the neurons' input, which
// is computed once more: that moves fewer bytes than to write it to memory and read it again. gx may be go.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S, class Real>
struct tdbn_lif_backward_input {
  std::size_t size;
  neuron_constants<S> k;
  const Real* x;
  const S *scale, *shift;
  const Real* go;
  const S *a, *b, *d;
  Real* gx;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    const std::size_t c = i % Channels;
    const S slope = scale[c], offset = shift[c], by_gradient = a[c], by_input = b[c], constant = d[c];
    const auto x_at = [&](std::size_t t) { return static_cast<S>(x[(InSteps == 1 ? 0 : t) * size + i]); };
    S total{};
    walk_backward<Dynamics, T, S>(
        k, [&](std::size_t t) { return slope * x_at(t) + offset; },
        [&](std::size_t t) { return static_cast<S>(go[t * size + i]); },
        [&](std::size_t t, S gradient) {
          total += gradient;
          if constexpr (InSteps == T) {
            gx[t * size + i] = static_cast<Real>(by_gradient * gradient + by_input * x_at(t) + constant);
          }
        });
    if constexpr (InSteps != T) gx[i] = static_cast<Real>(by_gradient * total + by_input * x_at(0) + constant);
  }
};

}  // namespace spikenet::detail::cuda_kernels
