// Threshold-dependent batch normalisation against its definition.
#include "spikenet/layer/tdbn.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

constexpr neuron neurons{.threshold = 0.4};

// The values of one channel of x [rows, Channels].
values channel_of(const values& x, std::size_t channel, std::size_t channels) {
  values own;
  for (std::size_t i = channel; i < x.size(); i += channels) own.push_back(x[i]);
  return own;
}

// T timesteps, InSteps of them different; maps of 3 x 4.
template <std::size_t Branches, std::size_t Channels, std::size_t T, std::size_t InSteps>
void check_training(std::size_t batch) {
  CAPTURE(Branches, Channels, T, InSteps, batch);
  test::lone_layer<cpu<double>, tdbn<Branches>, signal<shape<Channels, 3, 4>, InSteps>, T> layer{neurons};
  values& weight = layer.parameter(0);
  values& bias = layer.parameter(1);
  weight = test::normal<double>(Channels, 1, 1, 0.3);
  bias = test::normal<double>(Channels, 2);
  const values old_mean = layer.parameter(2) = test::normal<double>(Channels, 3);
  const values old_variance = layer.parameter(3) = test::normal<double>(Channels, 4, 5, 0.5);

  const values x = test::normal<double>(InSteps * batch * 12 * Channels, 5, 0.7, 2);
  const values gy = test::normal<double>(x.size(), 6);
  const values y = layer.forward(x);
  CHECK((layer.parameter(2) == old_mean && layer.parameter(3) == old_variance));
  const values gx = layer.backward(x, y, gy);
  CHECK((layer.parameter(2) == old_mean && layer.parameter(3) == old_variance));
  layer.update_statistics(batch);

  const double k = 0.4 / std::sqrt(static_cast<double>(Branches));
  for (std::size_t c = 0; c < Channels; ++c) {
    CAPTURE(c);
    const values own = channel_of(x, c, Channels), g = channel_of(gy, c, Channels);
    const auto m = static_cast<double>(own.size());
    double mean = 0, variance = 0;
    for (const double v : own) mean += v / m;
    for (const double v : own) variance += (v - mean) * (v - mean) / m;
    const double inverse = 1 / std::sqrt(variance + 1e-5);

    values z, expected_y, expected_gx;
    double gweight = 0, gbias = 0;
    for (const double v : own) z.push_back((v - mean) * inverse);
    for (std::size_t i = 0; i < own.size(); ++i) {
      expected_y.push_back(k * weight[c] * z[i] + bias[c]);
      gweight += g[i] * k * z[i];
      gbias += g[i];
      // Row i of the transposed Jacobian: every output depends on every input.
      double sum = 0;
      for (std::size_t j = 0; j < own.size(); ++j) sum += g[j] * ((i == j ? 1.0 : 0.0) - 1 / m - z[i] * z[j] / m);
      expected_gx.push_back(k * weight[c] * inverse * sum);
    }
    CHECK(test::error(channel_of(y, c, Channels), expected_y) < 1e-13);
    CHECK(test::error(channel_of(gx, c, Channels), expected_gx) < 1e-12);
    CHECK(layer.gradient(0)[c] == Approx(gweight).epsilon(1e-11).margin(1e-12));
    CHECK(layer.gradient(1)[c] == Approx(gbias).epsilon(1e-11).margin(1e-12));

    // An input that is the same at every timestep stands for T times as many values.
    const double count = m * static_cast<double>(T / InSteps);
    CHECK(layer.parameter(2)[c] == Approx(0.9 * old_mean[c] + 0.1 * mean).epsilon(1e-13));
    CHECK(layer.parameter(3)[c] == Approx(0.9 * old_variance[c] + 0.1 * variance * count / (count - 1)).epsilon(1e-13));
  }
}

}  // namespace

