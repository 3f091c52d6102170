// What an observer is shown of each layer, as the last forward pass left it; see network::evaluate.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <vector>

#include "spikenet/backend/memory.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/network/real_view.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

// One layer at work. An observer that is called with this instead of (name, output) sees every layer, the tdBN of a
// stage that runs in one pass too: what such a stage never writes is computed again to be shown.
//   name     of the layer: "layer1.0.conv1"; lives as long as the call
//   module   the layer, bound to its input; its type says what it is, its members hold its parameters (in the backend's
//            memory)
//   input    what it received: [In::steps, N, H, W, C] or [In::steps, N, F]
//   output   what it made of it
//   neurons  threshold, decay and surrogate of the network's neurons
//   from, to where the network holds input and output, maybe as bits: what one layer makes and another receives is in
//            the same place
template <class Module, class In, class Scalar>
struct observation {
  const std::string& name;
  const Module& module;
  tensor<In, const Scalar> input;
  tensor<typename Module::output, const Scalar> output;
  const neuron& neurons;
  const void* from;
  const void* to;
};

namespace detail {

// Whether an observer asks for the name and the output of a layer and no more.
template <class F, class Output, class Scalar>
concept observes_outputs = std::invocable<F&, const std::string&, tensor<Output, const Scalar>>;

// A signal where the host can read it, in scalars.
template <class Backend, class Signal>
class shown {
 public:
  using scalar = typename Backend::scalar;
  using real = real_of<Backend>;
  shown(context<Backend>& c, tensor<Signal, const real> x)
      : x_{as_scalars(copy_.fetch(c.backend, x.data, x.size())).data(), x.batch} {}
  shown(const shown&) = delete;
  shown& operator=(const shown&) = delete;
  tensor<Signal, const scalar> operator*() const noexcept { return x_; }

 private:
  std::span<const scalar> as_scalars(std::span<const real> values) {
    if constexpr (std::same_as<real, scalar>) {
      return values;
    } else {
      scalars_.assign(values.begin(), values.end());
      return scalars_;
    }
  }

  host_copy<Backend, real> copy_;
  std::vector<scalar> scalars_;  // where reals are others
  tensor<Signal, const scalar> x_;
};

// Shows f a layer; packed spikes as the real numbers that they stand for.
template <class In, class Output, class F, class Backend, class Module, class X, class Y>
void show(F& f, context<Backend>& c, const std::string& name, const Module& module, tensor<In, X> x,
          tensor<Output, Y> y) {
  using scalar = typename Backend::scalar;
  const real_view<Backend, Output> real_y(c, y);
  const shown<Backend, Output> shown_y(c, *real_y);
  if constexpr (observes_outputs<F, Output, scalar>) {
    f(name, *shown_y);
  } else {
    const real_view<Backend, In> real_x(c, x);
    const shown<Backend, In> shown_x(c, *real_x);
    f(observation<Module, In, scalar>{name, module, *shown_x, *shown_y, c.neurons, x.data, y.data});
  }
}

}  // namespace detail
}  // namespace spikenet
