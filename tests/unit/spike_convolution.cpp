// The convolutions of packed spikes against the dense ones in double, and against themselves at other thread counts.
#include "spikenet/backend/cpu/spike_convolution.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "spikenet/core/random.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

template <class G>
std::string text() {
  const auto say = [](std::size_t n) { return std::to_string(n); };
  return say(G::in_channels) + "x" + say(G::in_height) + "x" + say(G::in_width) + " -> " + say(G::out_channels) +
         " channels, kernel " + say(G::kernel) + ", stride " + say(G::stride) + ", padding " + say(G::padding) +
         ", dilation " + say(G::dilation) + ", groups " + say(G::groups);
}

// The same spikes twice: [items, H, W, Cin] of 0 and 1, and packed.
template <class G>
struct spikes {
  std::vector<double> dense;
  std::vector<std::uint8_t> packed;

  spikes(std::size_t items, double density)
      : dense(items * G::in_size), packed(items * G::in_height * G::in_width * bytes) {
    random_stream random{seed{5}};
    for (std::size_t i = 0; i < dense.size(); ++i) {
      // uniform in [0, 1): a density of 1 fires always, of 0 never
      if (!(static_cast<double>(random()) / 4294967296.0 < density)) continue;
      dense[i] = 1;
      const std::size_t channel = i % G::in_channels;
      packed[i / G::in_channels * bytes + channel / 8] |= static_cast<std::uint8_t>(1u << (channel % 8));
    }
  }

 private:
  static constexpr std::size_t bytes = spike_bytes<G::in_channels>;
};

template <class Scalar>
struct convolved {
  std::vector<Scalar> y, gweight;

  friend bool operator==(const convolved& a, const convolved& b) {
    return same_bits(a.y, b.y) && same_bits(a.gweight, b.gweight);
  }
  static bool same_bits(const std::vector<Scalar>& a, const std::vector<Scalar>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Scalar)) == 0;
  }
};

template <class G>
struct operands {
  std::vector<double> weight = test::normal<double>(G::out_channels * G::group_in * G::kernel * G::kernel, 3);
  std::vector<double> bias = test::normal<double>(G::out_channels, 4), gy;

  explicit operands(std::size_t items) : gy(test::normal<double>(items * G::out_size, 2)) {
    // numbers that a float holds, so that both precisions compute the same thing
    for (std::vector<double>* values : {&weight, &bias, &gy})
      for (double& value : *values) value = static_cast<double>(static_cast<float>(value));
  }
};

// One scratch memory for all geometries, as in a network: what a convolution leaves there is the next one's.
template <class Scalar>
detail::spike_convolution_scratch<Scalar>& scratch_of() {
  static detail::spike_convolution_scratch<Scalar> scratch;
  return scratch;
}

template <class Scalar, class G>
convolved<Scalar> convolve(std::size_t threads, std::size_t items, const spikes<G>& x, const operands<G>& o,
                           bool with_bias) {
  const std::vector<Scalar> weight(o.weight.begin(), o.weight.end()), bias(o.bias.begin(), o.bias.end());
  const std::vector<Scalar> gy(o.gy.begin(), o.gy.end());
  detail::thread_pool pool(threads);
  test::target<Scalar> y(gy.size()), gweight(weight.size());
  using spike_convolution = detail::spike_convolution<Scalar, G>;
  spike_convolution::forward(pool, scratch_of<Scalar>(), items, x.packed.data(), weight.data(),
                             with_bias ? bias.data() : nullptr, y.data());
  spike_convolution::backward_weight(pool, scratch_of<Scalar>(), items, x.packed.data(), gy.data(), gweight.data());
  CHECK((y.within_bounds() && gweight.within_bounds()));
  return {y.values(), gweight.values()};
}

