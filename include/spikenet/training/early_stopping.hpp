// Early stopping: an end to training once the validation loss has stopped getting better.
//
//   spikenet::early_stopping stopping{.patience = 7};
//   for (...) {
//     ...
//     if (stopping(validation_loss)) break;
//   }
#pragma once

#include <cstddef>
#include <limits>
#include <spikenet/core/error.hpp>

namespace spikenet {

// Counts the epochs whose validation loss is worse than the best so far, and stops when there are `patience` of them; a
// new best sets the count back to 0, a loss equal to the best leaves it. NaN is worse than any number. The members are
// all of its state: a copy goes on like the original.
struct early_stopping {
  std::size_t patience = 7;  // at least 1
  double best_loss = std::numeric_limits<double>::infinity();
  std::size_t worse_epochs = 0;

  // Takes in the validation loss of an epoch, and says whether to stop. Throws argument_error where patience is 0.
  bool operator()(double validation_loss) {
    if (patience == 0) throw argument_error("early_stopping: a patience of 0 epochs would stop before the first.");
    if (validation_loss < best_loss) {
      best_loss = validation_loss;
      worse_epochs = 0;
    } else if (validation_loss != best_loss) {
      ++worse_epochs;
    }
    return stopped();
  }

  // What the last call said.
  bool stopped() const noexcept { return worse_epochs >= patience; }
};

}  // namespace spikenet
