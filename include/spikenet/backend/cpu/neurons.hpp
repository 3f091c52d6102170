// The LIF layer, alone and fused with the normalisation before it: each neuron's T timesteps are walked in registers.
// Backward recomputes the membrane potentials from the layer's input, so nothing but that input is kept.
#pragma once

#include <cstddef>
#include <type_traits>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/statistics.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/core/spikes.hpp"
#include "spikenet/neuron/lif.hpp"
#include "spikenet/neuron/walk.hpp"

namespace spikenet::detail {

// How far rows of channels are apart: in real numbers or, where Value is spike_bits, in bytes.
template <class Value>
constexpr std::size_t row_step(std::size_t channels) {
  return std::is_same_v<Value, spike_bits> ? (channels + 7) / 8 : channels;
}

// Spikes of neighbouring channels, from `channel` on, in row `row`: real numbers or bits.
template <class V, class S>
[[gnu::always_inline]] inline V load_spikes(const S* spikes, std::size_t step, std::size_t row, std::size_t channel) {
  return load<V>(spikes + row * step + channel);
}
template <class V, class S>
[[gnu::always_inline]] inline V load_spikes(const spike_bits* spikes, std::size_t step, std::size_t row,
                                            std::size_t channel) {
  const spike_bits* const from = spikes + row * step + channel / 8;
  if constexpr (8 < lanes_of<V, S>) {
    return lanes_from<S, V>(static_cast<unsigned>(from[0]) | static_cast<unsigned>(from[1]) << 8);
  } else {
    return lanes_from<S, V>(static_cast<unsigned>(from[0]) >> channel % 8);
  }
}

// channels must be stored in order: the first of a byte clears the others.
template <class S, class V>
[[gnu::always_inline]] inline void store_spikes(S* spikes, std::size_t step, std::size_t row, std::size_t channel,
                                                const V& values) {
  store(spikes + row * step + channel, values);
}
template <class S, class V>
[[gnu::always_inline]] inline void store_spikes(spike_bits* spikes, std::size_t step, std::size_t row,
                                                std::size_t channel, const V& values) {
  spike_bits* const to = spikes + row * step + channel / 8;
  const unsigned bits = nonzero_lanes<S>(values);
  if constexpr (8 < lanes_of<V, S>) to[1] = static_cast<spike_bits>(bits >> 8 & 0xff);
  if (lanes_of<V, S> >= 8 || channel % 8 == 0) {
    to[0] = static_cast<spike_bits>(bits & 0xff);
  } else {
    to[0] = static_cast<spike_bits>(static_cast<unsigned>(to[0]) | bits << channel % 8);
  }
}

// The functions below for [rows, channels] are compiled for Blocks, a channel_blocks.

// f.template operator()<V>(row, channel) for all of [rows, channels], the channels of a row in order.
template <class Blocks, class F>
void for_channels(thread_pool& pool, std::size_t channels, std::size_t rows, F f) {
  const row_items items(rows);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
    Blocks::for_each(channels, [&]<class V, std::size_t B>(std::size_t c) SPIKENET_INLINE {
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        SPIKENET_UNROLL
        for (std::size_t b = 0; b < B; ++b)
          f.template operator()<V>(row, c + b * lanes_of<V, typename Blocks::scalar>);
      }
    });
  });
}

template <class Blocks, class S>
void pack(thread_pool& pool, std::size_t channels, std::size_t rows, const S* values, spike_bits* spikes) {
  const std::size_t step = row_step<spike_bits>(channels);
  for_channels<Blocks>(pool, channels, rows, [=]<class V>(std::size_t row, std::size_t channel) SPIKENET_INLINE {
    store_spikes<S>(spikes, step, row, channel, load<V>(values + row * channels + channel));
  });
}
template <class Blocks, class S>
void unpack(thread_pool& pool, std::size_t channels, std::size_t rows, const spike_bits* spikes, S* values) {
  const std::size_t step = row_step<spike_bits>(channels);
  for_channels<Blocks>(pool, channels, rows, [=]<class V>(std::size_t row, std::size_t channel) SPIKENET_INLINE {
    store(values + row * channels + channel, load_spikes<V, S>(spikes, step, row, channel));
  });
}

// Calls f.template operator()<V>(i) over 0 ... count-1 in vectors, then in single numbers.
template <class T, class F>
void for_neurons(thread_pool& pool, std::size_t count, F f) {
  const row_items items(count);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
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
  for_neurons<S>(pool, neurons, [=]<class V>(std::size_t i) SPIKENET_INLINE {
    walk_forward<Dynamics, T, V>(
        k, [&](std::size_t t) { return load<V>(x + (InSteps == 1 ? 0 : t) * neurons + i); },
        [&](std::size_t t, const V& spike) { store(o + t * neurons + i, spike); });
  });
}

