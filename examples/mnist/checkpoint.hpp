// What the program writes beside the weights of a network: so that a model alone is enough to test it, and that a
// training can be resumed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <spikenet/data/transform.hpp>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/training/early_stopping.hpp>

#include "commands.hpp"
#include "model.hpp"
#include "progress.hpp"

namespace mnist {

struct checkpoint_info {
  model_options model;
  spikenet::normalise normalisation;  // of the images that it was trained on: one mean, one standard deviation
};

struct saved_model {
  checkpoint_info info;
  std::unique_ptr<model> net;
};

// The network that `train` has saved in a file. Throws spikenet::file_error naming the file and what is wrong with it.
saved_model load_model(const std::filesystem::path& path);

spikenet::safetensors_metadata to_metadata(const checkpoint_info& info);

// Throws spikenet::file_error naming the file and the entry that is missing or not a number.
checkpoint_info from_metadata(const spikenet::safetensors_file& file);

// Where a training stands.
struct training_record {
  std::size_t epoch = 0, batch = 0;  // epochs that are complete, and batches of the next one
  progress_totals so_far;            // of these batches
  std::size_t best_epoch = 0;        // by validation, counted from 1; 0: none yet
  double best_accuracy = 0, best_loss = 0;
  spikenet::early_stopping stopping;
};

// The training's options go with it.
spikenet::training_state to_state(const training_record& record, const train_options& options);

// Throws spikenet::file_error where an entry is missing or not what to_state writes.
training_record record_of(const spikenet::checkpoint& last, const train_options& options);

// The options of the training that the checkpoint is of, and from the command line what its outcome does not depend on.
// Throws spikenet::argument_error naming the option where the command line contradicts it: all must stay, but for the
// number of epochs where the schedule does not depend on it.
train_options resumed_options(const spikenet::checkpoint& last, const train_options& command_line);

// The command line's options, and from the network that the training is to begin with what it is and how its images are
// normalised. Throws spikenet::file_error.
train_options begun_options(const train_options& command_line);

}  // namespace mnist
