// Sums of weights that bytes of spikes select, from tables: what the convolutions of the trainer and of inference
// share. See spike_convolution.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "spikenet/backend/cpu/simd.hpp"

namespace spikenet::detail {

// For each byte of spikes there is a table with a row for all that its bits can be; or, where the tables are for too few
// sums to be worth 256 rows, two of 16, one for each half of the byte. Bits: 8 or 4, those that select a row.
//
// table_rows: of a byte. Some more between one table and the next keep the rows that every table has hot (no spike, one
// spike) from falling into the same few sets of the caches.
template <std::size_t Bits>
inline constexpr std::size_t table_rows = Bits == 8 ? 256 + 11 : 2 * 16;

// Tables of the taps that share a byte (see shared_taps) lie interleaved: first the rows of all of them for byte 0,
// then those for byte 1. What a byte needs is then in one piece, of which no half of a cache line is for another byte.

// Where those of byte t begin, in elements, among tables of which `taps` one after another are interleaved.
template <std::size_t Bits>
constexpr std::size_t start_of_table(std::size_t t, std::size_t taps, std::size_t row) {
  return (t / taps * taps * table_rows<Bits> + t % taps) * row;
}

// table[b] = sum of weights[i * step] over the bits i of b, in rows of Vectors vectors, for b < 2^bits. One of `taps`
// that are interleaved. Weights: of the table's type, or narrower integers.
template <class T, std::size_t Vectors, class Weight>
[[gnu::noinline]] void build_table(const Weight* weights, std::size_t step, std::size_t bits, T* table,
                                   std::size_t taps) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, row = Vectors * L;
  const std::size_t next = taps * row;
  std::fill_n(table, row, T{});
  for (std::size_t bit = 0; bit < bits; ++bit, weights += step) {
    V w[Vectors];
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) w[q] = load_as<V>(weights + q * L);
    const T* from = table;
    T* to = table + (next << bit);
    for (T* const end = to + (next << bit); to != end; from += next, to += next) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(to + q * L, load<V>(from + q * L) + w[q]);
    }
  }
}

// The tables of the halves of a byte likewise: sums of weights[0 ... 3] and of weights[4 ... 7].
template <class T, std::size_t Vectors, class Weight>
[[gnu::always_inline]] inline void build_tables_of_halves(const Weight* weights, std::size_t step, T* table,
                                                          std::size_t taps) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, row = Vectors * L;
  for (std::size_t half = 0; half < 2; ++half, weights += 4 * step) {
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) {
      const auto weight = [&](std::size_t bit) SPIKENET_INLINE { return load_as<V>(weights + bit * step + q * L); };
      const V low[4] = {V{}, weight(0), weight(1), weight(0) + weight(1)};
      const V high[4] = {V{}, weight(2), weight(3), weight(2) + weight(3)};
      T* to = table + half * 16 * taps * row + q * L;
      SPIKENET_UNROLL
      for (std::size_t h = 0; h < 4; ++h) {
        SPIKENET_UNROLL
        for (std::size_t l = 0; l < 4; ++l, to += taps * row) store(to, high[h] + low[l]);
      }
    }
  }
}

// Neighbouring pixels at a time, of Vectors vectors each: the sums in the registers of the least of instruction sets.
// That hides the latency of an addition, and rows of 7, 14 or 28 pixels have no rest.
template <std::size_t Vectors>
inline constexpr std::size_t pixels_of_look_up = std::max<std::size_t>(1, 14 / Vectors);

// Whether there is no spike in n bytes. Reads up to 7 bytes beyond.
[[gnu::always_inline]] inline bool all_silent(const std::uint8_t* x, std::size_t n) {
  if constexpr (has_simd) {
    if (n >= simd_bytes) {  // one branch for all: where the first spike is, nobody could guess
      using V = simd<std::uint64_t>;
      V any = load<V>(x + n - simd_bytes);
      for (std::size_t i = 0; i + simd_bytes < n; i += simd_bytes) any |= load<V>(x + i);
#if defined(__AVX__) && !defined(__AVX512F__)
      return _mm256_testz_si256(reinterpret_cast<__m256i>(any), reinterpret_cast<__m256i>(any)) != 0;
#else
      std::uint64_t word = 0;
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < lanes<std::uint64_t>; ++i) word |= any[i];
      return word == 0;
#endif
    }
  }
  for (; n > 8; n -= 8, x += 8) {
    if (load<std::uint64_t>(x) != 0) return false;
  }
  const auto last = load<std::uint64_t>(x);
  return (std::endian::native == std::endian::big ? last >> (8 * (8 - n)) : last << (8 * (8 - n))) == 0;
}

