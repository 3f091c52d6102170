#include "run_directory.hpp"

#include <unistd.h>

#include <array>
#include <ctime>
#include <spikenet/core/error.hpp>
#include <system_error>

#include "text.hpp"
#include "training_log.hpp"

namespace mnist {

std::filesystem::path asked_directory(const train_options& options, const std::string& kind) {
  const std::filesystem::path runs = "runs";
  if (options.out) return *options.out;
  if (options.run_name) return runs / *options.run_name;
  const std::time_t now = std::time(nullptr);
  std::array<char, 64> time{};
  std::strftime(time.data(), time.size(), "-%Y%m%d-%H%M%S", std::localtime(&now));
  // Two may begin in the same second.
  const std::string name = kind + time.data();
  std::filesystem::path path = runs / name;
  for (int n = 2; std::filesystem::exists(path); ++n) path = runs / (name + "-" + std::to_string(n));
  return path;
}

void require_untaken(const std::filesystem::path& run) {
  std::error_code ignored;
  for (const auto& taken : {best_of(run), last_of(run)})
    if (std::filesystem::exists(taken, ignored))
      throw spikenet::file_error(taken.string() +
                                 ": The checkpoint of another training is not overwritten; choose another --out or "
                                 "--run_name, or go on with that training: --resume.");
}

std::filesystem::path new_run(const train_options& options) {
  const std::filesystem::path run = asked_directory(options, "mnist");
  require_untaken(run);
  if (options.tensorboard && has_event_files(run))
    throw spikenet::file_error(run.string() +
                               ": The event files of another training are there, whose curves would mix with this "
                               "one's; choose another --out or --run_name, or --no_tensorboard.");
  return run;
}

void make_writable_directory(const std::filesystem::path& path) {
  make_directory(path);
  if (::access(path.c_str(), W_OK) != 0)
    throw spikenet::file_error(path.string() + ": The directory cannot be written to.");
}

}  // namespace mnist
