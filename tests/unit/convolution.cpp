// The convolution of the CPU backend against seven nested loops.
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "spikenet/layer/conv2d.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

struct numbers {
  std::size_t in, height, width, out, kernel, stride, padding, dilation, groups;

  std::size_t out_extent(std::size_t extent) const {
    return (extent + 2 * padding - (dilation * (kernel - 1) + 1)) / stride + 1;
  }
  std::size_t in_size() const { return in * height * width; }
  std::size_t out_size() const { return out * out_extent(height) * out_extent(width); }
  std::size_t weights() const { return out * (in / groups) * kernel * kernel; }

  std::string text() const {
    const auto say = [](std::size_t n) { return std::to_string(n); };
    return say(in) + "x" + say(height) + "x" + say(width) + " -> " + say(out) + " channels, kernel " + say(kernel) +
           ", stride " + say(stride) + ", padding " + say(padding) + ", dilation " + say(dilation) + ", groups " +
           say(groups);
  }
};

struct convolved {
  std::vector<double> y, gx, gweight;
};

// x and gx [items, H, W, Cin], y and gy [items, Ho, Wo, Cout], weights [Cout, Cin/groups, K, K]. No bias where empty.
template <class Scalar>
convolved convolve(const numbers& n, std::size_t items, const std::vector<Scalar>& x, const std::vector<Scalar>& weight,
                   const std::vector<Scalar>& bias, const std::vector<Scalar>& gy) {
  convolved result{std::vector<double>(items * n.out_size()), std::vector<double>(x.size()),
                   std::vector<double>(weight.size())};
  const std::size_t rows = n.out_extent(n.height), columns = n.out_extent(n.width);
  const std::size_t group_in = n.in / n.groups, group_out = n.out / n.groups;
  for (std::size_t item = 0; item < items; ++item)
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t column = 0; column < columns; ++column)
        for (std::size_t out = 0; out < n.out; ++out) {
          const std::size_t at_y = ((item * rows + row) * columns + column) * n.out + out;
          if (!bias.empty()) result.y[at_y] = static_cast<double>(bias[out]);
          for (std::size_t in = 0; in < group_in; ++in)
            for (std::size_t k = 0; k < n.kernel; ++k)
              for (std::size_t l = 0; l < n.kernel; ++l) {
                const std::size_t i = row * n.stride + k * n.dilation, j = column * n.stride + l * n.dilation;
                if (i < n.padding || i - n.padding >= n.height || j < n.padding || j - n.padding >= n.width) continue;
                const std::size_t at_x = ((item * n.height + i - n.padding) * n.width + j - n.padding) * n.in +
                                         out / group_out * group_in + in;
                const std::size_t at_weight = ((out * group_in + in) * n.kernel + k) * n.kernel + l;
                result.y[at_y] += static_cast<double>(weight[at_weight]) * static_cast<double>(x[at_x]);
                result.gx[at_x] += static_cast<double>(weight[at_weight]) * static_cast<double>(gy[at_y]);
                result.gweight[at_weight] += static_cast<double>(gy[at_y]) * static_cast<double>(x[at_x]);
              }
        }
  return result;
}

// One backend for all geometries, as in a network: what a convolution leaves in its scratch memory is the next one's.
template <class Scalar>
cpu<Scalar>& backend_of() {
  static cpu<Scalar> backend;
  return backend;
}

template <class Scalar, class G>
void check(std::size_t items, double tolerance) {
  constexpr numbers n{G::in_channels, G::in_height, G::in_width, G::out_channels, G::kernel,
                      G::stride,      G::padding,   G::dilation, G::groups};
  CAPTURE(n.text(), items);
  REQUIRE(G::out_size == n.out_size());
  cpu<Scalar>& backend = backend_of<Scalar>();
  const auto x = test::normal<Scalar>(items * n.in_size(), 1), gy = test::normal<Scalar>(items * n.out_size(), 2);
  const auto weight = test::normal<Scalar>(n.weights(), 3), bias = test::normal<Scalar>(n.out, 4);

  test::target<Scalar> y(gy.size()), y_unbiased(gy.size()), gx(x.size()), gweight(weight.size());
  backend.template conv2d_forward<G>(items, x.data(), weight.data(), bias.data(), y.data());
  backend.template conv2d_forward<G>(items, x.data(), weight.data(), nullptr, y_unbiased.data());
  backend.template conv2d_backward_input<G>(items, gy.data(), weight.data(), gx.data());
  backend.template conv2d_backward_weight<G>(items, x.data(), gy.data(), gweight.data());

  const convolved expected = convolve(n, items, x, weight, bias, gy);
  CHECK(test::error(y.values(), expected.y) < tolerance);
  CHECK(test::error(y_unbiased.values(), convolve(n, items, x, weight, {}, gy).y) < tolerance);
  CHECK(test::error(gx.values(), expected.gx) < tolerance);
  CHECK(test::error(gweight.values(), expected.gweight) < tolerance);
  CHECK((y.within_bounds() && y_unbiased.within_bounds() && gx.within_bounds() && gweight.within_bounds()));
}

template <class Scalar, class... Geometries>
void check_all(std::size_t items, double tolerance) {
  (check<Scalar, Geometries>(items, tolerance), ...);
}

// conv2d_geometry<in channels, height, width, out channels, kernel, stride, padding, dilation, groups>
template <std::size_t... N>
using g = conv2d_geometry<N...>;

