// What the program writes beside the weights of a network, so that the file alone is enough to test it.
#pragma once

#include <spikenet/data/transform.hpp>
#include <spikenet/io/safetensors.hpp>

#include "model.hpp"

namespace mnist {

struct checkpoint_info {
  model_options model;
  spikenet::normalise normalisation;  // of the images that it was trained on: one mean, one standard deviation
};

spikenet::safetensors_metadata to_metadata(const checkpoint_info& info);

// Throws spikenet::file_error naming the file and the entry that is missing or not a number.
checkpoint_info from_metadata(const spikenet::safetensors_file& file);

}  // namespace mnist
