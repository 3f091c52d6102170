// Batches of a data set: shuffled, augmented, normalised, and prepared on another thread while the last one is in use.
#pragma once

#include <algorithm>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/data/dataset.hpp"
#include "spikenet/data/transform.hpp"

namespace spikenet {

struct loader_options {
  std::size_t batch_size = 64;
  bool shuffle = false;      // a new order for each epoch; without it, the order of the subset
  bool drop_last = false;    // leave out the last batch of an epoch if it is smaller than the others
  spikenet::seed seed = {};  // of the order and of the augmentation
  transforms augmentation = {};
  normalise normalisation = {};
  std::size_t prefetch = 2;  // batches prepared ahead on another thread; 0: no thread
};

// Goes through a subset in batches of Scalar:
//
//   batch_loader<float> loader{training, {.batch_size = 64, .shuffle = true, .seed = seed{1}}};
//   for (std::uint32_t epoch = 0; epoch < 11; ++epoch)
//     for (const auto& [images, labels] : loader.epoch(epoch)) ...
//
// The batches of an epoch are a function of the options and of the epoch's number alone: any epoch can be asked for
// again, and neither `prefetch` nor the batch size changes the order or the augmentation of an image. The data set must
// outlive the loader, and the loader its epochs. Memory is taken when an epoch begins, none for its batches.
template <std::floating_point Scalar>
class batch_loader {
 public:
  // Valid until the next batch is asked for.
  struct batch {
    std::span<const Scalar> images;        // [size(), channels, height, width], row-major
    std::span<const std::int32_t> labels;  // [size()]

    std::size_t size() const noexcept { return labels.size(); }
  };

  class epoch_batches;

  // Throws argument_error when the batch size is 0, when not one batch would come out (an empty subset; drop_last with
  // a batch size beyond it), and when the normalisation or the augmentation is out of range or does not suit the
  // images.
  explicit batch_loader(subset data, loader_options options = {})
      : data_{std::move(data)}, options_{std::move(options)} {
    if (options_.batch_size == 0) throw argument_error("A batch size of 0 makes no batches.");
    if (data_.size() == 0) throw argument_error("There are no images to make batches of.");
    if (batches() == 0)
      throw argument_error("With drop_last, a batch size of " + std::to_string(options_.batch_size) +
                           " leaves nothing of " + std::to_string(data_.size()) + " images.");
    // There are 256 numbers a pixel can become in each channel.
    const image_shape shape = data_.dataset().shape();
    options_.normalisation.check<Scalar>(shape.channels);
    table_.reserve(shape.channels * 256);
    for (std::size_t channel = 0; channel < shape.channels; ++channel)
      for (unsigned value = 0; value < 256; ++value)
        table_.push_back(static_cast<Scalar>(options_.normalisation(static_cast<std::uint8_t>(value), channel)));
    // A black image goes first, so that parameters out of range are reported here rather than in the first epoch.
    std::vector<std::uint8_t> black(shape.size());
    random_stream random{options_.seed};
    options_.augmentation.apply(black, shape, random);
  }

  // Batches in an epoch.
  std::size_t batches() const noexcept {
    const std::size_t whole = data_.size() / options_.batch_size;
    return whole + (!options_.drop_last && data_.size() % options_.batch_size != 0 ? 1 : 0);
  }

  // Images in an epoch.
  std::size_t size() const noexcept { return options_.drop_last ? batches() * options_.batch_size : data_.size(); }

  const subset& data() const noexcept { return data_; }
  const loader_options& options() const noexcept { return options_; }

  // The batches of one epoch; `number` is below 2^28. Leaving the loop early is fine, and so is going on later with
  // batch number `first`: those before it are not computed. What a transform throws comes out of the loop at the batch
  // it concerns.
  epoch_batches epoch(std::uint32_t number, std::size_t first = 0) const& {
    if (number > detail::max_epoch)
      throw argument_error("Epoch " + std::to_string(number) + " is beyond the last, " +
                           std::to_string(detail::max_epoch) + ".");
    if (first > batches())
      throw argument_error("Batch " + std::to_string(first) + " is beyond the end of an epoch of " +
                           std::to_string(batches()) + ".");
    return epoch_batches{*this, number, first};
  }
  epoch_batches epoch(std::uint32_t number, std::size_t first = 0) const&& = delete;

 private:
  std::vector<std::uint32_t> order_of(std::uint32_t epoch_number) const {
    std::vector<std::uint32_t> order(data_.indices().begin(), data_.indices().end());
    if (options_.shuffle) {
      random_stream random{options_.seed, detail::data_stream(detail::stream_purpose::shuffle, epoch_number, 0)};
      random.shuffle(std::span{order});
    }
    return order;
  }

