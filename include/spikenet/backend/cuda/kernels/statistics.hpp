// Sums over all but the channels of a channels-last tensor: the batch statistics of tdBN and their gradients. Of an array
// as a whole: the sum of its squares, and whether all values are finite. What is stored as Real is computed with in S.
#pragma once

#include <cmath>
#include <cstddef>

#include "spikenet/backend/cuda/kernels/lanes.hpp"
#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/core/compiler.hpp"

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
  static constexpr std::size_t width = 1;
  const Real* x;
  SPIKENET_HOST_DEVICE of_lanes<sums<1>, 1> operator()(row_range rows, std::size_t channel) const {
    S sum{};
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      sum += static_cast<S>(x[row * Channels + channel]);
    }
    return {{{{static_cast<double>(sum)}}}};
  }
};

// Of an array, which is one channel to the reduction. In double: the squares of float overflow beyond 1e19.
template <class T>
struct sum_of_square {
  static constexpr std::size_t width = 1;
  const T* x;
  SPIKENET_HOST_DEVICE of_lanes<sums<1>, 1> operator()(row_range rows, std::size_t) const {
    double sum = 0;
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const double value = static_cast<double>(x[row]);
      sum += value * value;
    }
    return {{{{sum}}}};
  }
};

// The sums of what the values of a channel are above its first one, and of the squares of that: no difference of large
// squares, and no division anywhere, as Welford's update has one in each row (Chan, Golub and LeVeque, "Algorithms for
// Computing the Sample Variance", 1983: shifted data). Each thread sums in S what its rows are above the first of its own,
// so that a first value far from all others costs no digits; what follows is in double.
template <std::size_t Channels, class S, class Real>
struct channel_moment {
  static constexpr std::size_t width = lanes<Channels>;
  const Real* x;
  SPIKENET_HOST_DEVICE of_lanes<sums<2>, width> operator()(row_range rows, std::size_t channel) const {
    of_lanes<sums<2>, width> all{};
    if (rows.first >= rows.last) return all;
    const auto first_of_all = load<S, width>(x + channel), first = load<S, width>(x + rows.first * Channels + channel);
    S count{1};
    lane_values<S, width> sum{}, squares{};
    for (std::size_t row = rows.first + rows.step; row < rows.last; row += rows.step) {
      const auto values = load<S, width>(x + row * Channels + channel);
      count += S{1};
      SPIKENET_UNROLL
      for (std::size_t lane = 0; lane < width; ++lane) {
        const S above = values[lane] - first[lane];
        sum[lane] += above;
        squares[lane] += above * above;
      }
    }
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < width; ++lane) {
      const double above = static_cast<double>(first[lane]) - static_cast<double>(first_of_all[lane]);
      const double of_first = static_cast<double>(count) * above, own = static_cast<double>(sum[lane]);
      all.value[lane] = {{own + of_first, static_cast<double>(squares[lane]) + above * (2 * own + of_first)}};
    }
    return all;
  }
};
// Of x [rows, Channels]. And notes where they are not finite, as note_not_finite would, which would be one kernel more.
template <class Real>
struct write_moments {
  const Real* x;
  double rows;
  double *mean, *variance;
  unsigned long long* where;
  __device__ void operator()(std::size_t channel, const sums<2>& all) const {
    const double above = all.value[0] / rows, about_mean = all.value[1] / rows - above * above;
    mean[channel] = static_cast<double>(x[channel]) + above;
    variance[channel] = about_mean < 0 ? 0 : about_mean;  // rounding must not make it negative
    if (!std::isfinite(mean[channel]) || !std::isfinite(variance[channel]))
      atomicCAS(where, 0ull, reinterpret_cast<unsigned long long>(mean));
  }
};

// The two sums over rows that tdBN's backward pass needs, for some neighbouring channels: of g, and of g (x - mean)
// inverse_stddev.
template <class S, std::size_t N>
struct gradient_sums {
  lane_values<S, N> plain{}, product{};
  SPIKENET_HOST_DEVICE void add(const lane_values<S, N>& g, const lane_values<S, N>& x, const lane_values<S, N>& mean) {
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < N; ++lane) {
      plain[lane] += g[lane];
      product[lane] += g[lane] * (x[lane] - mean[lane]);
    }
  }
  // inverse_stddev: [N]
  SPIKENET_HOST_DEVICE of_lanes<sums<2>, N> of_rows(const S* inverse_stddev) const {
    of_lanes<sums<2>, N> all;
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < N; ++lane) {
      all.value[lane] = {
          {static_cast<double>(plain[lane]), static_cast<double>(product[lane] * inverse_stddev[lane])}};
    }
    return all;
  }
};

