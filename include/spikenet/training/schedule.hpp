// Learning-rate schedules. A schedule is a value that maps the time since training began, in epochs and their
// fractions, to a multiplier of the base learning rate; it keeps no state, so resuming or looking ahead is a call with
// another epoch:
//
//   const spikenet::warmup schedule{1, spikenet::cosine{.epochs = 11}};
//   optimizer.learning_rate = base * schedule(epoch + double(batch) / double(batches));
//
// Any `double f(double)` is one, too. All throw argument_error on the first call where a parameter is out of its range,
// and for an epoch that is negative or not finite. After their last epoch they keep their last value.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <numbers>
#include <spikenet/core/error.hpp>
#include <spikenet/core/text.hpp>
#include <string>
#include <type_traits>
#include <utility>

namespace spikenet {

template <class T>
concept learning_rate_schedule = std::is_invocable_r_v<double, const T&, double>;

namespace detail {

// `rule` completes "... must be": the comparisons are written so that NaN fails them.
inline void require_schedule(bool holds, const char* parameter, const char* rule, double value) {
  if (!holds)
    throw argument_error(std::string{"A learning-rate schedule's "} + parameter + " must be " + rule + ", but is " +
                         text_of(value) + ".");
}

inline void require_epoch(double epoch) {
  require_schedule(epoch >= 0 && std::isfinite(epoch), "epoch", "finite and not negative", epoch);
}

inline void require_positive(double value, const char* parameter) {
  require_schedule(value > 0 && std::isfinite(value), parameter, "finite and above 0", value);
}

inline void require_fraction(double value, const char* parameter) {
  require_schedule(value >= 0 && value <= 1, parameter, "from 0 to 1", value);
}

// Half a cosine wave from `from` at progress 0 to `to` at progress 1.
inline double cosine_between(double from, double to, double progress) noexcept {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * progress)) / 2;
}

}  // namespace detail

// The base learning rate throughout.
struct constant {
  double operator()(double epoch) const {
    detail::require_epoch(epoch);
    return 1;
  }
};

// Times `factor` (0 to 1) each time that `every` epochs (above 0) have passed: factor^floor(epoch / every), PyTorch's
// StepLR.
struct step_decay {
  double factor = 0.1;
  double every = 10;

  double operator()(double epoch) const {
    detail::require_fraction(factor, "factor");
    detail::require_positive(every, "every");
    detail::require_epoch(epoch);
    return std::pow(factor, std::floor(epoch / every));
  }
};

// Half a cosine wave from 1 down to `floor` (0 to 1) over `epochs` (above 0; must be given): Loshchilov and Hutter,
// "SGDR: stochastic gradient descent with warm restarts", arXiv 1608.03983, without the restarts; PyTorch's
// CosineAnnealingLR.
struct cosine {
  double epochs = 0;
  double floor = 0;

  double operator()(double epoch) const {
    detail::require_positive(epochs, "epochs");
    detail::require_fraction(floor, "floor");
    detail::require_epoch(epoch);
    return detail::cosine_between(1, floor, std::min(epoch / epochs, 1.0));
  }
};

// Half a cosine wave from `start_factor` up to 1 over the first `warmup_fraction` of `epochs`, then another down to
// `end_factor`: Smith and Topin, "Super-convergence", arXiv 1708.07120, in the form of PyTorch's OneCycleLR with
// anneal_strategy "cos". The base learning rate is PyTorch's max_lr, start_factor is 1 / div_factor, and end_factor is
// 1 / (div_factor * final_div_factor), in PyTorch 4e-6 by default. Momentum is left alone. `epochs` is above 0 and must
// be given; the others are from 0 to 1.
struct one_cycle {
  double epochs = 0;
  double warmup_fraction = 0.3;
  double start_factor = 1.0 / 25;
  double end_factor = 1e-4;

  double operator()(double epoch) const {
    detail::require_positive(epochs, "epochs");
    detail::require_fraction(warmup_fraction, "warmup_fraction");
    detail::require_fraction(start_factor, "start_factor");
    detail::require_fraction(end_factor, "end_factor");
    detail::require_epoch(epoch);
    const double progress = std::min(epoch / epochs, 1.0);
    if (progress < warmup_fraction) return detail::cosine_between(start_factor, 1, progress / warmup_fraction);
    // A fraction of 1 leaves no time for the way down.
    if (warmup_fraction == 1) return 1;
    return detail::cosine_between(1, end_factor, (progress - warmup_fraction) / (1 - warmup_fraction));
  }
};

// Any schedule, multiplied by a straight line from `start_factor` (0 to 1) at epoch 0 to 1 at `epochs` (above 0).
// PyTorch's LinearLR chained to the other. The inner schedule's clock starts at epoch 0, not after the warm-up.
template <learning_rate_schedule Inner>
class warmup {
 public:
  // start_factor's default is LinearLR's. Throws argument_error.
  warmup(double epochs, Inner inner, double start_factor = 1.0 / 3)
      : epochs_{epochs}, start_factor_{start_factor}, inner_{std::move(inner)} {
    detail::require_positive(epochs_, "epochs of warm-up");
    detail::require_fraction(start_factor_, "start_factor");
  }

  double operator()(double epoch) const {
    detail::require_epoch(epoch);
    return std::lerp(start_factor_, 1.0, std::min(epoch / epochs_, 1.0)) * inner_(epoch);
  }

 private:
  double epochs_, start_factor_;
  Inner inner_;
};

}  // namespace spikenet
