// Matrix products and reductions over channels of the CPU backend against plain loops.
#include "spikenet/layer/linear.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

template <std::size_t In, std::size_t Out>
void check_linear(std::size_t items) {
  CAPTURE(In, Out, items);
  cpu<double> backend;
  const values x = test::normal<double>(items * In, 1), weight = test::normal<double>(Out * In, 2);
  const values bias = test::normal<double>(Out, 3), gy = test::normal<double>(items * Out, 4);

  values y(items * Out), unbiased(items * Out), gx(items * In), gweight(Out * In);
  for (std::size_t n = 0; n < items; ++n)
    for (std::size_t o = 0; o < Out; ++o)
      for (std::size_t i = 0; i < In; ++i) {
        unbiased[n * Out + o] += x[n * In + i] * weight[o * In + i];
        gx[n * In + i] += gy[n * Out + o] * weight[o * In + i];
        gweight[o * In + i] += gy[n * Out + o] * x[n * In + i];
      }
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = unbiased[i] + bias[i % Out];

  values result(items * Out, test::nan<double>);
  backend.linear_forward<In, Out>(items, x.data(), weight.data(), bias.data(), result.data());
  CHECK(test::error(result, y) < 1e-13);
  result.assign(items * Out, test::nan<double>);
  backend.linear_forward<In, Out>(items, x.data(), weight.data(), nullptr, result.data());
  CHECK(test::error(result, unbiased) < 1e-13);
  result.assign(items * In, test::nan<double>);
  backend.linear_backward_input<In, Out>(items, gy.data(), weight.data(), result.data());
  CHECK(test::error(result, gx) < 1e-13);
  result.assign(Out * In, test::nan<double>);
  backend.linear_backward_weight<In, Out>(items, x.data(), gy.data(), result.data());
  CHECK(test::error(result, gweight) < 1e-13);
}

// Rows: one item of a reduction, several, and more than the 64 items that there are at most.
const std::vector<std::size_t> row_counts{1, 2, 127, 128, 129, 300, 1001, 8200};

template <std::size_t Channels>
void check_sums() {
  cpu<double> backend;
  for (const std::size_t rows : row_counts) {
    CAPTURE(Channels, rows);
    const values x = test::normal<double>(rows * Channels, 5, 0.3), g = test::normal<double>(rows * Channels, 6, -0.2);
    const values mean = test::normal<double>(Channels, 7), inverse = test::normal<double>(Channels, 8, 2, 0.1);
    values plain(Channels), products(2 * Channels);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % Channels;
      plain[c] += x[i];
      products[c] += g[i];
      products[Channels + c] += g[i] * (x[i] - mean[c]) * inverse[c];
    }
    values result(Channels, test::nan<double>);
    backend.channel_sums<Channels>(rows, x.data(), result.data());
    CHECK(test::error(result, plain) < 1e-12);
    result.assign(2 * Channels, test::nan<double>);
    backend.normalisation_sums<Channels>(rows, x.data(), g.data(), mean.data(), inverse.data(), result.data());
    CHECK(test::error(result, products) < 1e-12);
  }
}

// The textbook's two passes, in long double.
template <std::size_t Channels, class Scalar>
void moments(const std::vector<Scalar>& x, values& mean, values& variance) {
  const auto rows = static_cast<long double>(x.size() / Channels);
  for (std::size_t c = 0; c < Channels; ++c) {
    long double sum = 0, squares = 0;
    for (std::size_t i = c; i < x.size(); i += Channels) sum += static_cast<long double>(x[i]);
    for (std::size_t i = c; i < x.size(); i += Channels) {
      const long double d = static_cast<long double>(x[i]) - sum / rows;
      squares += d * d;
    }
    mean[c] = static_cast<double>(sum / rows);
    variance[c] = static_cast<double>(squares / rows);
  }
}

