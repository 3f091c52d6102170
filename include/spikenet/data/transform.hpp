// What happens to an image on its way from the data set to a batch: augmentation, which moves bytes around at random,
// and normalisation, which turns them into numbers. In this order, which is also torchvision's: the border that a crop
// adds is black before normalisation, so that it looks like the background of MNIST.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/core/setting.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/data/dataset.hpp"

namespace spikenet {

// A transform changes one image, [channels, height, width], in place. It draws from the stream it is given and from
// nothing else, and it does not change itself: several images may be under way at once. It throws argument_error when
// its parameters are out of range or do not suit the shape. Lambdas of this form are transforms.
template <class T>
concept image_transform = requires(const T& transform, std::span<std::uint8_t> image, random_stream& random) {
  transform(image, image_shape{}, random);
};

// Shifts the image by up to `padding` pixels each way and fills what becomes free with 0. The same as padding by that
// many pixels on all sides and cutting out the original size at random, torchvision's RandomCrop(size, padding).
struct random_crop {
  std::size_t padding = 4;

  // Throws argument_error unless `padding` is less than height and width: a larger one could lose the whole image.
  void operator()(std::span<std::uint8_t> image, const image_shape& shape, random_stream& random) const {
    if (padding >= shape.height || padding >= shape.width)
      throw argument_error("random_crop: a padding of " + std::to_string(padding) + " is too large for images of " +
                           std::to_string(shape.height) + "x" + std::to_string(shape.width) + ".");
    const auto draw = [&] {
      return static_cast<std::ptrdiff_t>(random.below(static_cast<std::uint32_t>(2 * padding + 1))) -
             static_cast<std::ptrdiff_t>(padding);
    };
    const std::ptrdiff_t down = draw(), right = draw();
    shift(image, shape, down, right);
  }

  // Pixel (y, x) becomes what was at (y + down, x + right), or 0 where that lies outside. |right| must be below width.
  static void shift(std::span<std::uint8_t> image, const image_shape& shape, std::ptrdiff_t down,
                    std::ptrdiff_t right) noexcept {
    if (down == 0 && right == 0) return;
    const auto height = static_cast<std::ptrdiff_t>(shape.height), width = static_cast<std::ptrdiff_t>(shape.width);
    const std::ptrdiff_t kept = width - std::abs(right);
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
      std::uint8_t* const plane = image.data() + channel * shape.height * shape.width;
      for (std::ptrdiff_t i = 0; i < height; ++i) {
        // In place: no row may be overwritten before it has been moved.
        const std::ptrdiff_t y = down >= 0 ? i : height - 1 - i;
        std::uint8_t* const row = plane + y * width;
        if (y + down < 0 || y + down >= height) {
          std::fill_n(row, width, std::uint8_t{0});
          continue;
        }
        const std::uint8_t* const source = plane + (y + down) * width;
        if (right >= 0) {
          std::copy(source + right, source + width, row);
          std::fill(row + kept, row + width, std::uint8_t{0});
        } else {
          std::copy_backward(source, source + kept, row + width);
          std::fill(row, row - right, std::uint8_t{0});
        }
      }
    }
  }
};

// Mirrors the image, left for right, with this probability.
struct horizontal_flip {
  double probability = 0.5;

  // Throws argument_error unless `probability` is in [0, 1].
  void operator()(std::span<std::uint8_t> image, const image_shape& shape, random_stream& random) const {
    if (!(probability >= 0.0 && probability <= 1.0))
      throw argument_error("horizontal_flip: " + detail::text_of(probability) + " is not a probability.");
    if (random.uniform() >= probability) return;
    for (std::size_t row = 0; row < shape.channels * shape.height; ++row) {
      const std::span pixels = image.subspan(row * shape.width, shape.width);
      std::reverse(pixels.begin(), pixels.end());
    }
  }
};

// Transforms one after another: `transforms{random_crop{.padding = 2}, horizontal_flip{}}`. None: images stay as they
// are. Which ones is decided at run time, so that a program can offer augmentation as an option.
class transforms {
 public:
  transforms() = default;

