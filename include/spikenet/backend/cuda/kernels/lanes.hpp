// Neighbouring values that one thread takes together: a GPU's memory is fast where a warp asks for 128 bytes or more at once,
// and 32 single halves are 64.
#pragma once

#include <algorithm>
#include <cstddef>

#include "spikenet/core/compiler.hpp"
#include "spikenet/core/spikes.hpp"

namespace spikenet::detail::cuda_kernels {

// How many channels a thread takes; less where it has many timesteps of each in registers.
template <std::size_t Channels, std::size_t T = 1>
inline constexpr std::size_t lanes = T <= 4 && Channels % 4 == 0 ? 4 : T <= 8 && Channels % 2 == 0 ? 2 : 1;

// In memory: one access.
template <class Real, std::size_t N>
struct alignas(std::min<std::size_t>(N * sizeof(Real), 16)) stored_lanes {
  Real value[N];
};

// In registers.
template <class S, std::size_t N>
struct lane_values {
  S value[N];
  SPIKENET_HOST_DEVICE S& operator[](std::size_t i) { return value[i]; }
  SPIKENET_HOST_DEVICE const S& operator[](std::size_t i) const { return value[i]; }
};

// N values from an address that is a multiple of their size, or of 16 bytes.
template <class S, std::size_t N, class Real>
SPIKENET_HOST_DEVICE lane_values<S, N> load(const Real* from) {
  const stored_lanes<Real, N> stored = *reinterpret_cast<const stored_lanes<Real, N>*>(from);
  lane_values<S, N> values;
  SPIKENET_UNROLL
  for (std::size_t lane = 0; lane < N; ++lane) values[lane] = static_cast<S>(stored.value[lane]);
  return values;
}
template <class Real, class S, std::size_t N>
SPIKENET_HOST_DEVICE void store(const lane_values<S, N>& values, Real* to) {
  stored_lanes<Real, N> stored;
  SPIKENET_UNROLL
  for (std::size_t lane = 0; lane < N; ++lane) stored.value[lane] = static_cast<Real>(values[lane]);
  *reinterpret_cast<stored_lanes<Real, N>*>(to) = stored;
}

// Whether spikes are copied as bits: where no byte is of two pixels, and a thread has room for eight channels in registers.
template <std::size_t Channels, std::size_t T>
inline constexpr bool copies_spikes = Channels % 8 == 0 && T <= 4;

// N bits.
template <std::size_t N>
struct lane_spikes {
  unsigned bits;
  SPIKENET_HOST_DEVICE bool operator[](std::size_t lane) const { return (bits >> lane & 1u) != 0; }
};
// Number i to i + N - 1 of them, none of which is in another byte.
template <std::size_t N>
SPIKENET_HOST_DEVICE lane_spikes<N> spikes_from(const spike_bits* from, std::size_t i) {
  return {static_cast<unsigned>(from[i / 8]) >> i % 8};
}
template <class S>
SPIKENET_HOST_DEVICE spike_bits bits_of(const lane_values<S, 8>& spikes) {
  unsigned bits = 0;
  SPIKENET_UNROLL
  for (std::size_t lane = 0; lane < 8; ++lane) bits |= static_cast<unsigned>(spikes[lane] != S{0}) << lane;
  return static_cast<spike_bits>(bits);
}

}  // namespace spikenet::detail::cuda_kernels
