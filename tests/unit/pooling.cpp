// Layers that only reshape or average: against plain loops, and backward as the adjoint of forward.
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

// [items, H, W, C]
struct map_values {
  std::size_t channels, height, width;
  values data;
  double at(std::size_t item, std::size_t c, std::size_t row, std::size_t column) const {
    return data[((item * height + row) * width + column) * channels + c];
  }
};

// <gy, A x> = <A^T gy, x> for a linear layer A: that backward is the adjoint of a forward that was checked.
template <class Layer>
void check_adjoint(Layer& layer, const values& x, const values& y) {
  const values gy = test::normal<double>(y.size(), 77);
  const values gx = layer.backward(x, y, gy);
  REQUIRE(gx.size() == x.size());
  CHECK(test::dot(gy, y) == Approx(test::dot(gx, x)).epsilon(1e-12));
  // For every input by itself, so that no errors can cancel.
  values unit(x.size());
  for (std::size_t i = 0; i < x.size(); i += 7) {
    unit[i] = 1;
    CHECK(gx[i] == Approx(test::dot(gy, layer.forward(unit))).epsilon(1e-12).margin(1e-14));
    unit[i] = 0;
  }
}

template <std::size_t Kernel, std::size_t Stride, std::size_t C, std::size_t H, std::size_t W, class... Options>
void check_avg_pool() {
  CAPTURE(Kernel, Stride, C, H, W);
  constexpr std::size_t rows = (H - Kernel) / Stride + 1, columns = (W - Kernel) / Stride + 1, items = 2 * 3;
  test::lone_layer<cpu<double>, avg_pool2d<Kernel, Options...>, signal<shape<C, H, W>, 2>> layer;
  STATIC_REQUIRE(std::is_same_v<typename decltype(layer)::output::shape, shape<C, rows, columns>>);
  const map_values x{C, H, W, test::normal<double>(items * C * H * W, 1)};
  const map_values y{C, rows, columns, layer.forward(x.data)};
  REQUIRE(y.data.size() == items * C * rows * columns);
  for (std::size_t n = 0; n < items; ++n)
    for (std::size_t c = 0; c < C; ++c)
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t column = 0; column < columns; ++column) {
          double sum = 0;
          for (std::size_t k = 0; k < Kernel; ++k)
            for (std::size_t l = 0; l < Kernel; ++l) sum += x.at(n, c, row * Stride + k, column * Stride + l);
          CHECK(y.at(n, c, row, column) == Approx(sum / (Kernel * Kernel)).epsilon(1e-13).margin(1e-14));
        }
  check_adjoint(layer, x.data, y.data);
}

}  // namespace

TEST_CASE("average pooling", "[pooling]") {
  check_avg_pool<2, 2, 3, 6, 4>();
  check_avg_pool<2, 2, 3, 7, 5>();  // the last row and column belong to no window
  check_avg_pool<3, 2, 4, 7, 6, stride<2>>();
  check_avg_pool<2, 3, 1, 8, 9, stride<3>>();  // rows and columns between the windows
  check_avg_pool<3, 1, 2, 5, 3, stride<1>>();
  check_avg_pool<1, 1, 2, 3, 3>();
}

TEST_CASE("global average pooling", "[pooling]") {
  test::lone_layer<cpu<double>, global_avg_pool, signal<shape<5, 3, 4>, 2>> layer;
  const map_values x{5, 3, 4, test::normal<double>(2 * 3 * 60, 1)};
  const values y = layer.forward(x.data);
  REQUIRE(y.size() == 2 * 3 * 5);
  for (std::size_t i = 0; i < y.size(); ++i) {
    double sum = 0;
    for (std::size_t row = 0; row < 3; ++row)
      for (std::size_t column = 0; column < 4; ++column) sum += x.at(i / 5, i % 5, row, column);
    CHECK(y[i] == Approx(sum / 12).epsilon(1e-13).margin(1e-14));
  }
  check_adjoint(layer, x.data, y);
}

TEST_CASE("flattening puts channels outermost, as PyTorch does", "[pooling]") {
  test::lone_layer<cpu<double>, flatten, signal<shape<3, 2, 4>, 2, content::spikes>> layer;
  STATIC_REQUIRE(decltype(layer)::output::holds == content::spikes);
  map_values x{3, 2, 4, test::normal<double>(2 * 3 * 24, 1)};
  for (double& spike : x.data) spike = spike > 0 ? 1 : 0;
  const values y = layer.forward(x.data);
  REQUIRE(y.size() == x.data.size());
  std::size_t i = 0;
  for (std::size_t n = 0; n < 2 * 3; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t row = 0; row < 2; ++row)
        for (std::size_t column = 0; column < 4; ++column) CHECK(y[i++] == x.at(n, c, row, column));
  check_adjoint(layer, x.data, y);
}

TEST_CASE("a linear layer after flatten reads the image in the order it was given", "[pooling]") {
  // In PyTorch: nn.Linear(24, 4)(images.flatten(1))
  network<cpu<double>, timesteps<2>, image<3, 2, 4>, flatten, linear<4>> net{seed{3}};
  const auto weight = test::tensor_of(net, "1.weight"), bias = test::tensor_of(net, "1.bias");
  REQUIRE((weight.size() == 4 * 24 && bias.size() == 4));
  const values images = test::normal<double>(5 * 24, 2);
  values expected;
  for (std::size_t n = 0; n < 5; ++n)
    for (std::size_t o = 0; o < 4; ++o) {
      expected.push_back(bias[o]);
      for (std::size_t i = 0; i < 24; ++i) expected.back() += weight[o * 24 + i] * images[n * 24 + i];
    }
  CHECK(test::error(net.evaluate(images), expected) < 1e-14);

  // The gradient of the weights: sum over the batch of gradient x image, in the same order.
  const std::vector<std::int32_t> labels{0, 1, 2, 3, 0};
  net.compute_gradients(images, labels, mean_squared_error{});
  values gweight(4 * 24);
  for (std::size_t n = 0; n < 5; ++n)
    for (std::size_t o = 0; o < 4; ++o) {
      const double g = 2 * (expected[n * 4 + o] - (labels[n] == static_cast<std::int32_t>(o) ? 1 : 0)) / 20;
      for (std::size_t i = 0; i < 24; ++i) gweight[o * 24 + i] += g * images[n * 24 + i];
    }
  CHECK(test::error(test::gradients(net)[0].values, gweight) < 1e-13);
}
