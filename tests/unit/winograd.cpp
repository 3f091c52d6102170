// The convolution by Winograd's method against the direct one in double precision.
#include "spikenet/backend/cpu/winograd.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Channels in, height, width, channels out.
template <std::size_t In, std::size_t Height, std::size_t Width, std::size_t Out>
using g = conv2d_geometry<In, Height, Width, Out, 3, 1, 1, 1, 1>;

template <class T, class G>
using winograd = detail::winograd_convolution<T, G>;

template <class G>
std::string text() {
  const auto say = [](std::size_t n) { return std::to_string(n); };
  return say(G::in_channels) + "x" + say(G::in_height) + "x" + say(G::in_width) + " -> " + say(G::out_channels) +
         " channels";
}

template <class T>
struct operands {
  std::vector<T> x, gy, weight, bias;
};

// Of float numbers, so that those of all types are the same.
template <class T, class G>
operands<T> random_operands(std::size_t items) {
  const auto numbers = [](std::size_t count, std::uint64_t seed) {
    const auto values = test::normal<float>(count, seed);
    return std::vector<T>(values.begin(), values.end());
  };
  return {numbers(items * G::in_size, 1), numbers(items * G::out_size, 2),
          numbers(G::out_channels * G::in_channels * 9, 3), numbers(G::out_channels, 4)};
}

template <class T>
struct results {
  std::vector<T> y, unbiased, gx;
  bool operator==(const results&) const = default;
};

// Each of the three between values that must survive.
template <class Convolution, class Scratch, class T, class G>
results<T> compute(std::size_t threads, Scratch& scratch, std::size_t items, const operands<T>& o) {
  detail::thread_pool pool(threads);
  const auto framed = [&](std::size_t size, auto call) {
    test::target<T> memory(size);
    call(memory.data());
    REQUIRE(memory.within_bounds());
    return memory.values();
  };
  return {
      framed(items * G::out_size,
             [&](T* y) { Convolution::forward(pool, scratch, items, o.x.data(), o.weight.data(), o.bias.data(), y); }),
      framed(items * G::out_size,
             [&](T* y) { Convolution::forward(pool, scratch, items, o.x.data(), o.weight.data(), nullptr, y); }),
      framed(items * G::in_size,
             [&](T* gx) { Convolution::backward_input(pool, scratch, items, o.gy.data(), o.weight.data(), gx); })};
}

// One scratch memory for all shapes, as in a network: what a convolution leaves there must not matter to the next.
template <class T, class G>
results<T> by_winograd(std::size_t items, const operands<T>& o, std::size_t threads = 1) {
  static detail::winograd_scratch<T> scratch;
  return compute<winograd<T, G>, detail::winograd_scratch<T>, T, G>(threads, scratch, items, o);
}

template <class G>
results<double> directly(std::size_t items) {
  detail::convolution_scratch<double> scratch;
  return compute<detail::convolution<double, G>, detail::convolution_scratch<double>, double, G>(
      1, scratch, items, random_operands<double, G>(items));
}

template <class G>
void check(std::size_t items) {
  CAPTURE(text<G>(), items);
  const results<double> expected = directly<G>(items);
  const auto compare = [&](const auto& actual, double tolerance) {
    CHECK(test::error(actual.y, expected.y) < tolerance);
    CHECK(test::error(actual.unbiased, expected.unbiased) < tolerance);
    CHECK(test::error(actual.gx, expected.gx) < tolerance);
  };
  compare(by_winograd<float, G>(items, random_operands<float, G>(items)), 4e-6);
  compare(by_winograd<double, G>(items, random_operands<double, G>(items)), 1e-14);
}

template <class... Geometries>
void check_all(std::size_t items) {
  (check<Geometries>(items), ...);
}

}  // namespace

TEST_CASE("Winograd's method on the maps of a network", "[winograd]") {
  check_all<g<16, 28, 28, 16>, g<32, 14, 14, 32>, g<64, 7, 7, 64>>(3);
}

TEST_CASE("Winograd's method on maps that tiles do not divide", "[winograd]") {
  check_all<g<16, 5, 5, 16>, g<16, 8, 6, 16>, g<16, 3, 9, 16>, g<16, 10, 11, 16>, g<16, 1, 13, 16>, g<16, 4, 4, 16>>(1);
}

TEST_CASE("Winograd's method on maps smaller than a tile", "[winograd]") {
  check_all<g<16, 1, 1, 16>, g<16, 2, 1, 16>, g<16, 3, 3, 16>>(2);
}

TEST_CASE("Winograd's method with fewer, more and other channels out than in", "[winograd]") {
  // 3 * 16 and 5 * 16: numbers of vectors that registers' tiles do not divide
  check_all<g<16, 7, 6, 48>, g<80, 5, 7, 16>, g<48, 6, 6, 80>, g<128, 4, 5, 96>>(2);
}

