#include "training_log.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <spikenet/training/monitor.hpp>
#include <system_error>
#include <type_traits>

#include "firing_rate_chart.hpp"
#include "hyperparameters.hpp"

namespace mnist {

namespace {

// Scalars of the HParams table.
constexpr const char *validation_accuracy = "Validation Accuracy / Epoch",
                     *best_validation_accuracy = "Final / Validation Accuracy",
                     *test_accuracy = "Final / Test Accuracy";

std::int64_t number(std::size_t step) { return static_cast<std::int64_t>(step); }

// The options, where one that was not given is what the program made of it.
template <class F>
void for_each_value(const training_log::subject& of, F&& f) {
  for_each_hyperparameter(of.options, [&]<class Value>(const std::string& name, const Value& value) {
    if (name == "limit")
      f(name, of.training_images + of.validation_images);
    else if (name == "validation")
      f(name, of.validation_images);
    else if constexpr (!requires { value.has_value(); })
      f(name, value);
  });
}

std::string markdown_table(const training_log::subject& of) {
  std::string text = "| option | value |\n|---|---|\n";
  const auto row = [&](const std::string& name, const std::string& value) {
    text += "| " + name + " | " + value + " |\n";
  };
  for_each_value(of, [&](const std::string& name, const auto& value) { row("`--" + name + "`", text_of(value)); });
  row("images to train", text_of(of.training_images));
  row("parameters of the network", text_of(of.parameters));
  return text;
}

spikenet::counted_histogram histogram_of(const spikenet::membrane_statistics& membrane) {
  const auto count = static_cast<double>(membrane.count());
  const double mean = membrane.mean(), stddev = membrane.stddev();
  spikenet::counted_histogram result{.limits = {},
                                     .counts = {},
                                     .count = count,
                                     .min = membrane.min(),
                                     .max = membrane.max(),
                                     .sum = count * mean,
                                     .sum_of_squares = count * (stddev * stddev + mean * mean)};
  for (std::size_t bin = 0; bin < spikenet::membrane_statistics::bins; ++bin) {
    const bool last = bin + 1 == spikenet::membrane_statistics::bins;
    result.limits.push_back(last ? INFINITY : membrane.edge(bin));
    result.counts.push_back(static_cast<double>(membrane.histogram()[bin]));
  }
  return result;
}

double norm_of(std::span<const float> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

}  // namespace

bool has_event_files(const std::filesystem::path& run) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{run, none})
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) return true;
  return false;
}

std::size_t monitored_images(std::size_t training, std::size_t validation, bool on_gpu) {
  constexpr std::size_t least = 100, most = 1000;
  return std::min(validation, on_gpu ? least : std::clamp(training / 100, least, most));
}

training_log::training_log(const std::filesystem::path& run, const subject& of, std::size_t steps_taken)
    : interval_{of.options.log_interval},
      pixel_mean_{of.normalisation.mean.at(0)},
      pixel_stddev_{of.normalisation.stddev.at(0)},
      goes_on_{has_event_files(run)},
      writer_{run, goes_on_ ? std::optional{number(steps_taken + 1)} : std::nullopt} {
  if (!goes_on_) begin(of);
}

void training_log::begin(const subject& of) {
  std::vector<spikenet::hyperparameter> values;
  for_each_value(of, [&](const std::string& name, const auto& value) { values.emplace_back(name, value); });
  writer_.hyperparameters(values, {validation_accuracy, best_validation_accuracy, test_accuracy});
  writer_.text("Hyperparameters", 0, markdown_table(of));
  writer_.flush();
}

void training_log::step(std::size_t step, const train_result& result, double learning_rate) {
  writer_.scalar("Training Loss / Batch Index", number(step), result.loss);
  writer_.scalar("Learning Rate / Batch Index", number(step), learning_rate);
  if (result.gradient_norm) writer_.scalar("Gradient Norm / Batch Index", number(step), *result.gradient_norm);
  // Often enough to watch.
  if (const auto now = std::chrono::steady_clock::now(); now - flushed_ > std::chrono::seconds{5}) {
    writer_.flush();
    flushed_ = now;
  }
}

void training_log::sample(std::size_t epoch, std::span<const float> images) {
  constexpr std::size_t pixels = image_height * image_width, columns = 8, most = 64;
  const std::size_t count = std::min(most, images.size() / pixels), rows = (count + columns - 1) / columns;
  std::vector<std::uint8_t> mosaic(rows * columns * pixels);
  for (std::size_t i = 0; i < count * pixels; ++i) {
    const std::size_t n = i / pixels, y = n / columns * image_height + i % pixels / image_width,
                      x = n % columns * image_width + i % image_width;
    const double value = 255 * (static_cast<double>(images[i]) * pixel_stddev_ + pixel_mean_);
    mosaic[y * columns * image_width + x] = static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
  }
  writer_.image("Training Images", number(epoch), mosaic, rows * image_height, columns * image_width);
}

std::vector<std::string> training_log::epoch(std::size_t epoch, const progress::summary& trained,
                                             const progress::summary& validated, model& net,
                                             const spikenet::batch_loader<float>& monitored) {
  const std::int64_t at = number(epoch);
  writer_.scalar("Training Loss / Epoch", at, trained.loss);
  writer_.scalar("Training Accuracy / Epoch", at, trained.accuracy);
  writer_.scalar("Validation Loss / Epoch", at, validated.loss);
  writer_.scalar(validation_accuracy, at, validated.accuracy);
  writer_.scalar("Images per Second / Epoch", at, trained.images_per_second);

  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<const float> values,
                              std::span<const float> gradients) {
    writer_.histogram("Parameters / " + info.name, at, values);
    writer_.scalar("Gradient Norm by Parameter / " + info.name, at, norm_of(gradients));
  });

  spikenet::monitor monitor;
  for (const auto& batch : monitored.epoch(0)) net.evaluate(batch.images, monitor);
  for (const spikenet::neuron_statistics& layer : monitor.neurons()) {
    writer_.scalar("Firing Rate / " + layer.name, at, layer.rate());
    if (layer.membrane.known())
      writer_.histogram("Membrane Potential / " + layer.name, at, histogram_of(layer.membrane));
  }
  writer_.png_image("Firing Rates", at,
                    png_of(firing_rate_chart(monitor, "After epoch " + std::to_string(epoch) + ", " +
                                                          std::to_string(monitored.size()) + " validation images")));
  writer_.flush();
  return news_.of(monitor.warnings());
}

void training_log::succeeded(std::size_t epochs, double accuracy, const std::optional<progress::summary>& tested) {
  writer_.scalar(best_validation_accuracy, number(epochs), accuracy);
  if (tested) {
    writer_.scalar(test_accuracy, number(epochs), tested->accuracy);
    writer_.scalar("Final / Test Loss", number(epochs), tested->loss);
  }
  writer_.end_run(spikenet::run_status::success);
  writer_.flush();
}

void training_log::failed() {
  writer_.end_run(spikenet::run_status::failure);
  writer_.flush();
}

}  // namespace mnist
