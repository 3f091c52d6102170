#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <spikenet/core/error.hpp>
#include <spikenet/spikenet.hpp>
#include <system_error>
#include <utility>

#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "interruption.hpp"

namespace mnist {

namespace {

// The best network by validation, and the checkpoint to resume from, in the directory of a run.
std::filesystem::path best_of(const std::filesystem::path& run) { return run / "model.safetensors"; }
std::filesystem::path last_of(const std::filesystem::path& run) { return run / "last"; }

// Where a new training is to go. Throws spikenet::file_error where there is one already: it may have cost hours.
std::filesystem::path new_run(const train_options& options) {
  if (options.out) {
    std::error_code ignored;
    for (const auto& taken : {best_of(*options.out), last_of(*options.out)})
      if (std::filesystem::exists(taken, ignored))
        throw spikenet::file_error(taken.string() +
                                   ": The checkpoint of another training is not overwritten; choose another --out, or "
                                   "go on with that training: --resume.");
    return *options.out;
  }
  const std::time_t now = std::time(nullptr);
  std::array<char, 64> name{};
  std::strftime(name.data(), name.size(), "runs/mnist-%Y%m%d-%H%M%S", std::localtime(&now));
  // Two trainings may begin in the same second.
  std::filesystem::path path = name.data();
  for (int n = 2; std::filesystem::exists(path); ++n) path = std::string{name.data()} + "-" + std::to_string(n);
  return path;
}

// Now rather than after the first epoch.
void make_writable_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw spikenet::file_error(path.string() + ": The directory cannot be created: " + error.message() + ".");
  if (::access(path.c_str(), W_OK) != 0)
    throw spikenet::file_error(path.string() + ": The directory cannot be written to.");
}

spikenet::training_validation_split split_images(const spikenet::image_dataset& images, const train_options& options) {
  const std::size_t used = std::min(options.limit.value_or(images.size()), images.size());
  const std::size_t validation = options.validation.value_or(std::max<std::size_t>(1, used / 10));
  if (validation >= used)
    throw spikenet::argument_error("Of " + std::to_string(used) + " images (--limit), " + std::to_string(validation) +
                                   " to validate (--validation) leaves none to train.");
  return spikenet::split(spikenet::subset{images}.first(used), validation, spikenet::seed{options.seed});
}

spikenet::normalise normalisation_of(const spikenet::subset& images, const std::filesystem::path& directory) {
  try {
    return spikenet::normalise::of(images);
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(directory.string() + ": The training images are of no use: " + error.what());
  }
}

spikenet::transforms augmentation(const train_options& options) {
  spikenet::transforms result;
  if (options.crop_padding > 0) result.then(spikenet::random_crop{.padding = options.crop_padding});
  if (options.flip > 0) result.then(spikenet::horizontal_flip{.probability = options.flip});
  return result;
}

std::string augmentation_text(const train_options& options) {
  std::array<char, 96> text{};
  if (options.crop_padding > 0)
    std::snprintf(text.data(), text.size(), "shifted by up to %zu pixels", options.crop_padding);
  std::string result = text.data();
  if (options.flip > 0) {
    std::snprintf(text.data(), text.size(), "mirrored with probability %g", options.flip);
    result += (result.empty() ? "" : ", ") + std::string{text.data()};
  }
  return result.empty() ? "not augmented" : result;
}

// Maps the epochs that have passed to a multiplier of the learning rate.
std::function<double(double)> make_schedule(const train_options& options) {
  const auto epochs = static_cast<double>(options.epochs);
  if (options.schedule == "step") return spikenet::step_decay{.factor = 0.1, .every = 10};
  if (options.schedule == "one_cycle") return spikenet::one_cycle{.epochs = epochs};
  if (options.schedule == "cosine") return spikenet::cosine{.epochs = epochs};
  if (options.schedule == "constant") return spikenet::constant{};
  throw spikenet::argument_error("There is no schedule \"" + options.schedule + "\".");
}

optimizer make_optimizer(const train_options& options, double rate) {
  if (options.optimizer == "adam") return spikenet::adam{.learning_rate = rate, .weight_decay = options.weight_decay};
  if (options.optimizer == "sgd")
    return spikenet::sgd{.learning_rate = rate, .momentum = options.momentum, .weight_decay = options.weight_decay};
  throw spikenet::argument_error("There is no optimizer \"" + options.optimizer + "\".");
}

// A training: the data, the network, and where it stands. Epochs count from 0 in here, from 1 in what is printed.
class training {
 public:
  // A new one, or that of which `last` is a checkpoint.
  training(const train_options& options, std::filesystem::path run, const std::optional<spikenet::checkpoint>& last);

  void print_plan() const;
  void run_epochs();  // an interruption leaves it with a checkpoint
  progress::summary test_best();

