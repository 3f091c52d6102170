// Where the time of a training step and of an evaluation goes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <spikenet/cpu_threads.hpp>
#include <spikenet/network/network.hpp>
#include <spikenet/network/profile.hpp>
#include <spikenet/training/monitor.hpp>
#include <string>
#include <utility>

#include "checkpoint.hpp"
#include "checksum.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "text.hpp"

namespace mnist {

namespace {

// Convolutions and linear layers are the rest.
bool is_element_wise(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return last.starts_with("bn") || last.starts_with("spike") || last == "sum" || name.ends_with("downsample.1");
}

// Times are those of one of so many steps.
void print_times(const spikenet::profile& times, std::size_t steps) {
  const double total = times.total();
  const auto milliseconds = [steps](double seconds) {
    return number("%.3f", 1e3 * seconds / static_cast<double>(steps));
  };
  text_table table{{"layer", "forward, ms", "backward, ms", "share"}};
  double forward = 0, backward = 0, element_wise = 0;
  for (const auto& layer : times.layers()) {
    const double both = layer.forward + layer.backward;
    table.push_back(
        {layer.name, milliseconds(layer.forward), milliseconds(layer.backward), number("%.1f %%", 100 * both / total)});
    forward += layer.forward;
    backward += layer.backward;
    if (is_element_wise(layer.name)) element_wise += both;
  }
  table.push_back({"all", milliseconds(forward), milliseconds(backward), "100.0 %"});
  print_table(table, "lr");
  std::printf("tdBN, neurons and residual sums: %.1f %%\n", 100 * element_wise / total);
}

double firing_rate(model& net, std::span<const float> images) {
  spikenet::monitor monitor;
  net.evaluate(images, monitor);
  double spikes = 0, chances = 0;
  for (const auto& layer : monitor.neurons()) {
    spikes += layer.rate() * static_cast<double>(layer.neurons);
    chances += static_cast<double>(layer.neurons);
  }
  return spikes / chances;
}

}  // namespace

void profile(const profile_options& options) {
  spikenet::set_cpu_threads(options.threads);
  saved_model made;
  std::filesystem::path data = options.data.value_or(SPIKENET_MNIST_DIR);
  if (options.checkpoint) {
    made = load_model(*options.checkpoint);
    data = data_for(*options.checkpoint, made.info, options.data);
  }
  check_sums(data);
  const spikenet::image_dataset images = read_images(data, "train");
  if (!options.checkpoint) {
    made.info = {options.model, spikenet::normalise::of(images), data};
    made.net = make_model(options.model, spikenet::seed{1});
  }
  model& net = *made.net;

  const std::size_t count = std::min(images.size(), options.batch_size * (options.warm_up + options.steps));
  const spikenet::batch_loader<float> loader{
      spikenet::subset{images}.first(count),
      {.batch_size = options.batch_size, .shuffle = true, .normalisation = made.info.normalisation}};
  const optimizer rule = spikenet::adam{.learning_rate = 1e-5};  // that the weights stay about what they are

  spikenet::profile training, evaluation;
  double training_seconds = 0, evaluation_seconds = 0, rate = 0;
  std::size_t step = 0, measured = 0, seen = 0;
  for (const auto& batch : loader.epoch(0)) {
    const bool warm = step++ >= options.warm_up;
    if (batch.size() < options.batch_size) break;
    if (!warm) rate = firing_rate(net, batch.images);
    net.profile_into(warm ? &training : nullptr);
    const auto start = std::chrono::steady_clock::now();
    net.train_step(batch.images, batch.labels, rule, {});
    const double trained = seconds_since(start);

    net.profile_into(warm ? &evaluation : nullptr);
    const auto again = std::chrono::steady_clock::now();
    net.test_step(batch.images, batch.labels);
    if (!warm) continue;
    training_seconds += trained;
    evaluation_seconds += seconds_since(again);
    ++measured;
    seen += batch.size();
  }
  if (measured == 0)
    throw spikenet::argument_error("There are " + std::to_string(images.size()) + " training images, which are not " +
                                   std::to_string(options.warm_up + 1) + " batches of " +
                                   std::to_string(options.batch_size) + " (--batch_size).");

  std::printf("network     %s: width %zu, %zu timesteps, %zu parameters\n",
              options.checkpoint ? options.checkpoint->c_str() : "untrained", made.info.model.width,
              made.info.model.steps, net.parameter_count());
  std::printf("firing      %.1f %% of the neurons at a timestep\n", 100 * rate);
  std::printf("processor   %zu threads\n", spikenet::cpu_threads());
  std::printf("\nA training step of %zu images, mean of %zu: %.0f images/s\n\n", options.batch_size, measured,
              static_cast<double>(seen) / training_seconds);
  print_times(training, measured);
  std::printf("\nAn evaluation of %zu images, mean of %zu: %.0f images/s\n\n", options.batch_size, measured,
              static_cast<double>(seen) / evaluation_seconds);
  print_times(evaluation, measured);
}

}  // namespace mnist