  template <image_transform... Ts>
  transforms(Ts... steps) : steps_{step{std::move(steps)}...} {}

  template <image_transform T>
  transforms& then(T next) {
    steps_.push_back(step{std::move(next)});
    return *this;
  }

  bool empty() const noexcept { return steps_.empty(); }

  // Applies all of them to one image, in order, in place.
  void apply(std::span<std::uint8_t> image, const image_shape& shape, random_stream& random) const {
    for (const step& next : steps_) next(image, shape, random);
  }

 private:
  using step = std::function<void(std::span<std::uint8_t>, const image_shape&, random_stream&)>;
  std::vector<step> steps_;
};

// Turns a byte x into (x / 255 - mean) / stddev, per channel; one entry serves all channels. By default x / 255.
// For the MNIST training set: normalise{.mean = {0.1307}, .stddev = {0.3081}}.
struct normalise {
  std::vector<double> mean = {0.0};
  std::vector<double> stddev = {1.0};

  // The number for a byte in this channel, which must be one that `check` has accepted.
  double operator()(std::uint8_t value, std::size_t channel) const noexcept {
    const double m = mean.size() == 1 ? mean[0] : mean[channel];
    const double s = stddev.size() == 1 ? stddev[0] : stddev[channel];
    return (value / 255.0 - m) / s;
  }

  // Throws argument_error unless there are one or `channels` finite means and standard deviations, the latter positive,
  // that turn the bytes 0 and 255 into two finite numbers as Scalar holds them.
  template <class Scalar = double>
  void check(std::size_t channels) const {
    for (const auto& [values, name] : {std::pair{&mean, " means"}, std::pair{&stddev, " standard deviations"}})
      if (values->size() != 1 && values->size() != channels)
        throw argument_error("normalise: there are " + std::to_string(values->size()) + name + ", where images of " +
                             std::to_string(channels) + " channel(s) need 1 or one for each.");
    for (const double m : mean)
      if (!std::isfinite(m)) throw argument_error("normalise: the mean " + detail::text_of(m) + " is not finite.");
    for (const double s : stddev)
      if (!detail::is_positive(s))
        throw argument_error("normalise: the standard deviation " + detail::text_of(s) +
                             " is not positive and finite.");
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const auto black = static_cast<Scalar>((*this)(0, channel)), white = static_cast<Scalar>((*this)(255, channel));
      if (!(std::isfinite(black) && std::isfinite(white) && black < white))
        throw argument_error("normalise: the mean and standard deviation of channel " + std::to_string(channel) +
                             " turn the bytes 0 and 255 into " + detail::text_of(black) + " and " +
                             detail::text_of(white) + " in " + detail::bits_of<Scalar>() +
                             ", which are not two finite numbers.");
    }
  }

  // The normalisation that gives these images mean 0 and standard deviation 1 in every channel. Throws argument_error
  // when there is no image, or when all pixels of a channel are alike.
  static normalise of(const subset& images) {
    if (images.size() == 0) throw argument_error("normalise: the mean of no images is not defined.");
    const image_shape shape = images.dataset().shape();
    const std::size_t plane = shape.height * shape.width;
    normalise result{.mean = {}, .stddev = {}};
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
      std::uint64_t sum = 0, sum_of_squares = 0;  // exact
      for (const std::uint32_t index : images.indices())
        for (const std::uint8_t x : images.dataset().image(index).subspan(channel * plane, plane)) {
          sum += x;
          sum_of_squares += static_cast<std::uint64_t>(x) * x;
        }
      const double n = static_cast<double>(images.size()) * static_cast<double>(plane);
      const double m = static_cast<double>(sum) / n;
      const double variance = static_cast<double>(sum_of_squares) / n - m * m;
      // Exactly 0 for equal pixels, whose sums divide without rest.
      if (!(variance > 0.0))
        throw argument_error("normalise: all pixels of channel " + std::to_string(channel) + " are alike.");
      result.mean.push_back(m / 255.0);
      result.stddev.push_back(std::sqrt(variance) / 255.0);
    }
    return result;
  }
};

}  // namespace spikenet
