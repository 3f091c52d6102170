#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "spikenet/data/transform.hpp"

using namespace spikenet;

namespace {

using bytes = std::vector<std::uint8_t>;

// An order of images. Not that of std::vector, which g++ 12 takes for a read beyond the end (-Wstringop-overread).
struct value_by_value {
  bool operator()(const bytes& a, const bytes& b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), std::less<>{});
  }
};

constexpr image_shape small{2, 4, 5};

// 1, 2, 3, ...: every pixel is told from every other and from black.
bytes distinct() {
  bytes image(small.size());
  std::iota(image.begin(), image.end(), std::uint8_t{1});
  return image;
}

// The definition: pad all sides, cut out the original size at (top, left).
bytes pad_and_crop(const bytes& image, std::size_t padding, std::size_t top, std::size_t left) {
  const std::size_t height = small.height + 2 * padding, width = small.width + 2 * padding;
  bytes padded(small.channels * height * width), result(image.size());
  for (std::size_t c = 0; c < small.channels; ++c)
    for (std::size_t y = 0; y < small.height; ++y)
      for (std::size_t x = 0; x < small.width; ++x)
        padded[(c * height + y + padding) * width + x + padding] = image[(c * small.height + y) * small.width + x];
  for (std::size_t c = 0; c < small.channels; ++c)
    for (std::size_t y = 0; y < small.height; ++y)
      for (std::size_t x = 0; x < small.width; ++x)
        result[(c * small.height + y) * small.width + x] = padded[(c * height + y + top) * width + x + left];
  return result;
}

bytes mirrored(const bytes& image) {
  bytes result(image.size());
  for (std::size_t row = 0; row < small.channels * small.height; ++row)
    for (std::size_t x = 0; x < small.width; ++x)
      result[row * small.width + x] = image[row * small.width + small.width - 1 - x];
  return result;
}

}  // namespace

static_assert(image_transform<random_crop>);
static_assert(image_transform<horizontal_flip>);
static_assert(!image_transform<normalise>);

TEST_CASE("a random crop is one of the crops of the padded image, each equally often", "[data][transform]") {
  const bytes image = distinct();
  for (const std::size_t padding : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    const std::size_t places = 2 * padding + 1;
    std::map<bytes, int, value_by_value> drawn;
    for (std::size_t top = 0; top < places; ++top)
      for (std::size_t left = 0; left < places; ++left) drawn[pad_and_crop(image, padding, top, left)] = 0;
    REQUIRE(drawn.size() == places * places);

    constexpr int per_crop = 400;
    random_stream random{seed{padding}};
    for (std::size_t i = 0; i < per_crop * places * places; ++i) {
      bytes crop = image;
      random_crop{.padding = padding}(crop, small, random);
      REQUIRE(drawn.count(crop) == 1);
      ++drawn[crop];
    }
    for (const auto& [crop, count] : drawn) CHECK(std::abs(count - per_crop) < 6 * std::sqrt(per_crop));
  }
}

TEST_CASE("a shift moves the image by exactly what it says", "[data][transform]") {
  const bytes image = distinct();
  for (std::ptrdiff_t down = -3; down <= 3; ++down)
    for (std::ptrdiff_t right = -3; right <= 3; ++right) {
      bytes shifted = image;
      random_crop::shift(shifted, small, down, right);
      CHECK(shifted == pad_and_crop(image, 3, static_cast<std::size_t>(3 + down), static_cast<std::size_t>(3 + right)));
    }
}

TEST_CASE("a padding that could lose the whole image is refused", "[data][transform]") {
  bytes image = distinct();
  random_stream random{seed{}};
  CHECK_THROWS_AS(random_crop{.padding = 4}(image, small, random), argument_error);
  CHECK_THROWS_WITH(random_crop{.padding = 4}(image, small, random),
                    "random_crop: a padding of 4 is too large for images of 4x5.");
  CHECK_THROWS_AS(random_crop{.padding = std::numeric_limits<std::size_t>::max()}(image, small, random),
                  argument_error);
  CHECK(image == distinct());
  const image_shape narrow{2, 5, 4};
  CHECK_THROWS_AS(random_crop{.padding = 4}(image, narrow, random), argument_error);
  CHECK_NOTHROW(random_crop{.padding = 3}(image, narrow, random));
}

TEST_CASE("a flip mirrors every row of every channel, as often as it should", "[data][transform]") {
  const bytes image = distinct(), mirror = mirrored(image);
  for (const double probability : {0.0, 0.1, 0.5, 1.0}) {
    constexpr int n = 10000;
    int flipped = 0;
    random_stream random{seed{21}};
    for (int i = 0; i < n; ++i) {
      bytes result = image;
      horizontal_flip{.probability = probability}(result, small, random);
      REQUIRE((result == image || result == mirror));
      if (result == mirror) ++flipped;
    }
    CHECK(std::abs(flipped - probability * n) <= 6 * std::sqrt(n * probability * (1 - probability)));
  }
}

TEST_CASE("what is not a probability is refused", "[data][transform]") {
  bytes image = distinct();
  random_stream random{seed{}};
  for (const double p : {-0.1, 1.1, std::numeric_limits<double>::infinity(), std::nan("")})
    CHECK_THROWS_AS(horizontal_flip{.probability = p}(image, small, random), argument_error);
  CHECK_THROWS_WITH(horizontal_flip{.probability = 1.5}(image, small, random),
                    "horizontal_flip: 1.5 is not a probability.");
}

