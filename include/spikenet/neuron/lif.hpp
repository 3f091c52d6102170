// What the user sets of the leaky integrate-and-fire neurons; their mathematics is in dynamics.hpp.
#pragma once

#include "spikenet/core/setting.hpp"
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

  // Throws argument_error if a value is out of its range, as it is given or as Scalar holds it.
  template <class Scalar = double>
  void validate() const {
    using namespace detail;
    require_setting<Scalar>(is_positive, "neuron: the threshold must be positive and finite", threshold);
    require_setting<Scalar>(is_fraction, "neuron: the decay must lie in [0, 1]", decay);
    require_setting<Scalar>(is_positive, "neuron: the surrogate's half width must be positive and finite",
                            surrogate.half_width);
    require_setting<Scalar>(is_positive, "neuron: the surrogate's height must be positive and finite",
                            surrogate.height);
  }
};

}  // namespace spikenet