TEST_CASE("Winograd's method on single vectors of channels", "[winograd]") {
  constexpr std::size_t L = detail::lanes<double>;
  using shape = g<L, 9, 7, 3 * L>;
  const results<double> expected = directly<shape>(3);
  const results<double> actual = by_winograd<double, shape>(3, random_operands<double, shape>(3));
  CHECK(test::error(actual.y, expected.y) < 1e-14);
  CHECK(test::error(actual.gx, expected.gx) < 1e-14);
}

TEST_CASE("Winograd's method on batches of one to many chunks", "[winograd]") {
  for (const std::size_t items : {1u, 2u, 5u, 6u, 7u, 37u}) check<g<16, 6, 7, 16>>(items);
}

TEST_CASE("Winograd's method gives the same bits at any number of threads", "[winograd]") {
  const auto same = []<class G>(G, std::size_t items) {
    CAPTURE(text<G>());
    const auto o = random_operands<float, G>(items);
    const results<float> one = by_winograd<float, G>(items, o);
    for (const std::size_t threads : {2u, 3u, 5u}) CHECK(by_winograd<float, G>(items, o, threads) == one);
  };
  same(g<16, 28, 28, 16>{}, 7);
  same(g<32, 14, 14, 32>{}, 9);
  same(g<64, 7, 7, 64>{}, 23);
}

TEST_CASE("Winograd's method makes zeros of zeros and stays finite", "[winograd]") {
  using shape = g<32, 14, 14, 32>;
  constexpr std::size_t items = 2;
  auto o = random_operands<float, shape>(items);
  const auto all_zero = [](const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return v == 0; });
  };
  operands<float> no_input = o, no_weight = o;
  std::fill(no_input.x.begin(), no_input.x.end(), 0.0f);
  std::fill(no_input.gy.begin(), no_input.gy.end(), 0.0f);
  std::fill(no_weight.weight.begin(), no_weight.weight.end(), 0.0f);
  for (const operands<float>& zeros : {no_input, no_weight}) {
    const results<float> result = by_winograd<float, shape>(items, zeros);
    CHECK((all_zero(result.unbiased) && all_zero(result.gx)));
    for (std::size_t i = 0; i < result.y.size(); ++i) REQUIRE(result.y[i] == zeros.bias[i % 32]);
  }

  // Far from 1 in both directions: errors are relative to the largest value
  const results<double> expected = directly<shape>(items);
  for (const float scale : {1e30f, 1e-30f}) {
    operands<float> scaled = o;
    for (float& value : scaled.gy) value *= scale;
    results<float> result = by_winograd<float, shape>(items, scaled);
    std::vector<double> gx(result.gx.begin(), result.gx.end());
    for (double& value : gx) value /= static_cast<double>(scale);
    CHECK(test::error(gx, expected.gx) < 4e-6);
  }
}

TEST_CASE("where Winograd's method can be used and where it should", "[winograd]") {
  // Not by windows of another size, stride, padding or dilation, nor in groups, nor by parts of a vector
  STATIC_REQUIRE(!winograd<float, conv2d_geometry<16, 8, 8, 16, 5, 1, 1, 1, 1>>::fits);
  STATIC_REQUIRE(!winograd<float, conv2d_geometry<16, 8, 8, 16, 3, 2, 1, 1, 1>>::fits);
  STATIC_REQUIRE(!winograd<float, conv2d_geometry<16, 8, 8, 16, 3, 1, 0, 1, 1>>::fits);
  STATIC_REQUIRE(!winograd<float, conv2d_geometry<16, 8, 8, 16, 3, 1, 1, 2, 1>>::fits);
  STATIC_REQUIRE(!winograd<float, conv2d_geometry<32, 8, 8, 32, 3, 1, 1, 1, 2>>::fits);
  STATIC_REQUIRE(!winograd<float, g<3, 8, 8, 16>>::fits);
  STATIC_REQUIRE(!winograd<float, g<16, 8, 8, 10>>::fits);

  STATIC_REQUIRE(winograd<float, g<16, 28, 28, 16>>::applies);
  STATIC_REQUIRE(winograd<float, g<32, 14, 14, 32>>::applies);
  STATIC_REQUIRE(winograd<float, g<64, 7, 7, 64>>::applies);
  STATIC_REQUIRE(winograd<float, g<512, 7, 7, 512>>::applies);
  STATIC_REQUIRE(!winograd<double, g<16, 28, 28, 16>>::applies);  // double is for exactness
  STATIC_REQUIRE(!winograd<float, g<16, 1, 1, 16>>::applies);     // most of the tile would be wasted
  STATIC_REQUIRE(!winograd<float, g<16, 5, 5, 16>>::applies);     // most of three tiles of four
}