TEST_CASE("transforms are applied one after another on one stream", "[data][transform]") {
  const bytes image = distinct();
  const auto invert = [](std::span<std::uint8_t> pixels, const image_shape&, random_stream&) {
    for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(255 - pixel);
  };
  transforms three{random_crop{2}, invert};
  three.then(horizontal_flip{0.5});
  const transforms copy = three;  // not a list with `three` as its step

  for (std::uint64_t s = 0; s < 20; ++s) {
    bytes expected = image, result = image, of_copy = image;
    random_stream random{seed{s}};
    random_crop{2}(expected, small, random);
    invert(expected, small, random);
    horizontal_flip{0.5}(expected, small, random);

    random_stream again{seed{s}}, once_more{seed{s}};
    three.apply(result, small, again);
    copy.apply(of_copy, small, once_more);
    CHECK(result == expected);
    CHECK(of_copy == expected);
    CHECK(random() == again());
  }

  const transforms none;
  CHECK(none.empty());
  CHECK_FALSE(three.empty());
  bytes untouched = image;
  random_stream random{seed{}};
  none.apply(untouched, small, random);
  CHECK(untouched == image);
}

TEST_CASE("normalise scales bytes to [0, 1], then takes off the mean and divides by the deviation",
          "[data][transform]") {
  const normalise plain;
  CHECK(plain(0, 0) == 0.0);
  CHECK(plain(51, 2) == 0.2);
  CHECK(plain(255, 1) == 1.0);

  const normalise mnist{.mean = {0.1307}, .stddev = {0.3081}};
  mnist.check(1);
  mnist.check(3);
  CHECK(mnist(0, 0) == Approx(-0.42421292));
  CHECK(mnist(255, 0) == Approx(2.82148653));

  const normalise colour{.mean = {0.5, 0.25}, .stddev = {0.5, 2.0}};
  colour.check(2);
  CHECK(colour(255, 0) == 1.0);
  CHECK(colour(255, 1) == 0.375);
}

TEST_CASE("normalise refuses what would not give finite numbers", "[data][transform]") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const double s : {0.0, -1.0, nan, infinity})
    CHECK_THROWS_AS((normalise{.mean = {0}, .stddev = {s}}.check(1)), argument_error);
  for (const double m : {nan, infinity, -infinity})
    CHECK_THROWS_AS((normalise{.mean = {m}, .stddev = {1}}.check(1)), argument_error);
  CHECK_THROWS_AS((normalise{.mean = {0, 0}, .stddev = {1}}.check(3)), argument_error);
  CHECK_THROWS_AS((normalise{.mean = {0}, .stddev = {1, 1}}.check(1)), argument_error);
  CHECK_THROWS_AS((normalise{.mean = {}, .stddev = {1}}.check(1)), argument_error);
  CHECK_THROWS_WITH((normalise{.mean = {0}, .stddev = {0.0}}.check(1)),
                    "normalise: the standard deviation 0 is not positive and finite.");
  CHECK_THROWS_WITH((normalise{.mean = {0, 1}, .stddev = {1}}.check(3)),
                    "normalise: there are 2 means, where images of 3 channel(s) need 1 or one for each.");
  CHECK_THROWS_WITH((normalise{.mean = {0}, .stddev = {1, 1}}.check(3)),
                    "normalise: there are 2 standard deviations, where images of 3 channel(s) need 1 or one for each.");
  // Numbers that a float cannot hold, or not apart.
  for (const normalise& n : {normalise{.mean = {0}, .stddev = {1e-200}}, normalise{.mean = {0}, .stddev = {1e50}},
                             normalise{.mean = {1e9}, .stddev = {1}}}) {
    CHECK_NOTHROW(n.check(1));
    CHECK_THROWS_WITH(n.check<float>(1), Catch::Matchers::StartsWith("normalise: the mean and standard deviation of "
                                                                     "channel 0 turn the bytes 0 and 255 into "));
  }
  CHECK_THROWS_AS((normalise{.mean = {0}, .stddev = {1e-310}}.check(1)), argument_error);
}

TEST_CASE("normalise::of measures each channel over the images of a subset", "[data][transform]") {
  const image_dataset data{.channels = 2,
                           .height = 1,
                           .width = 2,
                           .pixels = {0, 255, 10, 30, 255, 0, 10, 30, 99, 98, 97, 96},
                           .labels = {0, 0, 0}};
  const auto measured = normalise::of(subset{data, {0, 1}});
  REQUIRE(measured.mean.size() == 2);
  REQUIRE(measured.stddev.size() == 2);
  CHECK(measured.mean[0] == Approx(0.5));
  CHECK(measured.stddev[0] == Approx(0.5));
  CHECK(measured.mean[1] == Approx(20 / 255.0));
  CHECK(measured.stddev[1] == Approx(10 / 255.0));

  CHECK_THROWS_AS(normalise::of(subset{data, {}}), argument_error);
  const image_dataset grey{
      .channels = 1, .height = 1, .width = 3, .pixels = {201, 201, 201, 201, 201, 201}, .labels = {0, 0}};
  CHECK_THROWS_AS(normalise::of(grey), argument_error);
  CHECK_THROWS_WITH(normalise::of(grey), "normalise: all pixels of channel 0 are alike.");
}
