// Packed spikes: one bit each, which is 1/32 of the memory that floats take, and lets a kernel take eight channels at a
// time or skip what does not fire.
#pragma once

#include <cstddef>
#include <cstdint>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// The spikes of eight neighbouring channels: channel c of a pixel is bit c % 8 of its byte c / 8. Every pixel (every
// item, where the shape is a vector) begins with a byte of its own; bits beyond the channels are 0.
enum class spike_bits : std::uint8_t {};

// Bytes of one pixel.
template <std::size_t Channels>
inline constexpr std::size_t spike_bytes = (Channels + 7) / 8;

// What is added to a stage's neurons: real numbers; where `spikes` is not null, these, which are the same numbers.
template <class Real>
struct addend {
  const Real* values;
  const spike_bits* spikes;
  constexpr addend(const Real* numbers, const spike_bits* bits = nullptr) : values{numbers}, spikes{bits} {}  // NOLINT
};

}  // namespace spikenet
