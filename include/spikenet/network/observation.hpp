// What an observer is shown of each layer, as the last forward pass left it; see network::evaluate.
#pragma once

#include <concepts>
#include <string>

#include "spikenet/core/tensor.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

// One layer at work. An observer that is called with this instead of (name, output) sees every layer, the tdBN of a
// stage that runs in one pass too: what such a stage never writes is computed again to be shown.
//   name     of the layer: "layer1.0.conv1"; lives as long as the call
//   module   the layer, bound to its input; its type says what it is, its members hold its parameters
//   input    what it received: [In::steps, N, H, W, C] or [In::steps, N, F]
//   output   what it made of it
//   neurons  threshold, decay and surrogate of the network's neurons
template <class Module, class In, class Scalar>
struct observation {
  const std::string& name;
  const Module& module;
  tensor<In, const Scalar> input;
  tensor<typename Module::output, const Scalar> output;
  const neuron& neurons;
};

namespace detail {

// Whether an observer asks for the name and the output of a layer and no more.
template <class F, class Output, class Scalar>
concept observes_outputs = std::invocable<F&, const std::string&, tensor<Output, const Scalar>>;

template <class F, class Module, class In, class Output, class Scalar>
void show(F& f, const std::string& name, const Module& module, tensor<In, const Scalar> x,
          tensor<Output, const Scalar> y, const neuron& neurons) {
  if constexpr (observes_outputs<F, Output, Scalar>) {
    f(name, y);
  } else {
    f(observation<Module, In, Scalar>{name, module, x, y, neurons});
  }
}

}  // namespace detail
}  // namespace spikenet