TEST_CASE("tdBN in training: output, gradients, running statistics", "[tdbn]") {
  check_training<1, 5, 1, 1>(3);
  check_training<1, 8, 3, 3>(2);
  check_training<2, 5, 2, 2>(3);
  check_training<3, 1, 2, 2>(1);
}

TEST_CASE("tdBN of an input that is the same at every timestep counts it at every timestep", "[tdbn]") {
  check_training<1, 5, 4, 1>(2);
  check_training<2, 3, 3, 1>(1);
}

TEST_CASE("tdBN in evaluation uses the running statistics and leaves them alone", "[tdbn]") {
  constexpr std::size_t channels = 5;
  test::lone_layer<cpu<double>, tdbn<2>, signal<shape<channels, 2, 3>, 2>> layer{neurons};
  for (std::size_t i = 0; i < 4; ++i) layer.parameter(i) = test::normal<double>(channels, i, i == 3 ? 5 : 1, 0.3);
  const values mean = layer.parameter(2), variance = layer.parameter(3);
  const values x = test::normal<double>(2 * 3 * 6 * channels, 7, 10);
  const values y = layer.forward(x, false);
  values expected;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % channels;
    const double z = (x[i] - mean[c]) / std::sqrt(variance[c] + 1e-5);
    expected.push_back(layer.parameter(0)[c] * 0.4 / std::sqrt(2.0) * z + layer.parameter(1)[c]);
  }
  CHECK(test::error(y, expected) < 1e-14);
  CHECK((layer.parameter(2) == mean && layer.parameter(3) == variance));
}

TEST_CASE("tdBN of a vector normalises each feature over timesteps and batch", "[tdbn]") {
  test::lone_layer<cpu<double>, tdbn<>, signal<shape<3>, 2>> layer{neurons};
  const values x{1, 20, 5, 3, 40, 5, 5, 60, 5, 7, 80, 5};
  const values y = layer.forward(x);
  // Mean 4 and variance 5; mean 50 and variance 500; a feature that never changes gives its bias, 0.
  for (std::size_t row = 0; row < 4; ++row) {
    CHECK(y[row * 3] == Approx(0.4 * (2 * static_cast<double>(row) - 3) / std::sqrt(5 + 1e-5)).epsilon(1e-14));
    CHECK(y[row * 3 + 1] == Approx(0.4 * (20 * static_cast<double>(row) - 30) / std::sqrt(500 + 1e-5)).epsilon(1e-14));
    CHECK(std::abs(y[row * 3 + 2]) < 1e-12);
  }
}

TEST_CASE("tdBN refuses to be trained on a single value per channel", "[tdbn]") {
  const auto message = says("only 1 value per channel here; at least 2 are needed");
  test::lone_layer<cpu<double>, tdbn<>, signal<shape<2>, 1>> once{neurons};
  CHECK_THROWS_MATCHES(once.forward({3, -2}), argument_error, message);
  CHECK(once.parameter(3)[0] == 1);
  CHECK(once.forward({3, -2}, false)[0] == Approx(3 * 0.4 / std::sqrt(1 + 1e-5)));  // evaluation may
  // The same value at 4 timesteps is one value, and of a map of 1 x 1, too; two timesteps of their own are two values.
  test::lone_layer<cpu<double>, tdbn<>, signal<shape<2>, 1>, 4> repeated{neurons};
  CHECK_THROWS_MATCHES(repeated.forward({3, -2}), argument_error, message);
  test::lone_layer<cpu<double>, tdbn<>, signal<shape<2, 1, 1>, 1>, 4> map{neurons};
  CHECK_THROWS_MATCHES(map.forward({3, -2}), argument_error, message);
  test::lone_layer<cpu<double>, tdbn<>, signal<shape<2>, 2>> two_steps{neurons};
  CHECK(two_steps.forward({3, -2, 5, 4})[0] == Approx(-0.4).epsilon(1e-4));
  CHECK(repeated.forward({3, -2, 5, 4})[0] == Approx(-0.4).epsilon(1e-4));  // and so are two images
}
