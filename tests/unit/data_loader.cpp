#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "spikenet/data/loader.hpp"

using namespace spikenet;

namespace {

constexpr std::size_t image_size = 2 * 4 * 3;

// n images of 2x4x3 noise, labelled with their index.
image_dataset noise(std::size_t n) {
  image_dataset data{.channels = 2, .height = 4, .width = 3, .pixels = {}, .labels = {}};
  random_stream random{seed{99}};
  for (std::size_t i = 0; i < n * image_size; ++i) data.pixels.push_back(static_cast<std::uint8_t>(random()));
  for (std::size_t i = 0; i < n; ++i) data.labels.push_back(static_cast<std::int32_t>(i));
  return data;
}

// All that comes out of an epoch.
template <class Scalar>
struct record {
  std::vector<Scalar> images;
  std::vector<std::int32_t> labels;
  std::vector<std::size_t> sizes;

  // The same bits.
  friend bool operator==(const record& a, const record& b) {
    return a.labels == b.labels && a.sizes == b.sizes && a.images.size() == b.images.size() &&
           std::memcmp(a.images.data(), b.images.data(), a.images.size() * sizeof(Scalar)) == 0;
  }
};

template <class Scalar>
record<Scalar> run(const batch_loader<Scalar>& loader, std::uint32_t epoch) {
  record<Scalar> result;
  for (const auto& batch : loader.epoch(epoch)) {
    CHECK(batch.images.size() == batch.size() * image_size);
    CHECK(batch.labels.size() == batch.size());
    result.images.insert(result.images.end(), batch.images.begin(), batch.images.end());
    result.labels.insert(result.labels.end(), batch.labels.begin(), batch.labels.end());
    result.sizes.push_back(batch.size());
  }
  return result;
}

const transforms crop_and_flip{random_crop{.padding = 2}, horizontal_flip{.probability = 0.5}};

}  // namespace

static_assert(std::input_iterator<batch_loader<float>::epoch_batches::iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, batch_loader<float>::epoch_batches::iterator>);

TEST_CASE("without shuffling, batches are the images in order, normalised", "[data][loader]") {
  const auto data = noise(7);
  const subset images{data, {3, 1, 6, 0, 5}};
  const normalise normalisation{.mean = {0.25, 0.5}, .stddev = {0.5, 0.125}};
  for (const std::size_t prefetch : {0u, 2u}) {
    const batch_loader<double> loader{images, {.batch_size = 2, .normalisation = normalisation, .prefetch = prefetch}};
    CHECK(loader.size() == 5);
    CHECK(loader.batches() == 3);
    const auto result = run(loader, 0);
    CHECK(result.sizes == std::vector<std::size_t>{2, 2, 1});
    CHECK(result.labels == std::vector<std::int32_t>{3, 1, 6, 0, 5});
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t p = 0; p < image_size; ++p)
        CHECK(result.images[i * image_size + p] == normalisation(data.image(images.indices()[i])[p], p / 12));
    CHECK(run(loader, 1) == result);
  }
}

TEST_CASE("float batches are the double ones, rounded", "[data][loader]") {
  const auto data = noise(9);
  const loader_options options{.batch_size = 4,
                               .shuffle = true,
                               .augmentation = crop_and_flip,
                               .normalisation = {.mean = {0.1307}, .stddev = {0.3081}}};
  const auto wide = run(batch_loader<double>{data, options}, 3);
  const auto narrow = run(batch_loader<float>{data, options}, 3);
  REQUIRE(narrow.images.size() == wide.images.size());
  CHECK(narrow.labels == wide.labels);
  for (std::size_t i = 0; i < wide.images.size(); ++i) CHECK(narrow.images[i] == static_cast<float>(wide.images[i]));
}

TEST_CASE("each shuffled epoch is a permutation of its own", "[data][loader]") {
  const auto data = noise(50);
  const subset images{data, {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 49}};
  const batch_loader<float> loader{images, {.batch_size = 5, .shuffle = true, .seed = seed{4}}};
  std::set<std::vector<std::int32_t>> orders;
  for (std::uint32_t epoch = 0; epoch < 20; ++epoch) {
    const auto result = run(loader, epoch);
    CHECK(result.sizes == std::vector<std::size_t>{5, 5, 5, 1});
    CHECK(std::is_permutation(result.labels.begin(), result.labels.end(), images.indices().begin(),
                              images.indices().end()));
    // Each label still has its own image.
    for (std::size_t i = 0; i < result.labels.size(); ++i)
      for (std::size_t p = 0; p < image_size; ++p) {
        const auto pixel = data.image(static_cast<std::size_t>(result.labels[i]))[p];
        CHECK(result.images[i * image_size + p] == static_cast<float>(pixel / 255.0));
      }
    orders.insert(result.labels);
  }
  CHECK(orders.size() == 20);
}

