#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "spikenet/data/dataset.hpp"

using namespace spikenet;

namespace {

// n images of 2x1x3 whose first pixel is their index.
image_dataset numbered(std::size_t n) {
  image_dataset data{.channels = 2, .height = 1, .width = 3, .pixels = std::vector<std::uint8_t>(n * 6), .labels = {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.pixels[i * 6] = static_cast<std::uint8_t>(i);
    data.labels.push_back(static_cast<std::int32_t>(i % 10));
  }
  return data;
}

std::vector<std::uint32_t> list(std::span<const std::uint32_t> indices) { return {indices.begin(), indices.end()}; }

}  // namespace

// A subset refers to its data set, so a temporary must not compile.
static_assert(std::is_constructible_v<subset, const image_dataset&>);
static_assert(!std::is_constructible_v<subset, image_dataset>);
static_assert(!std::is_constructible_v<subset, image_dataset, std::vector<std::uint32_t>>);

TEST_CASE("a data set hands out its images", "[data]") {
  const auto data = numbered(5);
  CHECK(data.size() == 5);
  CHECK(data.shape() == image_shape{2, 1, 3});
  CHECK(data.shape().size() == 6);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(data.image(i).size() == 6);
    CHECK(data.image(i)[0] == i);
    CHECK(data.image(i).data() == data.pixels.data() + 6 * i);
  }
}

TEST_CASE("a subset is all images, the chosen ones, or the first", "[data]") {
  const auto data = numbered(5);
  const subset all = data;
  CHECK(list(all.indices()) == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
  const subset chosen{data, {4, 0, 4}};
  CHECK(chosen.size() == 3);
  CHECK(list(chosen.indices()) == std::vector<std::uint32_t>{4, 0, 4});
  CHECK(list(chosen.first(2).indices()) == std::vector<std::uint32_t>{4, 0});
  CHECK(chosen.first(0).size() == 0);
  CHECK(&chosen.first(1).dataset() == &data);
  CHECK_THROWS_AS(chosen.first(4), argument_error);
  CHECK_THROWS_WITH(chosen.first(4), "4 images were asked of a subset of 3.");
}

TEST_CASE("a subset refuses indices that do not exist and data sets that do not add up", "[data]") {
  auto data = numbered(5);
  CHECK_THROWS_AS((subset{data, {0, 5}}), argument_error);
  CHECK_THROWS_WITH((subset{data, {0, 5}}), "Image 5 was asked of a data set of 5 images.");

  const image_dataset three{.channels = 1, .height = 2, .width = 2, .pixels = {1, 2, 3}, .labels = {0}};
  CHECK_THROWS_WITH(subset{three}, "The data set has 1 labels, but 3 pixels, where that many images of 1x2x2 have 4.");
  SECTION("a label too many") { data.labels.push_back(0); }
  SECTION("a pixel too many") { data.pixels.push_back(0); }
  SECTION("an image too many") { data.pixels.resize(36); }
  SECTION("no pixels") { data.pixels.clear(); }
  SECTION("no extent") { data.width = 0; }
  CHECK_THROWS_AS(subset{data}, argument_error);
}

TEST_CASE("a split divides the images without loss, both sides in order", "[data]") {
  const auto data = numbered(100);
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{10}, std::size_t{99}}) {
    const auto [training, validation] = split(data, count, seed{3});
    CHECK(validation.size() == count);
    CHECK(training.size() == 100 - count);
    std::set<std::uint32_t> together;
    for (const subset& side : {training, validation}) {
      CHECK(std::is_sorted(side.indices().begin(), side.indices().end()));
      together.insert(side.indices().begin(), side.indices().end());
    }
    CHECK(together.size() == 100);
  }
}

TEST_CASE("a split depends on its seed alone and takes from everywhere", "[data]") {
  const auto data = numbered(100);
  const auto validation = [&](std::uint64_t s) { return list(split(data, 10, seed{s}).validation.indices()); };
  CHECK(validation(1) == validation(1));
  CHECK(validation(1) != validation(2));

  std::vector<int> drawn(100);
  constexpr int seeds = 2000;
  for (int s = 0; s < seeds; ++s)
    for (const std::uint32_t i : validation(static_cast<std::uint64_t>(s))) ++drawn[i];
  for (const int d : drawn) CHECK(std::abs(d - seeds / 10) < 6 * 14);  // 14: sqrt(2000 * 0.1 * 0.9), rounded up
}

TEST_CASE("a subset can be split again", "[data]") {
  const auto data = numbered(20);
  const subset odd{data, {19, 17, 15, 13, 11, 9, 7, 5, 3, 1}};
  const auto [training, validation] = split(odd, 4, seed{1});
  CHECK(training.size() == 6);
  CHECK(validation.size() == 4);
  for (const subset& side : {training, validation}) {
    for (const std::uint32_t i : side.indices()) CHECK(i % 2 == 1);
    // The order of `odd` is descending.
    CHECK(std::is_sorted(side.indices().rbegin(), side.indices().rend()));
  }
}

TEST_CASE("a split leaves at least one training image", "[data]") {
  const auto data = numbered(5);
  CHECK_THROWS_AS(split(data, 5, seed{1}), argument_error);
  CHECK_THROWS_AS(split(data, 6, seed{1}), argument_error);
  CHECK_THROWS_WITH(split(data, 6, seed{1}), "A validation set of 6 leaves no training image of 5.");
  CHECK_THROWS_AS(split(subset{data, {}}, 0, seed{1}), argument_error);
}