// The same, to bits: neurons are [rows, channels].
template <class Dynamics, std::size_t T, std::size_t InSteps, class Blocks, class S>
void lif_forward(thread_pool& pool, std::size_t channels, std::size_t rows, const neuron_constants<S>& k, const S* x,
                 spike_bits* o) {
  const std::size_t step = row_step<spike_bits>(channels);
  for_channels<Blocks>(pool, channels, rows, [=]<class V>(std::size_t row, std::size_t channel) SPIKENET_INLINE {
    walk_forward<Dynamics, T, V>(
        k, [&](std::size_t t) { return load<V>(x + ((InSteps == 1 ? 0 : t) * rows + row) * channels + channel); },
        [&](std::size_t t, const V& spike) { store_spikes<S>(o, step, t * rows + row, channel, spike); });
  });
}

// gx [InSteps, neurons] from x and go [T, neurons]; gx may be go where InSteps is T.
template <class Dynamics, std::size_t T, std::size_t InSteps, class S>
void lif_backward(thread_pool& pool, std::size_t neurons, const neuron_constants<S>& k, const S* x, const S* go,
                  S* gx) {
  for_neurons<S>(pool, neurons, [=]<class V>(std::size_t i) SPIKENET_INLINE {
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
// rows: of one timestep. x [InSteps, rows, channels]; residual and o [T, rows, channels], each real or bits.
template <class Dynamics, std::size_t T, std::size_t InSteps, class Blocks, class S, class Residual, class O>
void tdbn_lif_forward(thread_pool& pool, std::size_t channels, std::size_t rows, const neuron_constants<S>& k,
                      const S* x, const S* scale, const S* shift, const Residual* residual, O* o) {
  const std::size_t residual_step = row_step<Residual>(channels), o_step = row_step<O>(channels);
  for_channels<Blocks>(pool, channels, rows, [=]<class V>(std::size_t row, std::size_t channel) SPIKENET_INLINE {
    const V a = load<V>(scale + channel), d = load<V>(shift + channel);
    walk_forward<Dynamics, T, V>(
        k,
        [&](std::size_t t) {
          V input = a * load<V>(x + ((InSteps == 1 ? 0 : t) * rows + row) * channels + channel) + d;
          if (residual) input += load_spikes<V, S>(residual, residual_step, t * rows + row, channel);
          return input;
        },
        [&](std::size_t t, const V& spike) { store_spikes<S>(o, o_step, t * rows + row, channel, spike); });
  });
}

// The gradient at the sum: gu [InSteps, rows, channels], and the two sums per channel that tdBN's backward pass needs
// (see normalisation_sums), in one pass.
template <class Dynamics, std::size_t T, std::size_t InSteps, class Blocks, class S, class Residual>
void tdbn_lif_backward(thread_pool& pool, buffer<S>& scratch, std::size_t channels, std::size_t rows,
                       const neuron_constants<S>& k, const S* x, const S* scale, const S* shift, const Residual* residual, const S* mean,
                       const S* inverse_stddev, const S* go, S* gu, double* sums) {
  const row_items items(rows);
  const std::size_t residual_step = row_step<Residual>(channels);
  S* partial = scratch.reserve(items.items * 2 * channels);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
    S* const out = partial + item * 2 * channels;
    Blocks::for_each(channels, [&]<class V, std::size_t B>(std::size_t c) SPIKENET_INLINE {
      constexpr std::size_t L = sizeof(V) / sizeof(S);
      V plain[B]{}, product[B]{}, a[B], d[B], m[B];
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) {
        a[b] = load<V>(scale + c + b * L), d[b] = load<V>(shift + c + b * L), m[b] = load<V>(mean + c + b * L);
      }
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        SPIKENET_UNROLL
        for (std::size_t b = 0; b < B; ++b) {
          const std::size_t channel = c + b * L, at = row * channels + channel;
          V total{};
          walk_backward<Dynamics, T, V>(
              k,
              [&](std::size_t t) {
                V input = a[b] * load<V>(x + (InSteps == 1 ? 0 : t) * rows * channels + at) + d[b];
                if (residual) input += load_spikes<V, S>(residual, residual_step, t * rows + row, channel);
                return input;
              },
              [&](std::size_t t) { return load<V>(go + t * rows * channels + at); },
              [&](std::size_t t, const V& gradient) {
                total += gradient;
                if constexpr (InSteps == T) {
                  store(gu + t * rows * channels + at, gradient);
                  product[b] += gradient * (load<V>(x + t * rows * channels + at) - m[b]);
                }
              });
          plain[b] += total;
          if constexpr (InSteps != T) {
            store(gu + at, total);
            product[b] += total * (load<V>(x + at) - m[b]);
          }
        }
      }
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) {
        store(out + c + b * L, plain[b]);
        store(out + channels + c + b * L, product[b] * load<V>(inverse_stddev + c + b * L));
      }
    });
  });
  add_partials(partial, items.items, 2 * channels, sums);
}

}  // namespace spikenet::detail
