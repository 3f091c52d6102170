// What the program writes beside the weights of a network: so that a model alone is enough to test it, and that a
// training can be resumed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <spikenet/data/transform.hpp>
#include <spikenet/training/early_stopping.hpp>
#include <string>

#include "commands.hpp"
#include "model.hpp"
#include "progress.hpp"

namespace spikenet {
class checkpoint;
class safetensors_file;
}  // namespace spikenet

namespace mnist {

struct checkpoint_info {
  model_options model;
  spikenet::normalise normalisation;  // of the images that it was trained on: one mean, one standard deviation
  std::filesystem::path data;         // the directory of these images; empty: not known
};

// Writes model.safetensors. Throws spikenet::error as spikenet::save_state_dict does.
void save_model(const model& net, const checkpoint_info& info, const std::filesystem::path& path);

// Sets the weights of a network from such a file. Throws spikenet::file_error.
void load_weights(model& net, const std::filesystem::path& path);

// Returns what the file says beside its weights. Throws spikenet::file_error naming the file and the entry that is missing
// or not a number; checked_info also if this program has no such network.
checkpoint_info info_of(const spikenet::safetensors_file& file);
checkpoint_info checked_info(const spikenet::safetensors_file& file);

struct saved_model {
  checkpoint_info info;
  std::unique_ptr<model> net;
};

// The network that `train` has saved in a file. Throws spikenet::file_error naming the file and what is wrong with it.
saved_model load_model(const std::filesystem::path& path);

// Returns the directory of the images for a network from a file: the one that the command line asks for, or else the one
// of its training. Throws spikenet::file_error if that is not known, or is gone.
std::filesystem::path data_for(const std::filesystem::path& path, const checkpoint_info& info,
                               const std::optional<std::filesystem::path>& asked);

// Where a training stands.
struct training_record {
  std::size_t epoch = 0, batch = 0;  // epochs that are complete, and batches of the next one
  progress_totals so_far;            // of these batches
  std::size_t best_epoch = 0;        // by validation, counted from 1; 0: none yet
  double best_accuracy = 0, best_loss = 0;
  spikenet::early_stopping stopping;
};

// Writes the checkpoint that a training can be resumed from, with all of its options. Throws spikenet::error as
// spikenet::save_checkpoint does.
void save_training(const model& net, const optimizer& rule, const checkpoint_info& info, const training_record& record,
                   const train_options& options, const std::filesystem::path& directory);

// Such a checkpoint, in memory.
class saved_training {
 public:
  // Throws spikenet::file_error as spikenet::checkpoint::read does.
  explicit saved_training(const std::filesystem::path& directory);

  // The path of one of its files, for messages.
  const std::string& name() const;
  // The options of the training, and from the command line what its outcome does not depend on. Throws
  // spikenet::argument_error naming the option where the command line contradicts it: all must stay, but for the number
  // of epochs where the schedule does not depend on it.
  train_options options(const train_options& command_line) const;
  // Throws spikenet::file_error where an entry is missing or not what save_training writes.
  training_record record(const train_options& options) const;
  // Whether the training was of the same network, with images that are normalised in the same way: the same weights on
  // other images would be another training.
  bool is_of(const checkpoint_info& info) const;
  void restore(model& net, const optimizer& rule) const;

 private:
  std::shared_ptr<const spikenet::checkpoint> content_;
};

// The command line's options, and from the network that the training is to begin with what it is, how its images are
// normalised, and where they are unless --data says so. Throws spikenet::file_error.
train_options begun_options(const train_options& command_line);

}  // namespace mnist
