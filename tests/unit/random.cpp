#include "spikenet/core/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <vector>

#include "catch.hpp"

using spikenet::random_stream;
using spikenet::seed;
using spikenet::detail::philox;
using spikenet::detail::philox_block;

static_assert(std::uniform_random_bit_generator<random_stream>);

TEST_CASE("Philox4x32-10 gives the known answers of Random123", "[random]") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == philox_block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        philox_block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        philox_block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a random stream is Philox with the position and the stream as counter, the seed as key", "[random]") {
  const std::uint64_t key = 0x299f31d0a4093822, stream = 0x0370734413198a2e;
  random_stream random{seed{key}, stream};
  for (std::uint32_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : philox({block, 0, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}))
      CHECK(random() == word);
}

TEST_CASE("streams and seeds differ from each other, copies go on alike", "[random]") {
  std::set<std::uint32_t> first;
  for (std::uint64_t s = 0; s < 4; ++s)
    for (std::uint64_t stream : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 60})
      first.insert(random_stream{seed{s << 31}, stream}());
  CHECK(first.size() == 16);

  random_stream one{seed{7}, 3};
  for (int i = 0; i < 5; ++i) one();
  random_stream two = one;
  for (int i = 0; i < 20; ++i) CHECK(one() == two());
}

TEST_CASE("uniform numbers lie in their range and have its moments", "[random]") {
  constexpr int n = 200000;
  random_stream random{seed{11}};
  double sum = 0, squares = 0, low = 1, high = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    sum += u, squares += u * u;
    low = std::min(low, u), high = std::max(high, u);
  }
  CHECK(low >= 0.0);
  CHECK(high < 1.0);
  CHECK(low < 1e-4);
  CHECK(high > 1 - 1e-4);
  // Six standard errors: sqrt(1/12/n) and sqrt(4/45/n).
  CHECK(std::abs(sum / n - 0.5) < 6 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 6 * std::sqrt(4.0 / 45 / n));

  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform(-3.0, -1.0);
    CHECK((u >= -3.0 && u < -1.0));
  }
}

TEST_CASE("normal numbers have the moments and the tails of a standard normal", "[random]") {
  constexpr int n = 200000;
  random_stream random{seed{12}};
  std::array<double, 5> moment{};
  int beyond_two = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    finite = finite && std::isfinite(x);
    if (std::abs(x) > 2) ++beyond_two;
    for (std::size_t k = 1; k < moment.size(); ++k) moment[k] += std::pow(x, static_cast<double>(k)) / n;
  }
  CHECK(finite);
  // Six standard errors; the variances of x, x^2, x^3 and x^4 are 1, 2, 15 and 96.
  CHECK(std::abs(moment[1] - 0) < 6 * std::sqrt(1.0 / n));
  CHECK(std::abs(moment[2] - 1) < 6 * std::sqrt(2.0 / n));
  CHECK(std::abs(moment[3] - 0) < 6 * std::sqrt(15.0 / n));
  CHECK(std::abs(moment[4] - 3) < 6 * std::sqrt(96.0 / n));
  const double tail = 0.0455002639;  // P(|x| > 2)
  CHECK(std::abs(static_cast<double>(beyond_two) / n - tail) < 6 * std::sqrt(tail * (1 - tail) / n));
}

TEST_CASE("below() reaches every number under its bound equally often", "[random]") {
  random_stream random{seed{13}};
  for (const std::uint32_t bound : {1u, 2u, 3u, 7u, 10u, 64u}) {
    constexpr int per_value = 2000;
    std::vector<int> count(bound);
    bool in_range = true;
    for (std::uint32_t i = 0; i < bound * per_value; ++i) {
      const std::uint32_t x = random.below(bound);
      in_range = in_range && x < bound;
      if (x < bound) ++count[x];
    }
    CHECK(in_range);
    for (const int c : count) CHECK(std::abs(c - per_value) < 6 * std::sqrt(per_value));
  }
}

TEST_CASE("below() has no bias where 2^32 is far from a multiple of the bound", "[random]") {
  // Of 2^32 numbers folded into 3 * 2^30 without rejection, the residues 0 mod 3 would come twice as often as others.
  random_stream random{seed{14}};
  constexpr std::uint32_t bound = 3u << 30;
  constexpr int n = 30000;
  std::array<int, 3> residues{};
  for (int i = 0; i < n; ++i) {
    const std::uint32_t x = random.below(bound);
    REQUIRE(x < bound);
    ++residues[x % 3];
  }
  for (const int r : residues) CHECK(std::abs(r - n / 3) < 6 * std::sqrt(n * 2.0 / 9));
}

TEST_CASE("shuffle permutes, and all permutations of four come equally often", "[random]") {
  random_stream random{seed{15}};
  std::vector<int> many(1000);
  std::iota(many.begin(), many.end(), 0);
  const auto sorted = many;
  random.shuffle(std::span{many});
  CHECK(many != sorted);
  CHECK(std::is_permutation(many.begin(), many.end(), sorted.begin()));

  constexpr int n = 24000;
  std::array<int, 256> count{};
  for (int i = 0; i < n; ++i) {
    std::array<std::size_t, 4> items{0, 1, 2, 3};
    random.shuffle(std::span<std::size_t>{items});
    ++count[items[0] << 6 | items[1] << 4 | items[2] << 2 | items[3]];
  }
  std::size_t reached = 0;
  for (const int c : count) {
    if (c == 0) continue;
    ++reached;
    CHECK(std::abs(c - n / 24) < 6 * std::sqrt(n / 24.0));
  }
  CHECK(reached == 24);

  std::vector<int> none;
  random.shuffle(std::span{none});
  std::vector<int> one{5};
  random.shuffle(std::span{one});
  CHECK(one == std::vector<int>{5});
}