TEST_CASE("the same seed gives the same bits, with or without a thread, in any order of epochs", "[data][loader]") {
  const auto data = noise(60);
  const auto options = [](std::uint64_t s, std::size_t prefetch) {
    return loader_options{
        .batch_size = 7, .shuffle = true, .seed = seed{s}, .augmentation = crop_and_flip, .prefetch = prefetch};
  };
  const batch_loader<float> direct{data, options(8, 0)}, other_seed{data, options(9, 0)};
  const auto first = run(direct, 0), second = run(direct, 1);
  CHECK(first.labels != second.labels);
  CHECK(first.labels != run(other_seed, 0).labels);
  for (const std::size_t prefetch :
       {std::size_t{1}, std::size_t{2}, std::size_t{100}, std::numeric_limits<std::size_t>::max()}) {
    const batch_loader<float> ahead{data, options(8, prefetch)};
    CHECK(run(ahead, 1) == second);
    CHECK(run(ahead, 0) == first);
    CHECK(run(ahead, 1) == second);
  }
}

TEST_CASE("what augmentation does to an image depends on seed, epoch and image alone", "[data][loader]") {
  const auto data = noise(40);
  const auto augmented = [&](const subset& images, std::size_t batch_size, std::uint64_t s, std::uint32_t epoch) {
    // By label, so that the order does not matter.
    const batch_loader<float> loader{
        images, {.batch_size = batch_size, .shuffle = true, .seed = seed{s}, .augmentation = crop_and_flip}};
    const auto result = run(loader, epoch);
    std::vector<std::vector<float>> by_label(40);
    for (std::size_t i = 0; i < result.labels.size(); ++i) {
      const auto image = std::span{result.images}.subspan(i * image_size, image_size);
      by_label[static_cast<std::size_t>(result.labels[i])].assign(image.begin(), image.end());
    }
    return by_label;
  };
  const auto reference = augmented(data, 8, 1, 5);
  CHECK(augmented(data, 3, 1, 5) == reference);
  const auto some = augmented(subset{data, {7, 30, 2}}, 2, 1, 5);
  for (const std::size_t i : {7u, 30u, 2u}) CHECK(some[i] == reference[i]);

  // Another epoch or seed draws anew for nearly every image (50 outcomes are possible), and so does another image.
  for (const auto& other : {augmented(data, 8, 1, 6), augmented(data, 8, 2, 5)}) {
    int same = 0;
    for (std::size_t i = 0; i < 40; ++i)
      if (other[i] == reference[i]) ++same;
    CHECK(same < 8);
  }

  // And each is what the transforms make of the original.
  for (std::size_t i = 0; i < 40; ++i) {
    std::vector<std::uint8_t> image(data.image(i).begin(), data.image(i).end());
    random_stream random{seed{1},
                         detail::data_stream(detail::stream_purpose::augmentation, 5, static_cast<std::uint32_t>(i))};
    crop_and_flip.apply(image, data.shape(), random);
    for (std::size_t p = 0; p < image_size; ++p) CHECK(reference[i][p] == static_cast<float>(image[p] / 255.0));
  }
}

TEST_CASE("any batch size of at least 1 works", "[data][loader]") {
  const auto data = noise(10);
  const auto sizes = [&](std::size_t batch_size, bool drop_last) {
    const batch_loader<float> loader{data, {.batch_size = batch_size, .drop_last = drop_last}};
    const auto result = run(loader, 0);
    CHECK(result.sizes.size() == loader.batches());
    CHECK(result.labels.size() == loader.size());
    return result.sizes;
  };
  using list = std::vector<std::size_t>;
  CHECK(sizes(1, false) == list(10, 1));
  CHECK(sizes(4, false) == list{4, 4, 2});
  CHECK(sizes(4, true) == list{4, 4});
  CHECK(sizes(5, false) == list{5, 5});
  CHECK(sizes(5, true) == list{5, 5});
  CHECK(sizes(10, true) == list{10});
  CHECK(sizes(11, false) == list{10});
  CHECK(sizes(std::numeric_limits<std::size_t>::max(), false) == list{10});
}

TEST_CASE("a loader refuses what makes no batches", "[data][loader]") {
  const auto data = noise(10);
  const auto make = [&](const subset& images, loader_options options) { batch_loader<float>{images, options}; };
  CHECK_THROWS_MATCHES(make(data, {.batch_size = 0}), argument_error, says("A batch size of 0 makes no batches."));
  CHECK_THROWS_MATCHES(make(subset{data, {}}, {}), argument_error, says("There are no images to make batches of."));
  CHECK_THROWS_MATCHES(make(data, {.batch_size = 11, .drop_last = true}), argument_error,
                       says("With drop_last, a batch size of 11 leaves nothing of 10 images."));
  CHECK_THROWS_MATCHES(make(data, {.normalisation = {.mean = {0}, .stddev = {0}}}), argument_error,
                       says("normalise: "));
  CHECK_THROWS_MATCHES(make(data, {.normalisation = {.mean = {0}, .stddev = {1e-200}}}), argument_error,
                       says("turn the bytes 0 and 255 into 0 and inf in 32 bits"));
  CHECK_THROWS_MATCHES(make(data, {.augmentation = random_crop{.padding = 3}}), argument_error,
                       says("random_crop: a padding of 3 is too large for images of 4x3."));
  CHECK_THROWS_MATCHES(make(data, {.augmentation = horizontal_flip{.probability = 2}}), argument_error,
                       says("horizontal_flip: 2 is not a probability."));

  const batch_loader<float> loader{data, {}};
  CHECK_THROWS_MATCHES(loader.epoch(1u << 28), argument_error, says("Epoch 268435456 is beyond the last, 268435455."));
  CHECK(run(loader, (1u << 28) - 1).labels.size() == 10);
}