// The windows of neighbouring pixels overlap: where one's second tap is the other's first, and so on, a byte of spikes
// is read once for this many taps, and its rows lie at one distance from each other. The kernel width; 1: none shared.
constexpr std::size_t shared_taps(std::size_t kernel, std::size_t stride, std::size_t dilation) {
  return stride == 1 && dilation == 1 ? kernel : 1;
}

// sum[p] += over the taps t: tables[t][x[(p + t) * step]], in rows of Vectors vectors; the tables are interleaved.
template <std::size_t Taps, std::size_t Bits, class T, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void add_taps(V (&sum)[Pixels][Vectors], const std::uint8_t* x, std::size_t step,
                                            const T* tables) {
  constexpr std::size_t L = lanes<T>, row = Vectors * L;
  SPIKENET_UNROLL
  for (std::size_t j = 0; j < Pixels + Taps - 1; ++j, x += step) {
    SPIKENET_UNROLL
    for (std::size_t bit = 0; bit < 8; bit += Bits) {
      const std::size_t bits = *x >> bit & ((1u << Bits) - 1);
      const T* const entry = tables + (bit / Bits * 16 + bits) * (Taps * row);
      SPIKENET_UNROLL
      for (std::size_t t = 0; t < Taps; ++t) {
        if (t > j || j - t >= Pixels) continue;
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) sum[j - t][q] += load<V>(entry + t * row + q * L);
      }
    }
  }
}

// sum[p] += over the tables t: tables[t][x[p * step + taps[t]]]. Taps tables after another, interleaved, are for bytes
// at a distance of step: taps[t + 1] = taps[t] + step. Where these have no spike for any of the pixels, which is so in
// the empty parts of maps, they are left out: all rows would be 0. Reads up to 7 bytes beyond the last.
template <std::size_t Taps, std::size_t Bits, class T, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void add_look_ups(V (&sum)[Pixels][Vectors], const std::uint8_t* x, std::size_t step,
                                                std::span<const std::uint32_t> taps, const T* tables) {
  for (std::size_t i = 0; i < taps.size(); i += Taps, tables += Taps * table_rows<Bits> * Vectors * lanes<T>) {
    const std::uint8_t* const at = x + taps[i];
    if (Taps > 1 && all_silent(at, (Pixels + Taps - 2) * step + 1)) continue;
    add_taps<Taps, Bits>(sum, at, step, tables);
  }
}

// The same where the `step` bytes of a pixel lie beside each other, and their tables follow each other: the first `run`
// are for the rest of a pixel, the next `step` for all of one, and so on. A pixel is asked for spikes only once.
template <std::size_t Taps, std::size_t Bits, class T, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void add_look_ups_of_pixels(V (&sum)[Pixels][Vectors], const std::uint8_t* x,
                                                          std::size_t step, std::span<const std::uint32_t> taps,
                                                          std::size_t run, const T* tables) {
  constexpr std::size_t size = Taps * table_rows<Bits> * Vectors * lanes<T>;
  for (std::size_t i = 0; i < taps.size(); run = step) {
    const std::uint8_t* at = x + taps[i];
    run = std::min(run, (taps.size() - i) / Taps);
    i += run * Taps;
    if (all_silent(at, (Pixels + Taps - 2) * step + run)) {
      tables += run * size;
      continue;
    }
    for (const std::uint8_t* const end = at + run; at != end; ++at, tables += size) {
      // For the compiler the step may change here: it would keep its multiples in memory, one load more for each byte.
      __asm__("" : "+r"(step));
      add_taps<Taps, Bits>(sum, at, step, tables);
    }
  }
}

// Which bits of a byte are set: their numbers, in order, and how many.
struct bit_positions {
  std::array<std::array<std::uint32_t, 8>, 256> at{};
  std::array<std::uint8_t, 256> count{};

  constexpr bit_positions() {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      for (std::uint32_t bit = 0; bit < 8; ++bit) {
        if (byte >> bit & 1) at[byte][count[byte]++] = bit;
      }
    }
  }
};
inline constexpr bit_positions positions_of_bits;

}  // namespace spikenet::detail
