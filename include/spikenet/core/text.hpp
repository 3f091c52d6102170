// Numbers as text, for messages.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <string>

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// Returns the shortest decimal text that reads back as the same number: "0.1", "1.0000001", "-1e-09", "inf", "nan".
template <std::floating_point T>
std::string text_of(T value) {
  std::array<char, 64> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}

}  // namespace spikenet::detail