TEST_CASE("a batch stays as it is until the next is asked for", "[data][loader]") {
  const auto data = noise(30);
  const batch_loader<float> loader{data, {.batch_size = 2, .shuffle = true, .prefetch = 1}};
  std::set<const float*> buffers;
  for (const auto& [images, labels] : loader.epoch(0)) {
    const std::vector<float> before(images.begin(), images.end());
    // Time for the worker to run into this buffer, if it would.
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    CHECK(std::equal(images.begin(), images.end(), before.begin(), before.end()));
    CHECK(labels.size() == 2);
    buffers.insert(images.data());
  }
  // No memory is taken for batches after the first round.
  CHECK(buffers.size() == 2);
}

TEST_CASE("an epoch can be left at any batch", "[data][loader]") {
  const auto data = noise(20);
  for (const std::size_t prefetch : {0u, 1u, 3u, 20u}) {
    const batch_loader<float> loader{
        data, {.batch_size = 1, .shuffle = true, .augmentation = crop_and_flip, .prefetch = prefetch}};
    // Both while the worker is busy and, after a pause, while it waits for a free buffer.
    for (const int pause : {0, 2})
      for (std::size_t stop = 0; stop <= 20; ++stop) {
        std::size_t seen = 0;
        {
          auto epoch = loader.epoch(0);
          if (stop > 0)
            for (const auto& batch : epoch) {
              seen += batch.size();
              if (seen == stop) break;
            }
          std::this_thread::sleep_for(std::chrono::milliseconds{pause});
        }
        CHECK(seen == stop);
      }
    // By an exception, too.
    CHECK_THROWS_AS(
        [&] {
          for (const auto& batch : loader.epoch(0))
            if (batch.size() == 1) throw std::runtime_error("enough");
        }(),
        std::runtime_error);
    CHECK(run(loader, 0).labels.size() == 20);
  }
}

TEST_CASE("two epochs of one loader can be under way at once", "[data][loader]") {
  const auto data = noise(12);
  const batch_loader<float> loader{data, {.batch_size = 5, .shuffle = true, .augmentation = crop_and_flip}};
  const auto expected = run(loader, 1);
  std::size_t outer = 0;
  for (const auto& batch : loader.epoch(0)) {
    CHECK(run(loader, 1) == expected);
    outer += batch.size();
  }
  CHECK(outer == 12);
}

TEST_CASE("what a transform throws comes out of the loop, after the batches before it", "[data][loader]") {
  auto data = noise(20);
  for (std::size_t i = 0; i < 20; ++i) data.pixels[i * image_size] = static_cast<std::uint8_t>(i);
  const auto fail = [](std::span<std::uint8_t> image, const image_shape&, random_stream&) {
    if (image[0] == 13) throw numeric_error("image 13 is not to be had");
  };
  for (const std::size_t prefetch : {0u, 1u, 2u, 20u}) {
    const batch_loader<float> loader{data, {.batch_size = 3, .augmentation = fail, .prefetch = prefetch}};
    for (int again = 0; again < 20; ++again) {
      std::size_t seen = 0;
      const auto loop = [&] {
        for (const auto& batch : loader.epoch(0)) seen += batch.size();
      };
      CHECK_THROWS_MATCHES(loop(), numeric_error, says("image 13 is not to be had"));
      CHECK(seen == 12);
    }
  }
}

TEST_CASE("an epoch that begins with a later batch is the end of the whole one", "[loader]") {
  const image_dataset data = noise(23);
  const std::size_t prefetch = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{9});
  const batch_loader<float> loader{data,
                                   {.batch_size = 4,
                                    .shuffle = true,
                                    .augmentation = transforms{}.then(random_crop{.padding = 1}),
                                    .prefetch = prefetch}};
  const auto whole = run(loader, 3);
  REQUIRE(whole.sizes.size() == 6);
  for (std::size_t first = 0; first <= 6; ++first) {
    CAPTURE(prefetch, first);
    std::size_t number = first, image = std::min<std::size_t>(first * 4, 23);
    for (const auto& batch : loader.epoch(3, first)) {
      REQUIRE(number < 6);
      CHECK(batch.size() == whole.sizes[number]);
      CHECK(std::equal(batch.labels.begin(), batch.labels.end(),
                       whole.labels.begin() + static_cast<std::ptrdiff_t>(image)));
      CHECK(std::memcmp(batch.images.data(), whole.images.data() + image * image_size, batch.images.size_bytes()) == 0);
      image += batch.size();
      ++number;
    }
    CHECK(number == 6);
    CHECK(image == 23);
  }
  CHECK_THROWS_MATCHES(loader.epoch(3, 7), argument_error, says("Batch 7 ") && says("epoch of 6"));
}
