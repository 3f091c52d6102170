// What this library throws. One base, so that `catch (const spikenet::error&)` catches everything it reports on
// purpose; each message names the file, the layer or the value at fault.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace spikenet {

struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// An argument of a call is out of its range: an empty batch, a label without a class, a negative learning rate.
struct argument_error : error {
  using error::error;
};

// A file is missing, truncated, corrupt, or not what it claims to be. The message starts with its path.
struct file_error : error {
  using error::error;
};

// NaN or infinity where a number was expected. The message names the tensor; the layers around it add their names on
// the way up, so that it ends as "layer2.0.bn1: the batch variance of channel 3 is not finite".
struct numeric_error : error {
  using error::error;
  numeric_error(std::string path, const std::string& problem)
      : error(path + ": " + problem), path_{std::move(path)}, problem_{problem} {}

  // The same error, seen from one level further out.
  numeric_error within(const std::string& name) const {
    return path_.empty() ? numeric_error(name, what()) : numeric_error(name + "." + path_, problem_);
  }

 private:
  std::string path_, problem_;
};

}  // namespace spikenet
