// What this library throws. One base, so that `catch (const spikenet::error&)` catches everything it reports on
// purpose; each message names the file, the layer or the value at fault.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A file is missing, truncated, corrupt, or not what it claims to be. The message starts with its path.
struct file_error : error {
  using error::error;
};

// What went wrong in a layer. The layers around it add their names on the way up, so that the message ends as
// "layer2.0.bn1: the batch variance of channel 3 is not finite".
template <class Self>
struct error_of_a_layer : error {
  using error::error;
  error_of_a_layer(std::string path, const std::string& problem)
      : error(path + ": " + problem), path_{std::move(path)}, problem_{problem} {}

  // The same error, seen from one level further out.
  Self within(const std::string& name) const {
    return path_.empty() ? Self(name, what()) : Self(name + "." + path_, problem_);
  }

 private:
  std::string path_, problem_;
};

// An argument of a call is out of its range: an empty batch, a label without a class, a negative learning rate.
struct argument_error : error_of_a_layer<argument_error> {
  using error_of_a_layer::error_of_a_layer;
};

// NaN or infinity where a number was expected. The message names the tensor.
struct numeric_error : error_of_a_layer<numeric_error> {
  using error_of_a_layer::error_of_a_layer;
};

// A device is missing, out of memory, or refuses a call. The message names the call and what it was about.
struct device_error : error_of_a_layer<device_error> {
  using error_of_a_layer::error_of_a_layer;
};

}  // namespace spikenet
