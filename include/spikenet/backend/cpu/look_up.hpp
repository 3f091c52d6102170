// Sums of weights that bytes of spikes select, from tables: what the convolutions of the trainer and of inference share.
// See spike_convolution.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "spikenet/backend/cpu/simd.hpp"

namespace spikenet::detail {

// A table has 256 rows; some more between one table and the next keep the rows that every table has hot (no spike, one
// spike) from falling into the same few sets of the caches.
inline constexpr std::size_t table_rows = 256 + 11;

// table[b] = sum of weights[i] over the bits i of b, in rows of Vectors vectors, for b < 2^bits.
template <class T, std::size_t Vectors>
[[gnu::noinline]] void build_table(const T* weights, std::size_t bits, T* table) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, row = Vectors * L;
  std::fill_n(table, row, T{});
  for (std::size_t bit = 0; bit < bits; ++bit) {
    V w[Vectors];
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) w[q] = load<V>(weights + bit * row + q * L);
    const T* from = table;
    T* to = table + (row << bit);
    for (T* const end = to + (row << bit); to != end; from += row, to += row) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(to + q * L, load<V>(from + q * L) + w[q]);
    }
  }
}

// sum[p] += over the tables t: tables[t][x[p][taps[t]]], in rows of Vectors vectors.
template <class T, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void add_look_ups(V (&sum)[Pixels][Vectors], const std::uint8_t* const (&x)[Pixels],
                                                std::span<const std::uint32_t> taps, const T* tables) {
  constexpr std::size_t L = lanes<T>, row = Vectors * L;
  for (const std::uint32_t tap : taps) {
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      const T* entry = tables + x[p][tap] * row;
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) sum[p][q] += load<V>(entry + q * L);
    }
    tables += table_rows * row;
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
