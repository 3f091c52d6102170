// Inference by all cores: images are shared out among threads, each with a workspace of its own; or the rows of each
// layer of one image.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/error.hpp"
#include "spikenet/inference/inference.hpp"

namespace spikenet {

// Architecture, Number and Images as of inference; Images is what one thread computes together. With Images = 1, where
// there are fewer images than threads, all threads compute one image after another together: the shortest time to an
// answer. All memory is taken by the constructor. The threads are the library's (set_cpu_threads); results do not depend on
// how many there are.
template <class Architecture, class Number = float, std::size_t Images = 32>
class parallel_inference {
 public:
  using model = inference<Architecture, Number, Images>;
  using architecture = Architecture;
  using number_type = Number;
  using parameters = typename model::parameters;
  using value = typename model::value;
  using logit = typename model::logit;
  static constexpr std::size_t timesteps = model::timesteps;
  static constexpr std::size_t channels = model::channels, height = model::height, width = model::width;
  static constexpr std::size_t classes = model::classes;
  static constexpr std::size_t frame_size = model::frame_size, image_size = model::image_size;

  // The parameters must live as long.
  explicit parallel_inference(const parameters& p) {
    for (std::size_t i = 0; i < pool_->workers(); ++i) workers_.push_back(std::make_unique<model>(p));
  }

  // Logits [N, classes] of images [N, C, H, W], or [T, N, C, H, W]. Throws argument_error where their sizes do not fit.
  void logits(std::span<const value> images, std::span<logit> result) {
    const std::size_t count = images.size() / image_size;
    if (images.size() != count * image_size || result.size() != count * classes) {
      throw argument_error("inference: images of " + std::to_string(image_size) + " values have " +
                           std::to_string(classes) + " logits each, but there are " + std::to_string(images.size()) +
                           " values and " + std::to_string(result.size()) + " logits");
    }
    if constexpr (Images == 1) {
      if (count < workers_.size()) {
        for (std::size_t image = 0; image < count; ++image) compute_together(images.data(), count, image, result.data());
        return;
      }
    }
    // Equal shares, as large as a workspace takes: each builds the tables once.
    const std::size_t least = (count + Images - 1) / Images;
    const std::size_t shares = std::min(count, (least + workers_.size() - 1) / workers_.size() * workers_.size());
    pool_->run(shares, [&](std::size_t share, std::size_t worker) {
      workers_[worker]->logits(images.data(), count, share * count / shares, (share + 1) * count / shares,
                               result.data());
    });
  }

 private:
  // Each thread makes a part of what a stage makes, of signals that lie in the first workspace: some channels where these
  // have tables of their own, and some rows.
  void compute_together(const value* images, std::size_t count, std::size_t image, logit* result) {
    constexpr std::size_t least_rows = 2;  // the windows of one more or less overlap its neighbours'
    model& first = *workers_[0];
    first.take_in(images, count, image, 1, model::input.each_step ? model::timesteps : 1);
    for (std::size_t i = 0; i < model::plan.stage_count; ++i) {
      const auto stage = first.view_of_stage(i, 1, model::timesteps, nullptr);
      const std::size_t blocks = model::blocks_of_stage(i), across = std::gcd(blocks, workers_.size());
      const std::size_t down = std::clamp<std::size_t>(stage.height / least_rows, 1, workers_.size() / across);
      pool_->run(across * down, [&](std::size_t part, std::size_t worker) {
        const std::size_t block = part / down * (blocks / across), row = part % down;
        const auto part_of_rows = detail::rows_of(stage, row * stage.height / down, (row + 1) * stage.height / down);
        workers_[worker]->compute(i, detail::channels_of(part_of_rows, model::first_of_block(i, block),
                                                         model::first_of_block(i, block + blocks / across)));
      });
    }
    first.hand_out(image, 1, result);
  }

  std::shared_ptr<detail::thread_pool> pool_ = detail::shared_pool();
  std::vector<std::unique_ptr<model>> workers_;
};

}  // namespace spikenet
