#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <spikenet/core/error.hpp>
#include <spikenet/cpu_threads.hpp>

#include "checkpoint.hpp"
#include "commands.hpp"
#include "interruption.hpp"
#include "run_directory.hpp"
#include "training.hpp"

namespace mnist {

namespace {

// Trains and tests. A signal leaves a checkpoint, and its number.
int train(const train_options& options, const std::filesystem::path& run, const std::optional<saved_training>& last) {
  const auto start = std::chrono::steady_clock::now();
  spikenet::set_cpu_threads(options.threads);
  const image_files images{options.data};
  training job{options, images, run, last};
  make_writable_directory(run);
  const std::unique_ptr<training_log> log = job.open_log();
  job.print_plan();

  note_signals();
  progress::summary tested;
  try {
    job.run_epochs(log.get());
    tested = job.test_best();
  } catch (const interruption& stopped) {
    std::printf("stopped by %s after %s; to go on: spikenet-mnist train --resume %s\n", stopped.name(),
                job.position().c_str(), run.c_str());
    return stopped.exit_status();
  } catch (const spikenet::error&) {
    if (log) log->failed();
    throw;
  }
  if (log) log->succeeded(job.record().epoch, job.record().best_accuracy, tested);
  std::printf("\ntest accuracy %.2f %% (epoch %zu, chosen by validation), loss %.4f; all took %s\n",
              100 * tested.accuracy, job.record().best_epoch, tested.loss, clock_text(seconds_since(start)).c_str());
  std::printf("to test it again: spikenet-mnist test --checkpoint %s\n", best_of(run).c_str());
  return 0;
}

}  // namespace

int train(const train_options& command_line) {
  train_options options = command_line;
  std::optional<saved_training> last;
  if (command_line.init) options = begun_options(command_line);
  if (command_line.resume) {
    last.emplace(last_of(*command_line.resume));
    options = last->options(command_line);
  }
  choose_device(options.model);
  return train(options, command_line.resume ? *command_line.resume : new_run(command_line), last);
}

}  // namespace mnist