template <std::size_t Channels, class Scalar>
void check_moments(double mean_of_data, double tolerance) {
  cpu<Scalar> backend;
  for (const std::size_t rows : row_counts) {
    CAPTURE(Channels, rows, mean_of_data);
    const auto x = test::normal<Scalar>(rows * Channels, 9, mean_of_data);
    values mean(Channels), variance(Channels), expected_mean(Channels), expected_variance(Channels);
    moments<Channels>(x, expected_mean, expected_variance);
    backend.template channel_moments<Channels>(rows, x.data(), mean.data(), variance.data());
    CHECK(test::error(mean, expected_mean) < tolerance);
    CHECK(test::error(variance, expected_variance) < tolerance);
  }
}

template <std::size_t Channels>
void check_affine() {
  cpu<double> backend;
  for (const std::size_t rows : row_counts) {
    CAPTURE(Channels, rows);
    const values x = test::normal<double>(rows * Channels, 10), z = test::normal<double>(rows * Channels, 11);
    const values a = test::normal<double>(Channels, 12), b = test::normal<double>(Channels, 13);
    const values d = test::normal<double>(Channels, 14);
    values one(x.size()), two(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % Channels;
      one[i] = a[c] * x[i] + d[c];
      two[i] = a[c] * x[i] + b[c] * z[i] + d[c];
    }
    values y(x.size(), test::nan<double>);
    backend.channel_affine<Channels>(rows, x.data(), nullptr, a.data(), nullptr, d.data(), y.data());
    CHECK(test::error(y, one) < 1e-14);
    backend.channel_affine<Channels>(rows, x.data(), z.data(), a.data(), b.data(), d.data(), y.data());
    CHECK(test::error(y, two) < 1e-14);
    y = x;
    backend.channel_affine<Channels>(rows, y.data(), z.data(), a.data(), b.data(), d.data(), y.data());
    CHECK(test::error(y, two) < 1e-14);
    y = z;
    backend.channel_affine<Channels>(rows, x.data(), y.data(), a.data(), b.data(), d.data(), y.data());
    CHECK(test::error(y, two) < 1e-14);
  }
}

}  // namespace

TEST_CASE("matrix products of one block and of many", "[linear]") {
  check_linear<1, 1>(1);
  check_linear<7, 5>(3);
  check_linear<64, 64>(64);
  check_linear<65, 63>(130);
  check_linear<300, 10>(67);
  check_linear<129, 131>(257);
  check_linear<10, 200>(1);
}

TEST_CASE("a linear layer sums the gradient of its bias over timesteps and batch", "[linear]") {
  using in = signal<shape<7>, 3>;
  test::lone_layer<cpu<double>, linear<5>, in> layer;
  const values x = test::normal<double>(3 * 4 * 7, 1), gy = test::normal<double>(3 * 4 * 5, 2);
  const values y = layer.forward(x);
  layer.backward(x, y, gy);
  values expected(y.size()), gbias(5);
  for (std::size_t i = 0; i < y.size(); ++i) {
    expected[i] = layer.parameter(1)[i % 5];
    for (std::size_t k = 0; k < 7; ++k) expected[i] += layer.parameter(0)[i % 5 * 7 + k] * x[i / 5 * 7 + k];
    gbias[i % 5] += gy[i];
  }
  CHECK(test::error(y, expected) < 1e-14);
  CHECK(test::error(layer.gradient(1), gbias) < 1e-14);
}

TEST_CASE("sums over the rows of each channel", "[statistics]") {
  check_sums<1>();
  check_sums<3>();
  check_sums<8>();
  check_sums<17>();
  check_sums<67>();
}

TEST_CASE("mean and variance of each channel, also far from 0", "[statistics]") {
  check_moments<1, double>(0.5, 1e-13);
  check_moments<5, double>(0.5, 1e-13);
  check_moments<16, double>(0.5, 1e-13);
  check_moments<35, double>(-3, 1e-13);
  // The difference of the mean square and the squared mean would be wrong from the fourth digit on.
  check_moments<1, double>(1e6, 1e-9);
  check_moments<19, double>(1e6, 1e-9);
  check_moments<19, float>(-0.5, 1e-5);
  check_moments<3, float>(1000, 1e-4);
}

TEST_CASE("scaling and adding channel by channel, also in place", "[statistics]") {
  check_affine<1>();
  check_affine<8>();
  check_affine<17>();
  check_affine<35>();
}
