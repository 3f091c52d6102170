// Starting values of weights and biases; see initialization in layer.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "spikenet/layer/layer.hpp"

namespace spikenet::detail {

template <class Scalar>
void initialize_weights(std::span<Scalar> values, initialization how, std::size_t fan_in, std::size_t fan_out,
                        random_stream& random) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_out));
  for (Scalar& value : values) {
    value = static_cast<Scalar>(how == initialization::pytorch ? random.uniform(-bound, bound)
                                                               : deviation * random.normal());
  }
}

template <class Scalar>
void initialize_biases(std::span<Scalar> values, initialization how, std::size_t fan_in, random_stream& random) {
  const double bound = how == initialization::pytorch ? 1.0 / std::sqrt(static_cast<double>(fan_in)) : 0.0;
  for (Scalar& value : values) value = static_cast<Scalar>(random.uniform(-bound, bound));
}

}  // namespace spikenet::detail
