// Sums over all but the channels of a channels-last tensor: the batch statistics of tdBN and their gradients.
#pragma once

#include <algorithm>
#include <cstddef>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/core/moments.hpp"

namespace spikenet::detail {

// How `rows` rows are cut into items of a reduction: a matter of the data alone, so that sums round alike everywhere.
struct row_items {
  std::size_t rows, items;
  explicit row_items(std::size_t n) : rows{n}, items{std::clamp<std::size_t>(n / 128, 1, 64)} {}
  std::size_t first(std::size_t item) const { return item * rows / items; }
};

// Adds what each item left in partial [items][count] up in double, in order.
template <class T>
void add_partials(const T* partial, std::size_t items, std::size_t count, double* totals) {
  std::fill_n(totals, count, 0.0);
  for (std::size_t item = 0; item < items; ++item, partial += count) {
    for (std::size_t i = 0; i < count; ++i) totals[i] += static_cast<double>(partial[i]);
  }
}

// The functions below are compiled for Blocks, a channel_blocks.

// Sums over the rows first ... last-1 of x, rows row_size apart, of all channels: their means, and the squares of
// the differences from them. Two passes, so the rows should fit into the cache.
template <class Blocks, class T>
[[gnu::always_inline]] inline void moments_of_rows(std::size_t channels, std::size_t first, std::size_t last, const T* x,
                                                   std::size_t row_size, T* means, T* squares) {
  Blocks::for_each(channels, [&]<class V, std::size_t B>(std::size_t c) SPIKENET_INLINE {
    constexpr std::size_t L = sizeof(V) / sizeof(T);
    V sum[B]{}, square[B]{};
    for (std::size_t row = first; row < last; ++row) {
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) sum[b] += load<V>(x + row * row_size + c + b * L);
    }
    SPIKENET_UNROLL
    for (std::size_t b = 0; b < B; ++b) sum[b] = sum[b] / static_cast<T>(last - first);
    for (std::size_t row = first; row < last; ++row) {
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) {
        const V d = load<V>(x + row * row_size + c + b * L) - sum[b];
        square[b] += d * d;
      }
    }
    SPIKENET_UNROLL
    for (std::size_t b = 0; b < B; ++b) {
      store(means + c + b * L, sum[b]);
      store(squares + c + b * L, square[b]);
    }
  });
}

// mean and (biased) variance of each channel of x [rows, channels].
template <class Blocks, class T>
void channel_moments(thread_pool& pool, buffer<T>& scratch, std::size_t channels, std::size_t rows, const T* x, double* mean,
                     double* variance) {
  const row_items items(rows);
  T* partial = scratch.reserve(items.items * 2 * channels);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
    T* const means = partial + item * 2 * channels;
    moments_of_rows<Blocks>(channels, items.first(item), items.first(item + 1), x, channels, means, means + channels);
  });
  for (std::size_t c = 0; c < channels; ++c) {
    merged_moments all;
    for (std::size_t item = 0; item < items.items; ++item) {
      all.add(static_cast<double>(items.first(item + 1) - items.first(item)),
              static_cast<double>(partial[item * 2 * channels + c]),
              static_cast<double>(partial[(item * 2 + 1) * channels + c]));
    }
    mean[c] = all.mean;
    variance[c] = all.variance();
  }
}

// sums[c] = sum of g, sums[channels + c] = sum of g * (x - mean[c]) * inverse_stddev[c] over the rows of channel c.
template <class Blocks, class T>
void normalisation_sums(thread_pool& pool, buffer<T>& scratch, std::size_t channels, std::size_t rows, const T* x,
                        const T* g, const T* mean, const T* inverse_stddev, double* sums) {
  const row_items items(rows);
  T* partial = scratch.reserve(items.items * 2 * channels);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
    T* const out = partial + item * 2 * channels;
    Blocks::for_each(channels, [&]<class V, std::size_t B>(std::size_t c) SPIKENET_INLINE {
      constexpr std::size_t L = sizeof(V) / sizeof(T);
      V plain[B]{}, product[B]{}, m[B], s[B];
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) m[b] = load<V>(mean + c + b * L), s[b] = load<V>(inverse_stddev + c + b * L);
      for (std::size_t row = items.first(item); row < items.first(item + 1); ++row) {
        SPIKENET_UNROLL
        for (std::size_t b = 0; b < B; ++b) {
          const std::size_t at = row * channels + c + b * L;
          const V gradient = load<V>(g + at);
          plain[b] += gradient;
          product[b] += gradient * ((load<V>(x + at) - m[b]) * s[b]);
        }
      }
      SPIKENET_UNROLL
      for (std::size_t b = 0; b < B; ++b) {
        store(out + c + b * L, plain[b]);
        store(out + channels + c + b * L, product[b]);
      }
    });
  });
  add_partials(partial, items.items, 2 * channels, sums);
}

// y = a * x + b * z + d over the rows first ... last-1, with a, b, d per channel; z may be null (then b does not count)
// and y may be x or z.
template <class Blocks, class T>
[[gnu::always_inline]] inline void affine_rows(std::size_t channels, std::size_t first, std::size_t last, const T* x,
                                               const T* z, const T* a, const T* b, const T* d, T* y) {
  Blocks::for_each(channels, [&]<class V, std::size_t B>(std::size_t c) SPIKENET_INLINE {
    constexpr std::size_t L = sizeof(V) / sizeof(T);
    V ka[B], kb[B]{}, kd[B];
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < B; ++i) {
      ka[i] = load<V>(a + c + i * L), kd[i] = load<V>(d + c + i * L);
      if (z) kb[i] = load<V>(b + c + i * L);
    }
    for (std::size_t row = first; row < last; ++row) {
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < B; ++i) {
        const std::size_t at = row * channels + c + i * L;
        V value = ka[i] * load<V>(x + at) + kd[i];
        if (z) value += kb[i] * load<V>(z + at);
        store(y + at, value);
      }
    }
  });
}
template <class Blocks, class T>
void channel_affine(thread_pool& pool, std::size_t channels, std::size_t rows, const T* x, const T* z, const T* a,
                    const T* b, const T* d, T* y) {
  const row_items items(rows);
  pool.run(items.items, [=](std::size_t item, std::size_t) SPIKENET_INLINE {
    affine_rows<Blocks>(channels, items.first(item), items.first(item + 1), x, z, a, b, d, y);
  });
}

}  // namespace spikenet::detail
