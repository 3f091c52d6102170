// The LIF layer, alone and fused with the normalisation before it: each neuron's T timesteps are walked in registers.
// Backward recomputes the membrane potentials from the layer's input, so nothing but that input is kept.
#pragma once

#include <cstddef>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/statistics.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet::detail {

// Spikes of one neuron (or a vector of them) over T timesteps, from its input x_at(t).
template <class Dynamics, std::size_t T, class V, class S, class Input, class Output>
[[gnu::always_inline]] inline void walk_forward(const neuron_constants<S>& k, Input x_at, Output o_at) {
  V u{}, o{};
  SPIKENET_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    u = Dynamics::template membrane<V>(u, o, x_at(t), k);
    o = Dynamics::template spike<V>(u, k);
    o_at(t, o);
  }
}

// gu[t] of one neuron, last timestep first, from its input and the gradient go_at(t) of its spikes.
template <class Dynamics, std::size_t T, class V, class S, class Input, class Gradient, class Output>
[[gnu::always_inline]] inline void walk_backward(const neuron_constants<S>& k, Input x_at, Gradient go_at,
                                                 Output gu_at) {
  V u[T], o[T];
  SPIKENET_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    u[t] = Dynamics::template membrane<V>(t > 0 ? u[t - 1] : V{}, t > 0 ? o[t - 1] : V{}, x_at(t), k);
    o[t] = Dynamics::template spike<V>(u[t], k);
  }
  V gu{};
  SPIKENET_UNROLL
  for (std::size_t later = 0; later < T; ++later) {
    const std::size_t t = T - 1 - later;
    gu = Dynamics::template backward<V>(u[t], o[t], go_at(t), gu, k);
    gu_at(t, gu);
  }
}

// Calls f.template operator()<V>(i) over 0 ... count-1 in vectors, then in single numbers.
template <class T, class F>
void for_neurons(thread_pool& pool, std::size_t count, F&& f) {
  const row_items items(count);
  pool.run(items.items, [&](std::size_t item, std::size_t) {
    std::size_t i = items.first(item);
    const std::size_t last = items.first(item + 1);
    for (; i + lanes<T> <= last; i += lanes<T>) f.template operator()<simd<T>>(i);
    for (; i < last; ++i) f.template operator()<T>(i);
  });
}

// neurons: how many values one timestep has. x [InSteps, neurons] with InSteps = 1 (the same input at every timestep)
// or T; o [T, neurons].
template <class Dynamics, std::size_t T, std::size_t InSteps, class S>
void lif_forward(thread_pool& pool, std::size_t neurons, const neuron_constants<S>& k, const S* x, S* o) {
  for_neurons<S>(pool, neurons, [&]<class V>(std::size_t i) {
    walk_forward<Dynamics, T, V>(
        k, [&](std::size_t t) { return load<V>(x + (InSteps == 1 ? 0 : t) * neurons + i); },
        [&](std::size_t t, const V& spike) { store(o + t * neurons + i, spike); });
  });
}

// gx [InSteps, neurons] from x and go [T, neurons]; gx may be go where InSteps is T.
template <class Dynamics, std::size_t T, std::size_t InSteps, class S>
void lif_backward(thread_pool& pool, std::size_t neurons, const neuron_constants<S>& k, const S* x, const S* go,
                  S* gx) {
  for_neurons<S>(pool, neurons, [&]<class V>(std::size_t i) {
    V total{};
    walk_backward<Dynamics, T, V>(
        k, [&](std::size_t t) { return load<V>(x + (InSteps == 1 ? 0 : t) * neurons + i); },
        [&](std::size_t t) { return load<V>(go + t * neurons + i); },
        [&](std::size_t t, const V& gu) {
          if constexpr (InSteps == T) store(gx + t * neurons + i, gu);
          total += gu;
        });
    if constexpr (InSteps != T) store(gx + i, total);
  });
}

// Spikes of scale * x + shift (per channel) + residual (may be null): tdBN, residual sum and LIF in one pass.
// rows: of one timestep. x [InSteps, rows, Channels]; residual and o [T, rows, Channels].
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S>
void tdbn_lif_forward(thread_pool& pool, std::size_t rows, const neuron_constants<S>& k, const S* x, const S* scale,
                      const S* shift, const S* residual, S* o) {
  const row_items items(rows);
  pool.run(items.items, [&](std::size_t item, std::size_t) {
    for_channel_blocks<S, Channels>([&]<class V, std::size_t B>(std::size_t c) {
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        SPIKENET_UNROLL
        for (std::size_t b = 0; b < B; ++b) {
          const std::size_t channel = c + b * (sizeof(V) / sizeof(S)), at = row * Channels + channel;
          const V a = load<V>(scale + channel), d = load<V>(shift + channel);
          walk_forward<Dynamics, T, V>(
              k,
              [&](std::size_t t) {
                V input = a * load<V>(x + (InSteps == 1 ? 0 : t) * rows * Channels + at) + d;
                if (residual) input += load<V>(residual + t * rows * Channels + at);
                return input;
              },
              [&](std::size_t t, const V& spike) { store(o + t * rows * Channels + at, spike); });
        }
      }
    });
  });
}

// The gradient at the sum: gu [InSteps, rows, Channels], and the two sums per channel that tdBN's backward pass needs
// (see normalisation_sums), in one pass.
template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class S>
void tdbn_lif_backward(thread_pool& pool, buffer<S>& scratch, std::size_t rows, const neuron_constants<S>& k,
                       const S* x, const S* scale, const S* shift, const S* residual, const S* mean,
                       const S* inverse_stddev, const S* go, S* gu, double* sums) {
  const row_items items(rows);
  S* partial = scratch.reserve(items.items * 2 * Channels);
  pool.run(items.items, [&](std::size_t item, std::size_t) {
    S* const out = partial + item * 2 * Channels;
    for_channel_blocks<S, Channels>([&]<class V, std::size_t B>(std::size_t c) {
      constexpr std::size_t L = sizeof(V) / sizeof(S);
      V plain[B]{}, product[B]{};
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        SPIKENET_UNROLL
        for (std::size_t b = 0; b < B; ++b) {
          const std::size_t channel = c + b * L, at = row * Channels + channel;
          const V a = load<V>(scale + channel), d = load<V>(shift + channel);
          const V m = load<V>(mean + channel), s = load<V>(inverse_stddev + channel);
          V total{};
          walk_backward<Dynamics, T, V>(
              k,
              [&](std::size_t t) {
                V input = a * load<V>(x + (InSteps == 1 ? 0 : t) * rows * Channels + at) + d;
                if (residual) input += load<V>(residual + t * rows * Channels + at);
                return input;
              },
              [&](std::size_t t) { return load<V>(go + t * rows * Channels + at); },
              [&](std::size_t t, const V& gradient) {
                total += gradient;
                if constexpr (InSteps == T) {
                  store(gu + t * rows * Channels + at, gradient);
                  product[b] += gradient * ((load<V>(x + t * rows * Channels + at) - m) * s);
                }
              });
          plain[b] += total;
          if constexpr (InSteps != T) {
            store(gu + at, total);
            product[b] += total * ((load<V>(x + at) - m) * s);
          }
        }
      }
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) {
        store(out + c + b * L, plain[b]);
        store(out + Channels + c + b * L, product[b]);
      }
    });
  });
  add_partials<2 * Channels>(partial, items.items, sums);
}

}  // namespace spikenet::detail