template <class G>
void check(std::size_t items) {
  detail::thread_pool one_thread(1);
  detail::convolution_scratch<double> dense_scratch;
  using dense = detail::convolution<double, G>;
  const operands<G> o(items);
  for (const double density : {0.0, 0.02, 0.15, 1.0}) {  // 0.02: most of the windows are silent
    CAPTURE(text<G>(), items, density);
    const spikes<G> x(items, density);
    const bool with_bias = density < 1;
    convolved<double> expected{std::vector<double>(o.gy.size()), std::vector<double>(o.weight.size())};
    dense::forward(one_thread, dense_scratch, items, x.dense.data(), o.weight.data(),
                   with_bias ? o.bias.data() : nullptr, expected.y.data());
    dense::backward_weight(one_thread, dense_scratch, items, x.dense.data(), o.gy.data(), expected.gweight.data());

    const auto in_double = convolve<double>(1, items, x, o, with_bias);
    CHECK(test::error(in_double.y, expected.y) < 1e-12);
    CHECK(test::error(in_double.gweight, expected.gweight) < 1e-12);
    const auto in_float = convolve<float>(1, items, x, o, with_bias);
    CHECK(test::error(in_float.y, expected.y) < 4e-6);
    CHECK(test::error(in_float.gweight, expected.gweight) < 4e-6);
    for (const std::size_t threads : {2u, 3u, 5u}) {
      CAPTURE(threads);
      CHECK(convolve<float>(threads, items, x, o, with_bias) == in_float);
      CHECK(convolve<double>(threads, items, x, o, with_bias) == in_double);
    }
  }
}

template <class... Geometries>
void check_all(std::size_t items) {
  (check<Geometries>(items), ...);
}

// conv2d_geometry<in channels, height, width, out channels, kernel, stride, padding, dilation, groups>
template <std::size_t... N>
using g = conv2d_geometry<N...>;

// The moments that a convolution tells of its output, against those of the output it has written.
template <class Scalar, class G>
void check_moments(std::size_t items, double tolerance) {
  CAPTURE(text<G>(), items);
  using spike_convolution = detail::spike_convolution<Scalar, G>;
  static_assert(spike_convolution::tells_moments);
  const operands<G> o(items);
  const spikes<G> x(items, 0.2);
  const convolved<Scalar> untold = convolve<Scalar, G>(1, items, x, o, true);
  const std::vector<Scalar> weight(o.weight.begin(), o.weight.end()), bias(o.bias.begin(), o.bias.end());
  std::vector<double> first_mean, first_variance;
  for (const std::size_t threads : {std::size_t{1}, std::size_t{3}}) {
    detail::thread_pool pool(threads);
    test::target<Scalar> y(untold.y.size());
    std::vector<double> mean(G::out_channels), variance(G::out_channels);
    spike_convolution::forward(pool, scratch_of<Scalar>(), items, x.packed.data(), weight.data(), bias.data(), y.data(),
                               mean.data(), variance.data());
    CHECK(y.within_bounds());
    CHECK(convolved<Scalar>::same_bits(y.values(), untold.y));
    if (threads == 1) {
      first_mean = mean, first_variance = variance;
      for (std::size_t c = 0; c < G::out_channels; ++c) {
        double sum = 0, squares = 0;
        const std::size_t rows = untold.y.size() / G::out_channels;
        for (std::size_t row = 0; row < rows; ++row) sum += static_cast<double>(untold.y[row * G::out_channels + c]);
        const double expected = sum / static_cast<double>(rows);
        for (std::size_t row = 0; row < rows; ++row) {
          const double d = static_cast<double>(untold.y[row * G::out_channels + c]) - expected;
          squares += d * d;
        }
        CHECK(mean[c] == Approx(expected).epsilon(tolerance).margin(tolerance));
        CHECK(variance[c] == Approx(squares / static_cast<double>(rows)).epsilon(tolerance).margin(tolerance));
      }
    }
    CHECK(mean == first_mean);
    CHECK(variance == first_variance);
  }
}

}  // namespace

TEST_CASE("spike convolutions of one pixel", "[spike_convolution]") {
  check_all<g<1, 1, 1, 1, 1, 1, 0, 1, 1>, g<5, 3, 6, 3, 1, 1, 0, 1, 1>, g<16, 7, 7, 32, 1, 2, 0, 1, 1>,
            g<3, 4, 5, 2, 1, 1, 1, 1, 1>, g<9, 3, 2, 3, 1, 3, 4, 1, 1>>(3);
}

