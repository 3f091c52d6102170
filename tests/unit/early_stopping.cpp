#include "spikenet/training/early_stopping.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "catch.hpp"

using spikenet::early_stopping;

namespace {

// The number of epochs that training lasts, at most all of these.
std::size_t epochs(early_stopping stopping, const std::vector<double>& losses) {
  for (std::size_t i = 0; i < losses.size(); ++i)
    if (stopping(losses[i])) return i + 1;
  return losses.size();
}

}  // namespace

TEST_CASE("training stops at the patience-th epoch that is worse than the best", "[early_stopping]") {
  CHECK(early_stopping{}.patience == 7);
  CHECK(epochs({.patience = 1}, {1.0, 2.0, 0.5}) == 2);
  CHECK(epochs({.patience = 3}, {1.0, 2.0, 2.0, 2.0, 2.0}) == 4);
  // Better than the epoch before is not enough: it must be better than the best.
  CHECK(epochs({.patience = 3}, {1.0, 5.0, 4.0, 3.0, 2.0}) == 4);
  CHECK(epochs({.patience = 2}, {3.0, 2.0, 1.0, 0.5, 0.1}) == 5);
}

TEST_CASE("a new best sets the count back, a loss equal to the best leaves it", "[early_stopping]") {
  CHECK(epochs({.patience = 2}, {1.0, 2.0, 0.9, 2.0, 0.8, 2.0, 2.0, 0.1}) == 7);
  CHECK(epochs({.patience = 2}, {1.0, 2.0, 1.0, 1.0, 2.0, 0.1}) == 5);

  early_stopping stopping{.patience = 5};
  for (const double loss : {1.0, 2.0, 3.0}) CHECK_FALSE(stopping(loss));
  CHECK(stopping.worse_epochs == 2);
  CHECK(stopping.best_loss == 1.0);
  stopping(0.5);
  CHECK(stopping.worse_epochs == 0);
  CHECK(stopping.best_loss == 0.5);
}

TEST_CASE("NaN and infinity are worse than any number", "[early_stopping]") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  CHECK(epochs({.patience = 2}, {1.0, nan, nan, 0.1}) == 3);
  CHECK(epochs({.patience = 2}, {1.0, infinity, nan, 0.1}) == 3);
  CHECK(epochs({.patience = 2}, {nan, 1.0, 2.0, 0.5}) == 4);
}

TEST_CASE("a copy goes on like the original, even after the end", "[early_stopping]") {
  early_stopping stopping{.patience = 2};
  stopping(1.0);
  stopping(2.0);
  early_stopping copy{.patience = 2, .best_loss = stopping.best_loss, .worse_epochs = stopping.worse_epochs};
  CHECK_FALSE(copy.stopped());
  CHECK(copy(3.0));
  CHECK(copy.stopped());
}

TEST_CASE("a patience of 0 is refused", "[early_stopping]") {
  early_stopping stopping{.patience = 0};
  CHECK_THROWS_MATCHES(stopping(1.0), spikenet::argument_error, says("patience of 0"));
}