constexpr double exact = 1e-13, single = 5e-6;

}  // namespace

TEST_CASE("convolutions of one pixel", "[convolution]") {
  check_all<double, g<1, 1, 1, 1, 1, 1, 0, 1, 1>, g<5, 3, 6, 3, 1, 1, 0, 1, 1>, g<4, 7, 7, 8, 1, 2, 0, 1, 1>,
            g<3, 4, 5, 2, 1, 1, 1, 1, 1>, g<2, 3, 2, 3, 1, 3, 4, 1, 1>>(3, exact);
}

TEST_CASE("convolutions of 2 x 2", "[convolution]") {
  check_all<double, g<2, 5, 5, 8, 2, 4, 0, 1, 1>, g<2, 2, 1, 8, 2, 3, 2, 1, 1>, g<3, 6, 7, 5, 2, 1, 1, 2, 1>>(3, exact);
}

TEST_CASE("convolutions of 3 x 3", "[convolution]") {
  check_all<double, g<3, 7, 9, 5, 3, 1, 1, 1, 1>, g<4, 8, 7, 6, 3, 2, 1, 1, 1>, g<4, 11, 13, 8, 3, 2, 2, 2, 1>,
            g<4, 3, 3, 8, 3, 1, 0, 1, 1>, g<2, 2, 1, 8, 3, 3, 2, 1, 1>, g<1, 12, 10, 1, 3, 1, 1, 1, 1>,
            g<9, 5, 4, 1, 3, 1, 1, 1, 1>, g<2, 4, 70, 3, 3, 1, 1, 1, 1>>(3, exact);
}

TEST_CASE("convolutions of 4 x 4 and 5 x 5", "[convolution]") {
  check_all<double, g<3, 9, 8, 4, 4, 3, 2, 1, 1>, g<2, 7, 8, 3, 4, 1, 3, 2, 1>, g<2, 9, 10, 3, 5, 2, 4, 2, 1>,
            g<3, 5, 5, 4, 5, 4, 3, 1, 1>, g<2, 6, 6, 4, 5, 1, 2, 1, 1>>(2, exact);
}

TEST_CASE("grouped and depthwise convolutions", "[convolution]") {
  check_all<double, g<4, 8, 7, 16, 3, 2, 1, 1, 2>, g<4, 11, 13, 8, 5, 3, 0, 1, 4>, g<6, 9, 9, 6, 3, 1, 1, 1, 6>,
            g<5, 6, 7, 10, 3, 2, 1, 2, 5>, g<6, 5, 5, 9, 2, 1, 1, 1, 3>>(3, exact);
}

TEST_CASE("convolutions whose channels fill the vector registers", "[convolution]") {
  check_all<double, g<8, 7, 6, 8, 3, 1, 1, 1, 1>, g<16, 6, 7, 32, 3, 2, 1, 1, 1>, g<32, 4, 4, 16, 1, 1, 0, 1, 1>,
            g<33, 4, 5, 31, 3, 1, 1, 1, 1>>(2, exact);
}

TEST_CASE("convolutions of more items than there are partial sums", "[convolution]") {
  check_all<double, g<3, 5, 6, 4, 3, 1, 1, 1, 1>, g<3, 5, 6, 4, 3, 2, 1, 1, 1>>(37, exact);
}

TEST_CASE("convolutions in single precision", "[convolution]") {
  check_all<float, g<1, 28, 28, 16, 3, 1, 1, 1, 1>, g<16, 9, 9, 16, 3, 1, 1, 1, 1>, g<32, 7, 7, 64, 3, 2, 1, 1, 1>,
            g<20, 8, 6, 40, 3, 2, 1, 1, 1>, g<7, 6, 5, 3, 4, 2, 2, 1, 1>, g<16, 5, 6, 32, 1, 2, 0, 1, 1>,
            g<12, 7, 7, 12, 3, 1, 2, 2, 12>>(3, single);
}

TEST_CASE("a conv2d layer has PyTorch's output size and the gradient of its bias", "[convolution]") {
  constexpr std::size_t steps = 2, batch = 3;
  using in = signal<shape<4, 9, 6>, steps>;
  using layer_type = conv2d<6, 3, stride<2>, dilation<2>, groups<2>, with_bias>;
  test::lone_layer<cpu<double>, layer_type, in> layer;
  constexpr numbers n{4, 9, 6, 6, 3, 2, 2, 2, 2};  // padding<dilation * (kernel / 2)> unless it is stated
  STATIC_REQUIRE(std::is_same_v<decltype(layer)::output::shape, shape<6, 5, 3>>);

  const auto x = test::normal<double>(steps * batch * n.in_size(), 5);
  const auto gy = test::normal<double>(steps * batch * n.out_size(), 6);
  const auto y = layer.forward(x);
  const auto gx = layer.backward(x, y, gy);
  const convolved expected = convolve(n, steps * batch, x, layer.parameter(0), layer.parameter(1), gy);
  CHECK(test::error(y, expected.y) < exact);
  CHECK(test::error(gx, expected.gx) < exact);
  CHECK(test::error(layer.gradient(0), expected.gweight) < exact);
  std::vector<double> gbias(6);
  for (std::size_t i = 0; i < gy.size(); ++i) gbias[i % 6] += gy[i];
  CHECK(test::error(layer.gradient(1), gbias) < exact);
}