  // Image `index` of the data set, augmented and normalised, to `target`. `scratch` is as large as the image.
  void load(std::uint32_t index, std::uint32_t epoch_number, std::span<Scalar> target,
            std::span<std::uint8_t> scratch) const {
    const image_shape shape = data_.dataset().shape();
    std::span<const std::uint8_t> pixels = data_.dataset().image(index);
    if (!options_.augmentation.empty()) {
      std::copy(pixels.begin(), pixels.end(), scratch.begin());
      random_stream random{options_.seed,
                           detail::data_stream(detail::stream_purpose::augmentation, epoch_number, index)};
      options_.augmentation.apply(scratch, shape, random);
      pixels = scratch;
    }
    const std::size_t plane = shape.height * shape.width;
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
      const Scalar* const table = table_.data() + channel * 256;
      for (std::size_t i = channel * plane; i < (channel + 1) * plane; ++i) target[i] = table[pixels[i]];
    }
  }

  subset data_;
  loader_options options_;
  std::vector<Scalar> table_;  // [channels, 256]: the number for each byte
};

// One pass over an epoch, an input range of batches. A ring of buffers: the loop holds one, the worker fills the
// others.
template <std::floating_point Scalar>
class batch_loader<Scalar>::epoch_batches {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = batch;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    const batch& operator*() const noexcept { return pass_->current_; }
    const batch* operator->() const noexcept { return &pass_->current_; }
    iterator& operator++() {
      pass_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return pass_->current_.size() == 0; }

   private:
    friend epoch_batches;
    explicit iterator(epoch_batches* pass) noexcept : pass_{pass} {}
    epoch_batches* pass_ = nullptr;
  };

  epoch_batches(const epoch_batches&) = delete;
  epoch_batches& operator=(const epoch_batches&) = delete;

  ~epoch_batches() {
    if (!worker_.joinable()) return;
    {
      const std::lock_guard lock{mutex_};
      stopped_ = true;
    }
    changed_.notify_all();
    worker_.join();
  }

  // Single-pass: a second call goes on where the first one is.
  iterator begin() {
    if (taken_ == first_) advance();
    return iterator{this};
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend batch_loader;

  struct buffer {
    std::vector<Scalar> images;
    std::vector<std::int32_t> labels;
  };

  epoch_batches(const batch_loader& loader, std::uint32_t number, std::size_t first)
      : loader_{loader},
        number_{number},
        order_{loader.order_of(number)},
        count_{loader.batches()},
        first_{first},
        taken_{first},
        filled_{first},
        released_{first} {
    const std::size_t image_size = loader_.data_.dataset().shape().size();
    const std::size_t largest = std::min(loader_.options_.batch_size, order_.size());
    scratch_.resize(image_size);
    ring_.resize(1 + std::min(loader_.options_.prefetch, count_ - 1));
    for (buffer& b : ring_) {
      b.images.resize(largest * image_size);
      b.labels.resize(largest);
    }
    if (loader_.options_.prefetch > 0) worker_ = std::thread{[this] { work(); }};
  }

  std::span<const std::uint32_t> indices_of(std::size_t batch_number) const noexcept {
    const std::size_t start = batch_number * loader_.options_.batch_size;
    return std::span{order_}.subspan(start, std::min(loader_.options_.batch_size, order_.size() - start));
  }

  void fill(std::size_t batch_number) {
    buffer& target = ring_[batch_number % ring_.size()];
    const std::span indices = indices_of(batch_number);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const std::span image = std::span{target.images}.subspan(i * scratch_.size(), scratch_.size());
      loader_.load(indices[i], number_, image, scratch_);
      target.labels[i] = loader_.data_.dataset().labels[indices[i]];
    }
  }

  void work() noexcept {
    try {
      for (std::size_t next = first_; next < count_; ++next) {
        {
          std::unique_lock lock{mutex_};
          changed_.wait(lock, [&] { return stopped_ || next < released_ + ring_.size(); });
          if (stopped_) return;
        }
        fill(next);
        {
          const std::lock_guard lock{mutex_};
          filled_ = next + 1;
        }
        changed_.notify_all();
      }
    } catch (...) {
      {
        const std::lock_guard lock{mutex_};
        failure_ = std::current_exception();
      }
      changed_.notify_all();
    }
  }

  // Lets the current batch go and takes the next one; after the last, an empty one.
  void advance() {
    current_ = {};
    if (taken_ == count_) return;
    if (worker_.joinable()) {
      std::unique_lock lock{mutex_};
      released_ = taken_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return filled_ > taken_ || failure_; });
      if (filled_ <= taken_) std::rethrow_exception(failure_);
    } else {
      fill(taken_);
    }
    const buffer& source = ring_[taken_ % ring_.size()];
    const std::size_t n = indices_of(taken_).size();
    current_ = {.images = std::span{source.images}.first(n * scratch_.size()),
                .labels = std::span{source.labels}.first(n)};
    ++taken_;
  }

  const batch_loader& loader_;
  const std::uint32_t number_;
  const std::vector<std::uint32_t> order_;  // indices in the data set
  const std::size_t count_, first_;         // batches, and the first of this pass
  std::vector<buffer> ring_;                // batch i is in ring_[i % ring_.size()]
  std::vector<std::uint8_t> scratch_;       // the image in work
  batch current_;
  std::size_t taken_;  // batches that the loop has had

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::size_t filled_;    // batches that the worker has finished
  std::size_t released_;  // batches that the loop has let go
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::thread worker_;
};

}  // namespace spikenet
