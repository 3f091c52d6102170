// What a training tells TensorBoard: event files in its run's directory. docs/logging.md lists the tags. It only looks:
// a training takes the same steps with it and without.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <spikenet/data/loader.hpp>
#include <spikenet/data/transform.hpp>
#include <spikenet/io/event_file.hpp>
#include <string>
#include <vector>

#include "commands.hpp"
#include "model.hpp"
#include "news.hpp"
#include "progress.hpp"

namespace mnist {

// Whether a run's directory has event files.
bool has_event_files(const std::filesystem::path& run);

// How many images the firing rates are taken from after each epoch. A hundredth of what the epoch trained with, since a
// monitored image costs about as much as one to train, but enough for the monitor to judge by; just enough where a GPU
// trains, since all neurons of a monitored image come to the host.
std::size_t monitored_images(std::size_t training, std::size_t validation, bool on_gpu);

class training_log {
 public:
  struct subject {
    const train_options& options;
    std::size_t training_images = 0, validation_images = 0, parameters = 0;
    const spikenet::normalise& normalisation;
  };

  // Of a run that has taken so many steps. One that has event files already goes on in another: what they hold for
  // later steps, after a kill, is shown no more. Throws spikenet::file_error.
  training_log(const std::filesystem::path& run, const subject& of, std::size_t steps_taken);

  // Whether step number `step`, counted from 1 over all epochs, is one to tell of: one of log_interval.
  bool wants(std::size_t step) const { return interval_ > 0 && step % interval_ == 0; }
  void step(std::size_t step, const train_result& result, double learning_rate);

  // Epochs count from 1. The first images of a batch, as the network gets them.
  void sample(std::size_t epoch, std::span<const float> images);

  // Ends an epoch. `monitored` are the images for the monitor. Returns what the monitor has to warn of that is new.
  std::vector<std::string> epoch(std::size_t epoch, const progress::summary& trained,
                                 const progress::summary& validated, model& net,
                                 const spikenet::batch_loader<float>& monitored);

  // Ends the run, with the best accuracy in validation, and where there was one, the test.
  void succeeded(std::size_t epochs, double validation_accuracy, const std::optional<progress::summary>& tested);
  void failed();

 private:
  void begin(const subject& of);

  const std::size_t interval_;
  const double pixel_mean_, pixel_stddev_;
  const bool goes_on_;
  spikenet::event_writer writer_;
  std::chrono::steady_clock::time_point flushed_ = std::chrono::steady_clock::now();
  news news_;
};

}  // namespace mnist
