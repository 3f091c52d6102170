// Sums over all but the channels of a channels-last tensor: the batch statistics of tdBN and their gradients. Of an array
// as a whole: the sum of its squares, and whether all values are finite. What is stored as Real is computed with in S.
#pragma once

#include <cmath>
#include <cstddef>

#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/core/moments.hpp"

namespace spikenet::detail::cuda_kernels {

// Writes sums [Count, Channels].
template <std::size_t Channels, std::size_t Count, class To>
struct write_sums {
  To* to;
  SPIKENET_HOST_DEVICE void operator()(std::size_t channel, const sums<Count>& all) const {
    for (std::size_t i = 0; i < Count; ++i) to[i * Channels + channel] = static_cast<To>(all.value[i]);
  }
};

template <std::size_t Channels, class S, class Real>
struct channel_sum {
  const Real* x;
  SPIKENET_HOST_DEVICE sums<1> operator()(row_range rows, std::size_t channel) const {
    S sum{};
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      sum += static_cast<S>(x[row * Channels + channel]);
    }
    return {{static_cast<double>(sum)}};
  }
};

// Of an array, which is one channel to the reduction. In double: the squares of float overflow beyond 1e19.
template <class T>
struct sum_of_square {
  const T* x;
  SPIKENET_HOST_DEVICE sums<1> operator()(row_range rows, std::size_t) const {
    double sum = 0;
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const double value = static_cast<double>(x[row]);
      sum += value * value;
    }
    return {{sum}};
  }
};

// Welford's update: no difference of large squares.
template <std::size_t Channels, class S, class Real>
struct channel_moment {
  const Real* x;
  SPIKENET_HOST_DEVICE merged_moments operator()(row_range rows, std::size_t channel) const {
    S count{}, mean{}, squares{};
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const S value = static_cast<S>(x[row * Channels + channel]), before = value - mean;
      count += S{1};
      mean += before / count;
      squares += before * (value - mean);
    }
    return {static_cast<double>(count), static_cast<double>(mean), static_cast<double>(squares)};
  }
};
struct write_moments {
  double *mean, *variance;
  SPIKENET_HOST_DEVICE void operator()(std::size_t channel, const merged_moments& all) const {
    mean[channel] = all.mean;
    variance[channel] = all.variance();
  }
};

// Of g, and of g (x - mean) inverse_stddev.
template <std::size_t Channels, class S, class Real>
struct normalisation_sum {
  const Real *x, *g;
  const S *mean, *inverse_stddev;
  SPIKENET_HOST_DEVICE sums<2> operator()(row_range rows, std::size_t channel) const {
    S plain{}, product{};
    const S m = mean[channel], s = inverse_stddev[channel];
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const std::size_t at = row * Channels + channel;
      const S gradient = static_cast<S>(g[at]);
      plain += gradient;
      product += gradient * ((static_cast<S>(x[at]) - m) * s);
    }
    return {{static_cast<double>(plain), static_cast<double>(product)}};
  }
};

// y = a x + b z + d; z may be null, y may be x or z.
template <std::size_t Channels, class S, class Real>
struct channel_affine {
  const Real *x, *z;
  const S *a, *b, *d;
  Real* y;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const {
    const std::size_t channel = i % Channels;
    S value = a[channel] * static_cast<S>(x[i]) + d[channel];
    if (z) value += b[channel] * static_cast<S>(z[i]);
    y[i] = static_cast<Real>(value);
  }
};

// Sets the flag where any of the values is NaN or infinite.
template <class T>
struct note_not_finite {
  const T* x;
  unsigned* flag;
  __device__ void operator()(std::size_t i) const {
    if (!std::isfinite(x[i])) atomicOr(flag, 1u);
  }
};

}  // namespace spikenet::detail::cuda_kernels