TEST_CASE("spike convolutions of 2 x 2", "[spike_convolution]") {
  check_all<g<2, 5, 5, 8, 2, 4, 0, 1, 1>, g<2, 2, 1, 8, 2, 3, 2, 1, 1>, g<3, 6, 7, 5, 2, 1, 1, 2, 1>>(3);
}

TEST_CASE("spike convolutions of 3 x 3", "[spike_convolution]") {
  check_all<g<3, 7, 9, 5, 3, 1, 1, 1, 1>, g<10, 8, 7, 6, 3, 2, 1, 1, 1>, g<4, 11, 13, 8, 3, 2, 2, 2, 1>,
            g<4, 3, 3, 8, 3, 1, 0, 1, 1>, g<2, 2, 1, 8, 3, 3, 2, 1, 1>, g<6, 12, 10, 17, 3, 1, 1, 1, 1>,
            g<9, 5, 4, 1, 3, 1, 1, 1, 1>, g<2, 4, 70, 3, 3, 1, 1, 1, 1>>(3);
}

TEST_CASE("spike convolutions of long rows", "[spike_convolution]") {
  check_all<g<8, 5, 31, 8, 3, 1, 1, 1, 1>, g<12, 3, 47, 16, 5, 1, 2, 1, 1>>(2);
}

TEST_CASE("spike convolutions of 4 x 4 and 5 x 5", "[spike_convolution]") {
  check_all<g<3, 9, 8, 4, 4, 3, 2, 1, 1>, g<2, 7, 8, 3, 4, 1, 3, 2, 1>, g<2, 9, 10, 3, 5, 2, 4, 2, 1>,
            g<3, 5, 5, 4, 5, 4, 3, 1, 1>, g<12, 6, 6, 40, 5, 1, 2, 1, 1>>(2);
}

TEST_CASE("spike convolutions of groups of channels", "[spike_convolution]") {
  check_all<g<6, 5, 7, 9, 3, 1, 1, 1, 3>, g<10, 6, 6, 10, 3, 2, 1, 1, 10>, g<24, 5, 5, 40, 3, 1, 2, 2, 2>,
            g<22, 4, 5, 6, 1, 1, 0, 1, 2>>(3);
}

TEST_CASE("spike convolutions whose tables fill several slices", "[spike_convolution]") {
  check_all<g<37, 7, 7, 20, 3, 1, 1, 1, 1>, g<64, 7, 7, 64, 3, 2, 1, 1, 1>, g<100, 5, 6, 70, 3, 1, 1, 1, 1>>(1);
  check_all<g<37, 7, 7, 20, 3, 1, 1, 1, 1>, g<64, 7, 7, 64, 3, 2, 1, 1, 1>, g<70, 5, 6, 34, 3, 2, 1, 1, 2>>(9);
}

TEST_CASE("spike convolutions of many items", "[spike_convolution]") {
  check_all<g<16, 28, 28, 16, 3, 1, 1, 1, 1>>(37);
  check_all<g<16, 5, 5, 32, 3, 1, 1, 1, 1>, g<8, 1, 1, 8, 1, 1, 0, 1, 1>>(300);
}

TEST_CASE("spike convolutions tell the moments of their outputs", "[spike_convolution]") {
  check_moments<float, g<16, 28, 28, 16, 3, 1, 1, 1, 1>>(19, 1e-5);  // several chunks
  check_moments<float, g<32, 7, 7, 64, 3, 2, 1, 1, 1>>(5, 1e-5);
  check_moments<float, g<256, 4, 4, 32, 3, 1, 1, 1, 1>>(3, 1e-5);  // several slices of tables
  check_moments<double, g<16, 9, 5, 16, 3, 1, 1, 1, 1>>(3, 1e-13);
  check_moments<double, g<16, 1, 1, 16, 1, 1, 0, 1, 1>>(1, 1e-13);  // a single pixel
}
