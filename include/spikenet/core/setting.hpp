// Settings: numbers that a user gives in double precision, and that a network uses in its own.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include "spikenet/core/error.hpp"
#include "spikenet/core/text.hpp"

namespace spikenet::detail {

// NaN is none of these.
inline bool is_positive(double value) { return value > 0 && std::isfinite(value); }
inline bool is_not_negative(double value) { return value >= 0 && std::isfinite(value); }
inline bool is_fraction(double value) { return value >= 0 && value <= 1; }
inline bool is_below_one(double value) { return value >= 0 && value < 1; }

// Returns a precision as messages call it: "32 bits".
template <class Scalar>
std::string bits_of() {
  return std::to_string(8 * sizeof(Scalar)) + " bits";
}

// Checks a setting both as the user gave it and as Scalar holds it: in float, 1e39 is infinite and 1e-50 is 0.
//   is_valid  the range, one of the functions above
//   rule      the start of the message: "neuron: the threshold must be positive and finite"
// Throws argument_error if one of the two is not valid.
template <class Scalar>
void require_setting(bool (*is_valid)(double), const char* rule, double value) {
  const auto held = static_cast<Scalar>(value);
  if (is_valid(value) && is_valid(static_cast<double>(held))) return;
  std::string message = rule + (", not " + text_of(value));
  if (is_valid(value)) message += ", which is " + text_of(held) + " in " + bits_of<Scalar>();
  throw argument_error(message);
}

}  // namespace spikenet::detail
