// Both gradients of a convolution of spikes in one pass, against the operations it replaces.
#include "spikenet/backend/cpu/convolution_backward.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "catch.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Channels in, height, width, channels out.
template <std::size_t In, std::size_t Height, std::size_t Width, std::size_t Out>
using g = conv2d_geometry<In, Height, Width, Out, 3, 1, 1, 1, 1>;

template <class G>
using fused = detail::convolution_backward<float, G>;

struct gradients {
  std::vector<float> weight, input;
};

template <class G>
struct operands {
  static constexpr std::size_t spike_row = spike_bytes<G::in_channels>;
  std::size_t items;
  std::vector<float> weight = test::normal<float>(G::out_channels * G::in_channels * 9, 1);
  std::vector<float> g = test::normal<float>(items * G::out_size, 2), z = test::normal<float>(items * G::out_size, 3);
  std::vector<float> a = test::normal<float>(G::out_channels, 4), b = test::normal<float>(G::out_channels, 5),
                     d = test::normal<float>(G::out_channels, 6);
  std::vector<float> before = test::normal<float>(items * G::in_size, 7);  // what is in gx
  std::vector<std::uint8_t> spikes = std::vector<std::uint8_t>(items * G::in_height * G::in_width * spike_row);

  explicit operands(std::size_t n) : items{n} {
    random_stream random(seed{8});
    for (std::uint8_t& byte : spikes) byte = static_cast<std::uint8_t>(random() & random() & 255);
  }

  // One after another: the gradient by the output, then the gradients of the convolution.
  gradients one_by_one(bool add) const {
    detail::thread_pool pool(1);
    std::vector<float> gy(g.size());
    using blocks = detail::blocks_of_channels<float, G::out_channels>;
    detail::channel_affine<blocks>(pool, G::out_channels, gy.size() / G::out_channels, g.data(), z.data(), a.data(),
                                   b.data(), d.data(), gy.data());
    gradients result{std::vector<float>(weight.size()), std::vector<float>(before.size())};
    detail::spike_convolution_scratch<float> scratch;
    detail::spike_convolution<float, G>::backward_weight(pool, scratch, items, spikes.data(), gy.data(),
                                                         result.weight.data());
    detail::winograd_scratch<float> winograd;
    detail::winograd_convolution<float, G>::backward_input(pool, winograd, items, gy.data(), weight.data(),
                                                           result.input.data());
    if (add) {
      for (std::size_t i = 0; i < before.size(); ++i) result.input[i] += before[i];
    }
    return result;
  }

  gradients at_once(bool add, bool with_input, std::size_t threads) const {
    detail::thread_pool pool(threads);
    static detail::winograd_scratch<float> winograd;  // one for all shapes, as in a network
    static detail::spike_convolution_scratch<float> scratch;
    static buffer<float> reduction;
    gradients result{std::vector<float>(weight.size()), before};
    fused<G>::run(pool, winograd, scratch, reduction, items, spikes.data(), weight.data(), g.data(), z.data(), a.data(),
                  b.data(), d.data(), result.weight.data(), with_input ? result.input.data() : nullptr, add);
    return result;
  }
};

double largest_difference(const std::vector<float>& x, const std::vector<float>& y) {
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
  }
  return largest;
}

template <class G>
void check(std::size_t items) {
  CAPTURE(G::in_channels, G::in_height, G::in_width, G::out_channels, items);
  static_assert(fused<G>::applies);
  const operands<G> o(items);
  for (const bool add : {false, true}) {
    const gradients expected = o.one_by_one(add), actual = o.at_once(add, true, 1);
    // The same operations on the same numbers; only a compiler may contract them in another way.
    CHECK(largest_difference(actual.input, expected.input) < 1e-4);
    CHECK(largest_difference(actual.weight, expected.weight) < 1e-5 * static_cast<double>(items) * 100);
    const gradients threaded = o.at_once(add, true, 3);
    CHECK(threaded.input == actual.input);
    CHECK(threaded.weight == actual.weight);
    const gradients by_weight = o.at_once(add, false, 2);
    CHECK(by_weight.weight == actual.weight);
    CHECK(by_weight.input == o.before);
  }
}

}  // namespace

TEST_CASE("fused backward pass of a convolution: the gradients of the separate operations") {
  check<g<16, 28, 28, 16>>(5);
  check<g<32, 14, 14, 32>>(37);
  check<g<64, 7, 7, 64>>(19);
  check<g<16, 9, 13, 32>>(3);
  check<g<16, 28, 28, 16>>(1);
}

TEST_CASE("fused backward pass of a convolution: for which shapes") {
  CHECK(fused<g<16, 28, 28, 16>>::applies);
  CHECK(fused<g<64, 7, 7, 64>>::applies);
  CHECK_FALSE(fused<g<256, 7, 7, 256>>::applies);                                 // wide
  CHECK_FALSE(fused<conv2d_geometry<16, 28, 28, 32, 3, 2, 1, 1, 1>>::applies);    // stride 2
  CHECK_FALSE(detail::convolution_backward<double, g<16, 28, 28, 16>>::applies);  // not for double
}
