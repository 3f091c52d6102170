// A training of one network: the data, the network, and where it stands.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <spikenet/data/dataset.hpp>
#include <spikenet/data/loader.hpp>
#include <string>

#include "checkpoint.hpp"
#include "commands.hpp"
#include "model.hpp"
#include "progress.hpp"
#include "training_log.hpp"

namespace mnist {

// The images of the four files in a directory, of which the checksums are right.
struct image_files {
  // Throws spikenet::file_error.
  explicit image_files(const std::filesystem::path& directory);

  spikenet::image_dataset train, test;
};

// Epochs count from 0 in here, from 1 in what is printed. Everything throws spikenet::error.
class training {
 public:
  // In the directory `run`: a new one, or that of which `last` is a checkpoint. The images must outlive it.
  training(const train_options& options, const image_files& images, std::filesystem::path run,
           const std::optional<saved_training>& last);

  // The event files of the run; none where the options do not want any.
  std::unique_ptr<training_log> open_log() const;
  void print_plan() const;

  // The epochs that are left, each with a line of its own, and checkpoints: see train. Tells the log, if there is one.
  // Throws spikenet::numeric_error where the training breaks down, and an interruption where a signal stops it, which
  // leaves a checkpoint.
  void run_epochs(training_log* log);
  progress::summary test_best();

  const training_record& record() const { return record_; }
  // "epoch 3/11, batch 120 of 844"
  std::string position() const;

 private:
  void restore(const saved_training& last);
  double rate_at(std::size_t batch) const;
  std::size_t steps() const { return record_.epoch * training_.batches() + record_.batch; }
  progress::summary train_epoch(const std::string& title, training_log* log);
  bool take_in(const progress::summary& validated);
  void save_last() const;
  std::string title() const;

  const train_options options_;
  const std::filesystem::path run_;
  const spikenet::training_validation_split split_;
  const checkpoint_info info_;
  const spikenet::batch_loader<float> training_, recalibration_, validation_, monitored_, test_;
  const std::function<double(double)> schedule_;
  const std::unique_ptr<model> net_;
  training_record record_;
};

}  // namespace mnist
