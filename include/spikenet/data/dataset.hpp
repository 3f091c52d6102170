// Labelled images in memory, and views of some of them: all of a data set, the first n, one side of a
// training/validation split. Pixels stay bytes until a batch is made (data/loader.hpp); no view copies them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/random.hpp"

namespace spikenet {

// The extent of one image, stored [channels, height, width], row-major.
struct image_shape {
  std::size_t channels = 0, height = 0, width = 0;

  constexpr std::size_t size() const noexcept { return channels * height * width; }
  friend constexpr bool operator==(const image_shape&, const image_shape&) = default;
};

// Images with one label each.
struct image_dataset {
  std::size_t channels = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // [size(), channels, height, width], row-major
  std::vector<std::int32_t> labels;  // [size()], the class of each image, counted from 0

  std::size_t size() const noexcept { return labels.size(); }
  image_shape shape() const noexcept { return {channels, height, width}; }

  // Image i, [channels, height, width]. i must be below size().
  std::span<const std::uint8_t> image(std::size_t i) const noexcept {
    return std::span{pixels}.subspan(i * shape().size(), shape().size());
  }
};

// Some images of a data set, in a given order. Refers to the data set, which must outlive it.
class subset {
 public:
  // All images, in the order of the data set. Throws argument_error as the constructor below does.
  subset(const image_dataset& dataset) : subset{dataset, all_of(dataset)} {}
  subset(const image_dataset&&) = delete;

  // The images with these indices. Throws argument_error when an index is not below dataset.size(), or when the data
  // set does not hold as many pixels as its shape and its number of labels ask for.
  subset(const image_dataset& dataset, std::vector<std::uint32_t> indices)
      : dataset_{&dataset}, indices_{std::move(indices)} {
    const std::size_t image_size = dataset.shape().size();
    const bool fits = image_size != 0 && dataset.pixels.size() % image_size == 0 &&
                      dataset.pixels.size() / image_size == dataset.size();
    if (!fits)
      throw argument_error("The data set has " + std::to_string(dataset.size()) + " labels, but " +
                           std::to_string(dataset.pixels.size()) + " pixels, where that many images of " +
                           std::to_string(dataset.channels) + "x" + std::to_string(dataset.height) + "x" +
                           std::to_string(dataset.width) + " have " + std::to_string(dataset.size() * image_size) +
                           ".");
    for (const std::uint32_t index : indices_)
      if (index >= dataset.size())
        throw argument_error("Image " + std::to_string(index) + " was asked of a data set of " +
                             std::to_string(dataset.size()) + " images.");
  }
  subset(const image_dataset&&, std::vector<std::uint32_t>) = delete;

  std::size_t size() const noexcept { return indices_.size(); }
  const image_dataset& dataset() const noexcept { return *dataset_; }

  // Where the images stand in the data set.
  std::span<const std::uint32_t> indices() const noexcept { return indices_; }

  // The first `count` images of this subset. Throws argument_error when there are fewer.
  subset first(std::size_t count) const {
    if (count > size())
      throw argument_error(std::to_string(count) + " images were asked of a subset of " + std::to_string(size()) + ".");
    return {*dataset_, {indices_.begin(), indices_.begin() + static_cast<std::ptrdiff_t>(count)}};
  }

 private:
  static std::vector<std::uint32_t> all_of(const image_dataset& dataset) {
    if (dataset.size() > std::numeric_limits<std::uint32_t>::max())
      throw argument_error("A data set of " + std::to_string(dataset.size()) +
                           " images is too large: images are counted in 32 bits.");
    std::vector<std::uint32_t> indices(dataset.size());
    std::iota(indices.begin(), indices.end(), std::uint32_t{0});
    return indices;
  }

  const image_dataset* dataset_;
  std::vector<std::uint32_t> indices_;
};

namespace detail {

// Numbers the random streams (core/random.hpp) that the data side draws from. Every use, epoch and image has its own,
// so that what happens to an image depends neither on the order of the batches nor on the thread that prepares them;
// the purpose in the top bits keeps them apart from streams that are simply counted from 0, for one seed serves them
// all.
enum class stream_purpose : std::uint64_t { split = 1, shuffle = 2, augmentation = 3 };

inline constexpr std::uint64_t max_epoch = (std::uint64_t{1} << 28) - 1;

constexpr std::uint64_t data_stream(stream_purpose purpose, std::uint64_t epoch, std::uint32_t index) noexcept {
  return static_cast<std::uint64_t>(purpose) << 60 | epoch << 32 | index;
}

}  // namespace detail

struct training_validation_split {
  subset training, validation;
};

// Sets aside `validation_count` images drawn at random; the same seed draws the same images. Both sides keep the order
// of `images`. Throws argument_error when no image would be left for training.
inline training_validation_split split(const subset& images, std::size_t validation_count, seed s) {
  if (validation_count >= images.size())
    throw argument_error("A validation set of " + std::to_string(validation_count) + " leaves no training image of " +
                         std::to_string(images.size()) + ".");
  std::vector<std::uint32_t> positions(images.size());
  std::iota(positions.begin(), positions.end(), std::uint32_t{0});
  random_stream random{s, detail::data_stream(detail::stream_purpose::split, 0, 0)};
  random.shuffle(std::span{positions});

  const auto take = [&](std::size_t from, std::size_t to) {
    const std::span chosen = std::span{positions}.subspan(from, to - from);
    std::sort(chosen.begin(), chosen.end());
    std::vector<std::uint32_t> indices;
    indices.reserve(chosen.size());
    for (const std::uint32_t position : chosen) indices.push_back(images.indices()[position]);
    return subset{images.dataset(), std::move(indices)};
  };
  return {take(validation_count, positions.size()), take(0, validation_count)};
}

}  // namespace spikenet
