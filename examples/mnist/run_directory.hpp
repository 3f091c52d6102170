// Where a training keeps what it makes.
#pragma once

#include <filesystem>
#include <string>

#include "commands.hpp"

namespace mnist {

// The best network by validation, and the checkpoint to resume from, in the directory of a run.
inline std::filesystem::path best_of(const std::filesystem::path& run) { return run / "model.safetensors"; }
inline std::filesystem::path last_of(const std::filesystem::path& run) { return run / "last"; }

// --out DIRECTORY, or runs/NAME for --run_name NAME, or else runs/KIND-DATE-TIME.
std::filesystem::path asked_directory(const train_options& options, const std::string& kind);

// Throws spikenet::file_error where a training has left a network in that directory, which may have cost hours.
void require_untaken(const std::filesystem::path& run);

// Where a new training is to go. Throws spikenet::file_error where another has left something there that it would
// overwrite, or mix with its own.
std::filesystem::path new_run(const train_options& options);

// Throws spikenet::file_error where it cannot be created or written to: now rather than after an epoch.
void make_writable_directory(const std::filesystem::path& path);

}  // namespace mnist
