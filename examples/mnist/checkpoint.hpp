// What the program writes beside the weights of a network, so that the file alone is enough to test it.
#pragma once

#include <filesystem>
#include <memory>
#include <spikenet/data/transform.hpp>
#include <spikenet/io/safetensors.hpp>

#include "model.hpp"

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

}  // namespace mnist
