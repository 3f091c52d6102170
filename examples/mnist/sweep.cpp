#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <spikenet/core/error.hpp>
#include <spikenet/cpu_threads.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "chart.hpp"
#include "checkpoint.hpp"
#include "commands.hpp"
#include "hyperparameters.hpp"
#include "interruption.hpp"
#include "run_directory.hpp"
#include "sweep_table.hpp"
#include "text.hpp"
#include "training.hpp"

namespace mnist {

namespace {

std::vector<double> ascending(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<neuron_values> grid_of(const sweep_options& options) {
  std::vector<neuron_values> grid;
  for (const double tau : ascending(options.tau))
    for (const double v_th : ascending(options.v_th))
      for (const double a : ascending(options.a)) grid.push_back({.v_th = v_th, .a = a, .tau = tau});
  return grid;
}

std::string name_of(const neuron_values& n) {
  return "v_th-" + text_of(n.v_th) + "_a-" + text_of(n.a) + "_tau-" + text_of(n.tau);
}

// Of a run that a stopped sweep has begun, if it came as far as a checkpoint.
std::optional<saved_training> checkpoint_of(const std::filesystem::path& run) {
  std::error_code ignored;
  if (!std::filesystem::exists(last_of(run), ignored)) return std::nullopt;
  return saved_training{last_of(run)};
}

// Trains and validates one network. Throws an interruption where a signal stops it.
sweep_row train_one(train_options options, const image_files& images, const neuron_values& neurons,
                    const std::filesystem::path& run) {
  const auto start = std::chrono::steady_clock::now();
  options.model.v_th = neurons.v_th;
  options.model.a = neurons.a;
  options.model.tau = neurons.tau;
  const std::optional<saved_training> last = checkpoint_of(run);
  if (last) {
    // That must be of the very same training.
    options.given = {"data"};
    for_each_hyperparameter(options, [&](const std::string& name, const auto&) { options.given.insert(name); });
    options = last->options(options);
  }
  training job{options, images, run, last};
  make_writable_directory(run);
  const std::unique_ptr<training_log> log = job.open_log();
  sweep_row row{.neurons = neurons,
                .run = run.filename().string(),
                .validation_accuracy = {},
                .validation_loss = {},
                .error = {}};
  try {
    job.run_epochs(log.get());
    const training_record& record = job.record();
    row.validation_accuracy = record.best_accuracy;
    row.validation_loss = record.best_loss;
    row.best_epoch = record.best_epoch;
    if (log) log->succeeded(record.epoch, record.best_accuracy, std::nullopt);
  } catch (const spikenet::numeric_error& error) {
    row.error = error.what();
    if (log) log->failed();
    std::printf("%s\n", error.what());
  }
  row.seconds = seconds_since(start);
  return row;
}

heat_map map_of(const sweep_options& options, const sweep_table& table, double tau) {
  const std::vector<double> rows = ascending(options.v_th), columns = ascending(options.a);
  const train_options& each = options.train;
  heat_map map;
  map.title = "Validation accuracy over threshold and surrogate";
  map.subtitle = std::to_string(each.epochs) + (each.epochs == 1 ? " epoch" : " epochs") +
                 (each.limit ? ", " + std::to_string(*each.limit) + " images with those to validate" : "") +
                 ", width " + std::to_string(each.model.width) + ", " + std::to_string(each.model.steps) +
                 " timesteps, tau " + text_of(tau);
  map.row_name = "threshold v_th";
  map.column_name = "half width a of the surrogate's window";
  map.value_name = "validation accuracy";
  map.as_percent = true;
  for (const double a : columns) map.columns.push_back(text_of(a));
  // As an axis: the largest on top.
  for (auto v_th = rows.rbegin(); v_th != rows.rend(); ++v_th) {
    map.rows.push_back(text_of(*v_th));
    for (const double a : columns) {
      const sweep_row* const row = table.find({.v_th = *v_th, .a = a, .tau = tau});
      const bool known = row != nullptr && row->validation_accuracy;
      map.values.push_back(known ? *row->validation_accuracy : NAN);
      map.texts.push_back(known ? percent(*row->validation_accuracy) : row != nullptr ? "broke down" : "");
    }
  }
  return map;
}

std::filesystem::path map_path(const sweep_options& options, const std::filesystem::path& out, double tau) {
  return out / (ascending(options.tau).size() == 1 ? "accuracy" : "accuracy-tau-" + text_of(tau));
}

}  // namespace

int sweep(const sweep_options& options) {
  spikenet::set_cpu_threads(options.train.threads);
  const std::filesystem::path out = asked_directory(options.train, "sweep");
  const image_files images{options.train.data};
  make_writable_directory(out);
  sweep_table table{out / "sweep.csv", options.train};
  const std::vector<neuron_values> grid = grid_of(options);
  std::printf("sweep       %zu trainings, each of %zu epochs; %zu threads\n", grid.size(), options.train.epochs,
              spikenet::cpu_threads());
  std::printf("written     %s: sweep.csv, accuracy.svg, accuracy.png, and the runs\n", out.c_str());
  if (options.train.tensorboard) std::printf("curves      tensorboard --logdir %s\n", out.c_str());

  note_signals();
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const neuron_values& neurons = grid[i];
    const bool done = table.find(neurons) != nullptr;
    std::printf("\ntraining %zu/%zu: v_th %s, a %s, tau %s%s\n", i + 1, grid.size(), text_of(neurons.v_th).c_str(),
                text_of(neurons.a).c_str(), text_of(neurons.tau).c_str(), done ? ": done before" : "");
    std::fflush(stdout);
    if (!done) {
      try {
        table.add(train_one(options.train, images, neurons, out / name_of(neurons)));
      } catch (const interruption& stopped) {
        std::printf("stopped by %s; to go on: the same command with --out %s\n", stopped.name(), out.c_str());
        return stopped.exit_status();
      }
    }
    save_chart(map_of(options, table, neurons.tau), map_path(options, out, neurons.tau));
  }

  const sweep_row *best = nullptr, *worst = nullptr;
  std::size_t broken = 0;
  for (const neuron_values& neurons : grid) {
    const sweep_row* const row = table.find(neurons);
    if (!row->validation_accuracy) {
      ++broken;
      continue;
    }
    if (best == nullptr || *row->validation_accuracy > *best->validation_accuracy) best = row;
    if (worst == nullptr || *row->validation_accuracy < *worst->validation_accuracy) worst = row;
  }
  std::printf("\n");
  for (const auto& [what, row] : {std::pair{"best ", best}, {"worst", worst}})
    if (row != nullptr)
      std::printf("%s       validation accuracy %.2f %%: v_th %s, a %s, tau %s\n", what,
                  100 * *row->validation_accuracy, text_of(row->neurons.v_th).c_str(), text_of(row->neurons.a).c_str(),
                  text_of(row->neurons.tau).c_str());
  if (broken > 0) std::printf("broke down  %zu of %zu trainings\n", broken, grid.size());
  std::printf("pictures    %s.svg and .png\n", map_path(options, out, grid.front().tau).c_str());
  return 0;
}

}  // namespace mnist
