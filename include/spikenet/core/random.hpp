// Reproducible random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011). Counter-based: the i-th number of a stream is a function of (seed, stream, i) alone, so that every
// image, layer or epoch can own a stream and the order in which threads draw changes nothing. The standard library's
// engines are portable but its distributions are not; these are.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <utility>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// The seed of an experiment. A type of its own so that `net_t net{spikenet::seed{1}}` says what the number is.
struct seed {
  std::uint64_t value = 0;
};

namespace detail {

using philox_block = std::array<std::uint32_t, 4>;

// One Philox4x32-10 block. counter: 128 bits, key: 64 bits.
constexpr philox_block philox(philox_block counter, std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace detail

// One stream of random numbers; models std::uniform_random_bit_generator. Copying it copies its position.
class random_stream {
 public:
  using result_type = std::uint32_t;

  constexpr explicit random_stream(seed s, std::uint64_t stream = 0) noexcept
      : key_{static_cast<std::uint32_t>(s.value), static_cast<std::uint32_t>(s.value >> 32)}, stream_{stream} {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

  // The next 32 random bits.
  constexpr result_type operator()() noexcept {
    const auto word = static_cast<std::size_t>(position_ % 4);
    if (word == 0) {
      const std::uint64_t block = position_ / 4;
      block_ = detail::philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                               static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                              key_);
    }
    ++position_;
    return block_[word];
  }

  // Uniform in [0, 1), 53 random bits.
  constexpr double uniform() noexcept {
    const std::uint64_t high = (*this)() >> 5, low = (*this)() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }

  // Uniform in [low, high).
  constexpr double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }

  // Standard normal (Box and Muller 1958); the second value of each pair is dropped, so that one call is one position.
  double normal() noexcept {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  // Uniform in 0 ... bound-1 with no bias (Lemire, ACM TOMACS 2019). bound must be in 1 ... 2^32-1.
  constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    std::uint64_t product = std::uint64_t{(*this)()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t reject = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < reject) product = std::uint64_t{(*this)()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // Fisher-Yates. std::shuffle would do, but its order is not the same in every standard library.
  template <class T>
  constexpr void shuffle(std::span<T> items) noexcept {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(static_cast<std::uint32_t>(i))]);
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t stream_;
  std::uint64_t position_ = 0;
  detail::philox_block block_{};
};

}  // namespace spikenet
