// What the user sets of the leaky integrate-and-fire neurons; their mathematics is in dynamics.hpp.
#pragma once

#include <cmath>
#include <string>

#include "spikenet/core/error.hpp"
#include "spikenet/neuron/dynamics.hpp"
#include "spikenet/neuron/surrogate.hpp"

namespace spikenet {

// What the user sets at construction, for all neurons of a network. decay in [0, 1]; threshold > 0 and finite.
struct neuron {
  double threshold = 0.5;
  double decay = 0.25;
  rectangular surrogate{};

  template <class Scalar>
  neuron_constants<Scalar> constants() const {
    return {static_cast<Scalar>(threshold), static_cast<Scalar>(decay), static_cast<Scalar>(surrogate.half_width),
            static_cast<Scalar>(surrogate.height)};
  }

  // Throws argument_error where a value is out of its range.
  void validate() const {
    const auto require = [](bool ok, const char* what, double value) {
      if (!ok) throw argument_error("neuron: " + std::string(what) + ", not " + std::to_string(value));
    };
    require(std::isfinite(threshold) && threshold > 0, "the threshold must be positive and finite", threshold);
    require(decay >= 0 && decay <= 1, "the decay must lie in [0, 1]", decay);
    require(std::isfinite(surrogate.half_width) && surrogate.half_width > 0,
            "the surrogate's half width must be positive and finite", surrogate.half_width);
    require(std::isfinite(surrogate.height) && surrogate.height > 0,
            "the surrogate's height must be positive and finite", surrogate.height);
  }
};

}  // namespace spikenet
