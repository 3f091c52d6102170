#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <spikenet/core/error.hpp>
#include <spikenet/spikenet.hpp>
#include <system_error>
#include <utility>

#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"

namespace mnist {

namespace {

constexpr const char* checkpoint_name = "model.safetensors";

// Where the checkpoint is to go. Throws spikenet::file_error where there is one already: it may have cost hours.
std::filesystem::path output_directory(const train_options& options) {
  if (options.out) {
    const std::filesystem::path checkpoint = *options.out / checkpoint_name;
    std::error_code ignored;
    if (std::filesystem::exists(checkpoint, ignored))
      throw spikenet::file_error(checkpoint.string() +
                                 ": The checkpoint of another training is not overwritten; choose another --out.");
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

void print_plan(const train_options& options, const spikenet::training_validation_split& images, std::size_t tested,
                std::size_t parameters, const std::filesystem::path& checkpoint) {
  const model_options& net = options.model;
  std::printf("data        %s: %zu images to train, %zu to validate, %zu to test\n", options.data.c_str(),
              images.training.size(), images.validation.size(), tested);
  std::printf("images      normalised; those to train %s\n", augmentation_text(options).c_str());
  std::printf("network     19 layers, width %zu, %zu timesteps, readout %s: %zu parameters\n", net.width, net.steps,
              net.readout.c_str(), parameters);
  std::printf("neurons     threshold (v_th) %g, decay (tau) %g, surrogate half width (a) %g\n", net.v_th, net.tau,
              net.a);
  std::printf("training    %zu epochs, batches of %zu, %s, learning rate %g, schedule %s, weight decay %g, seed %llu\n",
              options.epochs, options.train_batch_size, options.optimizer.c_str(), options.lr, options.schedule.c_str(),
              options.weight_decay, static_cast<unsigned long long>(options.seed));
  std::printf("processor   %zu threads\n", spikenet::cpu_threads());
  std::printf("checkpoint  %s\n\n", checkpoint.c_str());
  std::fflush(stdout);
}

// Trains for one epoch, the first of which is 1. Returns what it was like, and sets `rate` to its last learning rate.
progress::summary train_epoch(model& net, const spikenet::batch_loader<float>& images, const train_options& options,
                              const std::function<double(double)>& schedule, std::size_t epoch,
                              const std::string& title, double& rate) {
  progress live{title, images.size(), options.log_interval};
  std::size_t batch_number = 0;
  for (const auto& batch : images.epoch(static_cast<std::uint32_t>(epoch - 1))) {
    const double part = static_cast<double>(batch_number++) / static_cast<double>(images.batches());
    rate = options.lr * schedule(static_cast<double>(epoch - 1) + part);
    try {
      const auto result = net.train_step(batch.images, batch.labels, make_optimizer(options, rate));
      live.update(batch.size(), result.loss, result.correct);
    } catch (const spikenet::numeric_error& error) {
      throw spikenet::error("Training broke down in epoch " + std::to_string(epoch) + ", batch " +
                            std::to_string(batch_number) + ": " + error.what() + ". A lower --lr may help.");
    }
  }
  return live.finish();
}

}  // namespace

void train(const train_options& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path directory = output_directory(options), checkpoint = directory / checkpoint_name;
  check_sums(options.data);
  const spikenet::image_dataset to_train_with = read_images(options.data, "train"),
                                to_test_with = read_images(options.data, "t10k");
  const spikenet::training_validation_split images = split_images(to_train_with, options);
  const checkpoint_info info{options.model, normalisation_of(images.training, options.data)};

  const spikenet::seed seed{options.seed};
  const spikenet::batch_loader<float> training{images.training,
                                               {.batch_size = options.train_batch_size,
                                                .shuffle = true,
                                                .seed = seed,
                                                .augmentation = augmentation(options),
                                                .normalisation = info.normalisation}};
  const spikenet::batch_loader<float> validation{
      images.validation, {.batch_size = options.val_batch_size, .normalisation = info.normalisation}};
  const spikenet::batch_loader<float> test{
      to_test_with, {.batch_size = options.test_batch_size, .normalisation = info.normalisation}};
  const auto schedule = make_schedule(options);

  spikenet::set_cpu_threads(options.threads);
  const std::unique_ptr<model> net = make_model(options.model, seed);
  make_writable_directory(directory);
  print_plan(options, images, test.size(), net->parameter_count(), checkpoint);

  const std::string of_all = "/" + std::to_string(options.epochs);
  std::size_t best_epoch = 0;
  progress::summary best;
  for (std::size_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const std::string number = std::to_string(epoch);
    const std::string title = "epoch " + std::string(of_all.size() - 1 - number.size(), ' ') + number + of_all;
    double rate = 0;
    const auto trained = train_epoch(*net, training, options, schedule, epoch, title, rate);
    const auto validated = evaluate(*net, validation, title + ", validation");

    const bool is_best = best_epoch == 0 || validated.accuracy > best.accuracy ||
                         (validated.accuracy == best.accuracy && validated.loss < best.loss);
    if (is_best) {
      net->save(checkpoint, to_metadata(info));
      best_epoch = epoch;
      best = validated;
    }
    std::printf(
        "%s  training loss %.4f, accuracy %5.2f %%  validation loss %.4f, accuracy %5.2f %%%s  %.0f images/s, "
        "learning rate %.1e\n",
        title.c_str(), trained.loss, 100 * trained.accuracy, validated.loss, 100 * validated.accuracy,
        is_best ? " best" : "     ", trained.images_per_second, rate);
    std::fflush(stdout);
  }

  net->load(spikenet::safetensors_file::read(checkpoint));
  const auto tested = evaluate(*net, test, "test");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("\ntest accuracy %.2f %% (epoch %zu, chosen by validation), loss %.4f; all took %s\n",
              100 * tested.accuracy, best_epoch, tested.loss, clock_text(elapsed.count()).c_str());
  std::printf("to test it again: spikenet-mnist test --checkpoint %s\n", checkpoint.c_str());
}

}  // namespace mnist