  const training_record& record() const { return record_; }
  // "epoch 3/11, batch 120 of 844"
  std::string position() const;

 private:
  void restore(const spikenet::checkpoint& last);
  double rate_at(std::size_t batch) const;
  progress::summary train_epoch(const std::string& title);
  bool take_in(const progress::summary& validated);
  void save_last() const;
  std::string title() const;

  const train_options options_;
  const std::filesystem::path run_;
  const spikenet::image_dataset train_images_, test_images_;
  const spikenet::training_validation_split split_;
  const checkpoint_info info_;
  const spikenet::batch_loader<float> training_, recalibration_, validation_, test_;
  const std::function<double(double)> schedule_;
  const std::unique_ptr<model> net_;
  training_record record_;
};

training::training(const train_options& options, std::filesystem::path run,
                   const std::optional<spikenet::checkpoint>& last)
    : options_{options},
      run_{std::move(run)},
      train_images_{read_images(options.data, "train")},
      test_images_{read_images(options.data, "t10k")},
      split_{split_images(train_images_, options)},
      info_{options.model, normalisation_of(split_.training, options.data)},
      training_{split_.training,
                {.batch_size = options.train_batch_size,
                 .shuffle = true,
                 .seed = spikenet::seed{options.seed},
                 .augmentation = augmentation(options),
                 .normalisation = info_.normalisation}},
      // Not augmented: these statistics are for images that are not either.
      recalibration_{split_.training.first(std::clamp<std::size_t>(options.recalibrate, 1, split_.training.size())),
                     {.batch_size = options.train_batch_size, .normalisation = info_.normalisation}},
      validation_{split_.validation, {.batch_size = options.val_batch_size, .normalisation = info_.normalisation}},
      test_{test_images_, {.batch_size = options.test_batch_size, .normalisation = info_.normalisation}},
      schedule_{make_schedule(options)},
      net_{make_model(options.model, spikenet::seed{options.seed})} {
  record_.stopping.patience = options.patience;
  if (last) restore(*last);
}

void training::restore(const spikenet::checkpoint& last) {
  // The same weights on other images would be another training.
  if (to_metadata(from_metadata(last.model())) != to_metadata(info_))
    throw spikenet::file_error(options_.data.string() +
                               ": These are not the images that the training was begun with, see " + last.name() + ".");
  record_ = record_of(last, options_);
  if (record_.batch > training_.batches())
    throw spikenet::file_error(last.name() + ": It has done " + std::to_string(record_.batch) +
                               " batches of an epoch that has " + std::to_string(training_.batches()) + ".");
  net_->restore(last, make_optimizer(options_, options_.lr));
}

void training::print_plan() const {
  const model_options& net = options_.model;
  std::printf("data        %s: %zu images to train, %zu to validate, %zu to test\n", options_.data.c_str(),
              training_.size(), validation_.size(), test_.size());
  std::printf("images      normalised; those to train %s\n", augmentation_text(options_).c_str());
  std::printf("network     19 layers, width %zu, %zu timesteps, readout %s: %zu parameters\n", net.width, net.steps,
              net.readout.c_str(), net_->parameter_count());
  std::printf("neurons     threshold (v_th) %g, decay (tau) %g, surrogate half width (a) %g\n", net.v_th, net.tau,
              net.a);
  std::printf("training    %zu epochs, batches of %zu, %s, learning rate %g, schedule %s, weight decay %g, seed %llu\n",
              options_.epochs, options_.train_batch_size, options_.optimizer.c_str(), options_.lr,
              options_.schedule.c_str(), options_.weight_decay, static_cast<unsigned long long>(options_.seed));
  if (options_.clip_norm > 0) std::printf("gradients   scaled down to a norm of %g\n", options_.clip_norm);
  if (options_.patience > 0)
    std::printf("patience    %zu epochs of a validation loss worse than the best\n", options_.patience);
  std::printf("processor   %zu threads\n", spikenet::cpu_threads());
  std::printf("checkpoint  %s\n", best_of(run_).c_str());
  if (options_.resume) std::printf("resumed     after %s\n", position().c_str());
  std::printf("\n");
  std::fflush(stdout);
}

void training::run_epochs() try {
  while (record_.epoch < options_.epochs && !(options_.patience > 0 && record_.stopping.stopped())) {
    const std::string epoch = title();
    const double rate = rate_at(training_.batches() - 1);
    const progress::summary trained = train_epoch(epoch);
    if (options_.recalibrate > 0) recalibrate(*net_, recalibration_);
    const progress::summary validated = evaluate(*net_, validation_, epoch + ", validation");
    const bool is_best = take_in(validated);
    std::printf(
        "%s  training loss %.4f, accuracy %5.2f %%  validation loss %.4f, accuracy %5.2f %%%s  %.0f images/s, "
        "learning rate %.1e\n",
        epoch.c_str(), trained.loss, 100 * trained.accuracy, validated.loss, 100 * validated.accuracy,
        is_best ? " best" : "     ", trained.images_per_second, rate);
    std::fflush(stdout);
  }
  if (record_.epoch < options_.epochs)
    std::printf("stopped early: %zu epochs had a validation loss worse than the best, %.4f\n",
                record_.stopping.worse_epochs, record_.stopping.best_loss);
} catch (const interruption&) {
  save_last();
  throw;
}

// Of a batch of the current epoch.
double training::rate_at(std::size_t batch) const {
  const double part = static_cast<double>(batch) / static_cast<double>(training_.batches());
  return options_.lr * schedule_(static_cast<double>(record_.epoch) + part);
}

// The batches of the current epoch that are left.
progress::summary training::train_epoch(const std::string& title) {
  progress live{title, training_.size(), options_.log_interval, record_.so_far};
  for (const auto& batch : training_.epoch(static_cast<std::uint32_t>(record_.epoch), record_.batch)) {
    const optimizer rule = make_optimizer(options_, rate_at(record_.batch));
    ++record_.batch;
    try {
      const train_result result = net_->train_step(batch.images, batch.labels, rule, {.clip_norm = options_.clip_norm});
      live.update(batch.size(), result.loss, result.correct);
    } catch (const spikenet::numeric_error& error) {
      throw spikenet::error("Training broke down in epoch " + std::to_string(record_.epoch + 1) + ", batch " +
                            std::to_string(record_.batch) + ": " + error.what() + ". A lower --lr may help.");
    }
    record_.so_far = live.so_far();
    stop_if_asked();
  }
  return live.finish();
}

// Ends the current epoch: keeps the network where it is the best, and the checkpoint. A kill between the two is made up
// for when the epoch is done again. Returns whether it is the best.
bool training::take_in(const progress::summary& validated) {
  const bool is_best = record_.best_epoch == 0 || validated.accuracy > record_.best_accuracy ||
                       (validated.accuracy == record_.best_accuracy && validated.loss < record_.best_loss);
  if (options_.patience > 0) record_.stopping(validated.loss);
  record_.epoch += 1;
  record_.batch = 0;
  record_.so_far = {};
  if (is_best) {
    record_.best_epoch = record_.epoch;
    record_.best_accuracy = validated.accuracy;
    record_.best_loss = validated.loss;
    net_->save(best_of(run_), to_metadata(info_));
  }
  save_last();
  return is_best;
}

void training::save_last() const {
  net_->save_checkpoint(last_of(run_), make_optimizer(options_, options_.lr), to_state(record_, options_),
                        to_metadata(info_));
}

progress::summary training::test_best() {
  net_->load(spikenet::safetensors_file::read(best_of(run_)));
  return evaluate(*net_, test_, "test");
}

std::string training::title() const {
  const std::string all = std::to_string(options_.epochs), number = std::to_string(record_.epoch + 1);
  return "epoch " + std::string(all.size() - number.size(), ' ') + number + "/" + all;
}

std::string training::position() const {
  if (record_.batch == 0) return "epoch " + std::to_string(record_.epoch) + "/" + std::to_string(options_.epochs);
  return title() + ", batch " + std::to_string(record_.batch) + " of " + std::to_string(training_.batches());
}

// Trains and tests. A signal leaves a checkpoint, and its number.
int train(const train_options& options, const std::filesystem::path& run,
          const std::optional<spikenet::checkpoint>& last) {
  const auto start = std::chrono::steady_clock::now();
  check_sums(options.data);
  spikenet::set_cpu_threads(options.threads);
  training job{options, run, last};
  make_writable_directory(run);
  job.print_plan();

  note_signals();
  progress::summary tested;
  try {
    job.run_epochs();
    tested = job.test_best();
  } catch (const interruption& stopped) {
    std::printf("stopped by %s after %s; to go on: spikenet-mnist train --resume %s\n", stopped.name(),
                job.position().c_str(), run.c_str());
    return stopped.exit_status();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("\ntest accuracy %.2f %% (epoch %zu, chosen by validation), loss %.4f; all took %s\n",
              100 * tested.accuracy, job.record().best_epoch, tested.loss, clock_text(elapsed.count()).c_str());
  std::printf("to test it again: spikenet-mnist test --checkpoint %s\n", best_of(run).c_str());
  return 0;
}

}  // namespace

int train(const train_options& command_line) {
  if (!command_line.resume) return train(command_line, new_run(command_line), std::nullopt);
  const auto last = spikenet::checkpoint::read(last_of(*command_line.resume));
  return train(resumed_options(last, command_line), *command_line.resume, last);
}

}  // namespace mnist