template <std::size_t Channels, class S, class Real>
struct normalisation_sum {
  static constexpr std::size_t width = lanes<Channels>;
  const Real *x, *g;
  const S *mean, *inverse_stddev;
  SPIKENET_HOST_DEVICE of_lanes<sums<2>, width> operator()(row_range rows, std::size_t channel) const {
    gradient_sums<S, width> own;
    const auto m = load<S, width>(mean + channel);
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) {
      const std::size_t at = row * Channels + channel;
      own.add(load<S, width>(g + at), load<S, width>(x + at), m);
    }
    return own.of_rows(inverse_stddev + channel);
  }
};

// y = a x + b z + d; z may be null, y may be x or z. A function of as many indices as there are groups of `width` channels.
template <std::size_t Channels, class S, class Real>
struct channel_affine {
  static constexpr std::size_t width = lanes<Channels>;
  const Real *x, *z;
  const S *a, *b, *d;
  Real* y;
  SPIKENET_HOST_DEVICE void operator()(std::size_t group) const {
    const std::size_t i = group * width, channel = i % Channels;
    auto values = load<S, width>(x + i);
    const auto factors = load<S, width>(a + channel), constants = load<S, width>(d + channel);
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < width; ++lane) values[lane] = factors[lane] * values[lane] + constants[lane];
    if (z) {
      const auto others = load<S, width>(z + i), by_other = load<S, width>(b + channel);
      SPIKENET_UNROLL
      for (std::size_t lane = 0; lane < width; ++lane) values[lane] += by_other[lane] * others[lane];
    }
    store(values, y + i);
  }
};

// to += x, so many values at once
template <std::size_t Width, class S, class Real>
struct added {
  const Real* x;
  Real* to;
  SPIKENET_HOST_DEVICE void operator()(std::size_t group) const {
    const auto values = load<S, Width>(x + group * Width);
    auto sum = load<S, Width>(to + group * Width);
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < Width; ++lane) sum[lane] += values[lane];
    store(sum, to + group * Width);
  }
};

// Values divided by a number on the device, so many at once; and noted, as note_not_finite does, where they are then not
// finite.
template <std::size_t Width, class T>
struct divided {
  T* values;
  const double* by;
  unsigned long long* where;
  __device__ void operator()(std::size_t group) const {
    auto own = load<T, Width>(values + group * Width);
    const T divisor = static_cast<T>(*by);
    bool finite = true;
    SPIKENET_UNROLL
    for (std::size_t lane = 0; lane < Width; ++lane) {
      own[lane] /= divisor;
      finite = finite && std::isfinite(own[lane]);
    }
    store(own, values + group * Width);
    if (!finite) atomicCAS(where, 0ull, reinterpret_cast<unsigned long long>(values));
  }
};

// Where any of the values is NaN or infinite: their address, unless there already is one, of others that were before.
template <class T>
struct note_not_finite {
  const T* x;
  unsigned long long* where;
  __device__ void operator()(std::size_t i) const {
    if (!std::isfinite(x[i])) atomicCAS(where, 0ull, reinterpret_cast<unsigned long long>(x));
  }
};

// Adds the sums of what f(i, double* to_add_to) adds in each of the rows to `to` [Count].
template <std::size_t Count, class F>
struct sum_of_rows {
  static constexpr std::size_t width = 1;
  F f;
  SPIKENET_HOST_DEVICE of_lanes<sums<Count>, 1> operator()(row_range rows, std::size_t) const {
    of_lanes<sums<Count>, 1> own;
    for (std::size_t row = rows.first; row < rows.last; row += rows.step) f(row, own.value[0].value);
    return own;
  }
};
template <std::size_t Count>
struct add_sums {
  double* to;
  SPIKENET_HOST_DEVICE void operator()(std::size_t, const sums<Count>& all) const {
    for (std::size_t i = 0; i < Count; ++i) to[i] += all.value[i];
  }
};

}  // namespace spikenet::detail::cuda_kernels
