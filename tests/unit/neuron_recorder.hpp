// An observer of networks that notes what their neurons did.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/network/observation.hpp"

namespace test {

// What every layer of neurons did: spikes and membrane potentials [T, N, size].
struct neuron_recorder {
  struct layer {
    std::string name;
    std::size_t size;
    std::vector<float> spikes, membranes;
  };
  std::vector<layer> layers;

  template <class Module, class In, class Scalar>
  void operator()(const spikenet::observation<Module, In, Scalar>& seen) {
    if constexpr (requires { typename Module::dynamics; }) {
      const auto k = seen.neurons.template constants<Scalar>();
      const std::size_t step = seen.output.step_size();
      layer made{seen.name, Module::output::size, {seen.output.data, seen.output.data + seen.output.size()}, {}};
      made.membranes.resize(made.spikes.size());
      for (std::size_t i = 0; i < step; ++i) {
        Scalar u{}, o{};
        for (std::size_t t = 0; t < Module::output::steps; ++t) {
          u = Module::dynamics::membrane(u, o, seen.input.data[(In::steps == 1 ? 0 : t) * step + i], k);
          o = seen.output.data[t * step + i];
          made.membranes[t * step + i] = u;
        }
      }
      layers.push_back(std::move(made));
    }
  }
};

}  // namespace test
