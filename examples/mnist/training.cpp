#include "training.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <spikenet/core/error.hpp>
#include <spikenet/cpu_threads.hpp>
#include <spikenet/network/network.hpp>
#include <spikenet/training/schedule.hpp>
#include <utility>

#include "checksum.hpp"
#include "data.hpp"
#include "interruption.hpp"
#include "run_directory.hpp"

namespace mnist {

namespace {

spikenet::training_validation_split split_images(const spikenet::image_dataset& images, const train_options& options) {
  const std::size_t used = std::min(options.limit.value_or(images.size()), images.size());
  const std::size_t validation = options.validation.value_or(std::max<std::size_t>(1, used / 10));
  if (validation >= used)
    throw spikenet::argument_error("Of " + std::to_string(used) + " images (--limit), " + std::to_string(validation) +
                                   " to validate (--validation) leaves none to train.");
  return spikenet::split(spikenet::subset{images}.first(used), validation, spikenet::seed{options.seed});
}

spikenet::normalise normalisation_of(const spikenet::subset& images, const train_options& options) {
  if (options.pixel_mean) return {.mean = {*options.pixel_mean}, .stddev = {options.pixel_stddev.value()}};
  try {
    return spikenet::normalise::of(images);
  } catch (const spikenet::argument_error& error) {
    throw spikenet::file_error(options.data.string() + ": The training images are of no use: " + error.what());
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

}  // namespace

image_files::image_files(const std::filesystem::path& directory) {
  check_sums(directory);
  train = read_images(directory, "train");
  test = read_images(directory, "t10k");
}

training::training(const train_options& options, const image_files& images, std::filesystem::path run,
                   const std::optional<saved_training>& last)
    : options_{options},
      run_{std::move(run)},
      split_{split_images(images.train, options)},
      info_{options.model, normalisation_of(split_.training, options), options.data},
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
      monitored_{split_.validation.first(monitored_images(split_.training.size(), split_.validation.size(),
                                                          options.model.device == "cuda")),
                 {.batch_size = options.val_batch_size, .normalisation = info_.normalisation}},
      test_{images.test, {.batch_size = options.test_batch_size, .normalisation = info_.normalisation}},
      schedule_{make_schedule(options)},
      net_{make_model(options.model, spikenet::seed{options.seed})} {
  record_.stopping.patience = options.patience;
  if (options.init) load_weights(*net_, *options.init);
  if (last) restore(*last);
}

void training::restore(const saved_training& last) {
  if (!last.is_of(info_))
    throw spikenet::file_error(options_.data.string() +
                               ": These are not the images that the training was begun with, see " + last.name() + ".");
  record_ = last.record(options_);
  if (record_.batch > training_.batches())
    throw spikenet::file_error(last.name() + ": It has done " + std::to_string(record_.batch) +
                               " batches of an epoch that has " + std::to_string(training_.batches()) + ".");
  last.restore(*net_, make_optimizer(options_, options_.lr));
}

std::unique_ptr<training_log> training::open_log() const {
  if (!options_.tensorboard) return nullptr;
  return std::make_unique<training_log>(run_,
                                        training_log::subject{.options = options_,
                                                              .training_images = training_.size(),
                                                              .validation_images = validation_.size(),
                                                              .parameters = net_->parameter_count(),
                                                              .normalisation = info_.normalisation},
                                        steps());
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
  if (options_.init) std::printf("begun with  %s\n", options_.init->c_str());
  std::printf("training    %zu epochs, batches of %zu, %s, learning rate %g, schedule %s, weight decay %g, seed %llu\n",
              options_.epochs, options_.train_batch_size, options_.optimizer.c_str(), options_.lr,
              options_.schedule.c_str(), options_.weight_decay, static_cast<unsigned long long>(options_.seed));
  if (options_.clip_norm > 0) std::printf("gradients   scaled down to a norm of %g\n", options_.clip_norm);
  if (options_.patience > 0)
    std::printf("patience    %zu epochs of a validation loss worse than the best\n", options_.patience);
  if (net.device == "cuda")
    std::printf("processor   the GPU, in %s\n", net.precision.c_str());
  else
    std::printf("processor   %zu threads\n", spikenet::cpu_threads());
  std::printf("checkpoint  %s\n", best_of(run_).c_str());
  if (options_.tensorboard) std::printf("curves      tensorboard --logdir %s\n", run_.c_str());
  if (options_.resume) std::printf("resumed     after %s\n", position().c_str());
  std::printf("\n");
  std::fflush(stdout);
}

void training::run_epochs(training_log* log) try {
  while (record_.epoch < options_.epochs && !(options_.patience > 0 && record_.stopping.stopped())) {
    const std::string epoch = title();
    const double rate = rate_at(training_.batches() - 1);
    const progress::summary trained = train_epoch(epoch, log);
    if (options_.recalibrate > 0) recalibrate(*net_, recalibration_);
    const progress::summary validated = evaluate(*net_, validation_, epoch + ", validation");
    const bool is_best = take_in(validated);
    std::printf(
        "%s  training loss %.4f, accuracy %5.2f %%  validation loss %.4f, accuracy %5.2f %%%s  %.0f images/s, "
        "learning rate %.1e\n",
        epoch.c_str(), trained.loss, 100 * trained.accuracy, validated.loss, 100 * validated.accuracy,
        is_best ? " best" : "     ", trained.images_per_second, rate);
    if (log)
      for (const std::string& warning : log->epoch(record_.epoch, trained, validated, *net_, monitored_))
        std::printf("warning: %s\n", warning.c_str());
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
progress::summary training::train_epoch(const std::string& title, training_log* log) {
  progress live{title, training_.size(), options_.log_interval, record_.so_far};
  // A GPU is given so many steps before it is asked what became of them, so that it need not wait for the host.
  const std::size_t most_queued = options_.model.device == "cuda" && options_.clip_norm == 0 ? 20 : 0;
  std::size_t queued = 0;
  const auto take_in_queued = [&] {
    if (queued == 0) return;
    const spikenet::step_result done = net_->finish_steps();
    live.update(done.size, done.loss, done.correct, std::exchange(queued, 0));
  };
  for (const auto& batch : training_.epoch(static_cast<std::uint32_t>(record_.epoch), record_.batch)) {
    const double rate = rate_at(record_.batch);
    if (log && record_.batch == 0) log->sample(record_.epoch + 1, batch.images);
    ++record_.batch;
    const bool told = log && log->wants(steps());
    try {
      const optimizer rule = make_optimizer(options_, rate);
      if (most_queued > 0 && !told) {
        net_->queue_step(batch.images, batch.labels, rule);
        if (++queued == most_queued || record_.batch == training_.batches() || asked_to_stop()) take_in_queued();
      } else {
        take_in_queued();
        const train_result result = net_->train_step(batch.images, batch.labels, rule,
                                                     {.clip_norm = options_.clip_norm, .gradient_norm = told});
        if (told) log->step(steps(), result, rate);
        live.update(batch.size(), result.loss, result.correct);
      }
    } catch (const spikenet::numeric_error& error) {
      throw spikenet::numeric_error("Training broke down in epoch " + std::to_string(record_.epoch + 1) + ", batch " +
                                    std::to_string(record_.batch) + ": " + error.what() + ". A lower --lr may help.");
    }
    record_.so_far = live.so_far();
    if (queued == 0) stop_if_asked();
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
    save_model(*net_, info_, best_of(run_));
  }
  save_last();
  return is_best;
}

void training::save_last() const {
  save_training(*net_, make_optimizer(options_, options_.lr), info_, record_, options_, last_of(run_));
}

progress::summary training::test_best() {
  load_weights(*net_, best_of(run_));
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

}  // namespace mnist
