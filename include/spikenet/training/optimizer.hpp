// Optimizers: rules that move parameters against their gradients. A rule is a value; what it remembers of each
// parameter (its moments) lives in the network, beside the parameters, so that the rate can be changed at any step:
//
//     spikenet::adam optimizer{.learning_rate = 1e-3};
//     optimizer.learning_rate = 1e-3 * schedule(epoch);
//
// `moments` is how many numbers it remembers of each parameter. Checkpoints know the rule by its `name`, and what it
// remembers by `moment_names`.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include "spikenet/core/compiler.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/setting.hpp"

namespace spikenet {

// Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1); weight_decay is added to the gradient, as in PyTorch's Adam.
struct adam {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;

  static constexpr const char* name = "adam";
  static constexpr std::array<const char*, 2> moment_names{"first", "second"};
  static constexpr std::size_t moments = moment_names.size();

  // Throws argument_error if a value is out of its range, as it is given or as Scalar holds it.
  template <class Scalar = double>
  void validate() const {
    using namespace detail;
    require_setting<Scalar>(is_not_negative, "optimizer: learning_rate must be finite and not negative", learning_rate);
    require_setting<Scalar>(is_below_one, "optimizer: beta1 must lie in [0, 1)", beta1);
    require_setting<Scalar>(is_below_one, "optimizer: beta2 must lie in [0, 1)", beta2);
    require_setting<Scalar>(is_not_negative, "optimizer: learning_rate / (1 - beta1) must be finite and not negative",
                            learning_rate / (1 - beta1));
    if (epsilon != 0)
      require_setting<Scalar>(is_positive, "optimizer: an epsilon other than 0 must be positive and finite", epsilon);
    require_setting<Scalar>(is_not_negative, "optimizer: weight_decay must be finite and not negative", weight_decay);
  }

  template <class Backend, class Scalar>
  void operator()(Backend& backend, const optimizer_step<Scalar>& step) const {
    const double t = static_cast<double>(step.number);
    const auto rate = static_cast<Scalar>(learning_rate / (1 - std::pow(beta1, t)));
    const auto correction = static_cast<Scalar>(1 / std::sqrt(1 - std::pow(beta2, t)));
    const auto b1 = static_cast<Scalar>(beta1), b2 = static_cast<Scalar>(beta2);
    const auto eps = static_cast<Scalar>(epsilon), decay = static_cast<Scalar>(weight_decay);
    Scalar* const first = step.moments;
    Scalar* const second = step.moments + step.count;
    Scalar* const values = step.values;
    const Scalar* const gradients = step.gradients;
    backend.for_each(step.count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      const Scalar g = gradients[i] + decay * values[i];
      first[i] = b1 * first[i] + (Scalar{1} - b1) * g;
      second[i] = b2 * second[i] + (Scalar{1} - b2) * g * g;
      values[i] -= rate * first[i] / (std::sqrt(second[i]) * correction + eps);
    });
  }
};

// Stochastic gradient descent with momentum, as PyTorch's SGD (no dampening, no Nesterov).
struct sgd {
  double learning_rate = 1e-2;
  double momentum = 0;
  double weight_decay = 0;

  static constexpr const char* name = "sgd";
  static constexpr std::array<const char*, 1> moment_names{"velocity"};
  static constexpr std::size_t moments = moment_names.size();

  // Throws argument_error if a value is out of its range, as it is given or as Scalar holds it.
  template <class Scalar = double>
  void validate() const {
    using namespace detail;
    require_setting<Scalar>(is_not_negative, "optimizer: learning_rate must be finite and not negative", learning_rate);
    require_setting<Scalar>(is_below_one, "optimizer: momentum must lie in [0, 1)", momentum);
    require_setting<Scalar>(is_not_negative, "optimizer: weight_decay must be finite and not negative", weight_decay);
  }

  template <class Backend, class Scalar>
  void operator()(Backend& backend, const optimizer_step<Scalar>& step) const {
    const auto rate = static_cast<Scalar>(learning_rate), mu = static_cast<Scalar>(momentum);
    const auto decay = static_cast<Scalar>(weight_decay);
    Scalar *const values = step.values, *const velocity = step.moments;
    const Scalar* const gradients = step.gradients;
    backend.for_each(step.count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      velocity[i] = mu * velocity[i] + gradients[i] + decay * values[i];
      values[i] -= rate * velocity[i];
    });
  }
};

}  // namespace spikenet
