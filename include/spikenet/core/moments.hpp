// Mean and variance of numbers that come in parts.
#pragma once

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// Moments of a channel in parts: Chan, Golub and LeVeque's update, no difference of large squares anywhere.
struct merged_moments {
  double count = 0, mean = 0, squares = 0;

  SPIKENET_HOST_DEVICE void add(double n, double other_mean, double other_squares) {
    const double delta = other_mean - mean, share = n / (count + n);
    squares += other_squares + delta * delta * count * share;
    mean += delta * share;
    count += n;
  }
  SPIKENET_HOST_DEVICE void merge(const merged_moments& other) {
    if (other.count > 0) add(other.count, other.mean, other.squares);
  }
  SPIKENET_HOST_DEVICE double variance() const { return squares / count; }
};

}  // namespace spikenet::detail
