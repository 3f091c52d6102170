// What a layer is. docs/layer.md is the page to read before writing one; examples/own_layer.cpp is one.
//
// A layer is a struct derived from spikenet::layer that names what it produces. The network binds it to what it
// receives: In, a signal<Shape, Steps, Content>. It has
//
//     template <class In> using problem        why it cannot take In: a type whose name says so; by default no_problem
//
//     template <class Backend, std::size_t T, class In> struct module
//                                              the layer bound to a backend, T timesteps and its input:
//
//         using output = signal<...>           what it produces
//         static constexpr std::array<parameter, n> parameters       the tensors it owns, n may be 0
//         static void initialize(std::size_t i, std::span<Scalar> values, initialization, random_stream&)
//         std::array<parameter_slot<Scalar>, n> slots                filled in by the network
//         void forward(context<Backend>&, tensor<In, const Real> x, tensor<output, Real> y)
//         void backward(context<Backend>&, x, tensor<output, const Real> y, tensor<output, const Real> gy,
//                       tensor<In, Real> gx)           writes the gradients of its parameters, and gx unless it is null
//
// where Scalar is Backend::scalar and Real is real_of<Backend>: the same, but in mixed precision. A layer that computes by
// itself then makes scalars of what it reads and Reals of what it writes.
//
// and may have, for whoever observes it (training/monitor.hpp):
//
//         static constexpr std::size_t fan_out(std::size_t i)        where it has weights: how many outputs value i of
//                                              an input item (channels last) goes into
//         using dynamics = lif_dynamics<...>   where it is neurons: how they run
//
// A backend may hold spikes as bits (see held). A layer that does not mention it is given real numbers and gives real
// numbers: the network unpacks and packs. One that can do better says so, and then takes (x) or makes (y, in backward
// too) tensor<..., spike_bits> where that is what the backend holds:
//
//         static constexpr bool takes_packed = true, makes_packed = true
//
// Where a tdBN that the backend fuses with its neurons follows, a layer may tell it the moments of its output:
//
//         static constexpr bool makes_moments = true
//         void forward(context<Backend>&, x, y, const batch_moments&)
//
// and may take the gradient by its output in parts, and
// compute it where it needs it. Where `add` is true it then adds to gx what it would else write there:
//
//         static constexpr bool takes_affine_gradient = true
//         void backward(context<Backend>&, x, const affine_gradient<output, Real, Scalar>& gy, gx, bool add)
//
// The same of a gradient that is not in parts:
//
//         static constexpr bool adds_input_gradient = true
//         void backward(context<Backend>&, x, y, gy, gx, bool add)
//
// forward must write all of y, backward all of gx. Neither may keep anything from one call to the next but what
// backward needs from the forward pass before it.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <deque>
#include <span>
#include <type_traits>

#include "spikenet/backend/backend.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

struct no_problem;

struct layer {
  template <class In>
  using problem = no_problem;
};

template <class L>
concept is_layer = std::derived_from<L, layer>;

// How weights start.
enum class initialization {
  pytorch,  // PyTorch's defaults: uniform in +-1/sqrt(fan_in), weights and biases alike
  kaiming   // He et al. 2015: normal with variance 2 / fan_out, biases 0
};

// Memory for the length of one call: slots are taken and given back in stack order, so that the same call finds the
// same slot again and takes no new memory.
template <class Backend>
class workspace {
 public:
  using real = real_of<Backend>;

  real* take(std::size_t count) {
    if (depth_ == slots_.size()) slots_.emplace_back();
    return slots_[depth_++].reserve(count);
  }
  void give_back(std::size_t slots) noexcept { depth_ -= slots; }
  void clear() noexcept { depth_ = 0; }

 private:
  std::deque<typename Backend::template storage<real>> slots_;
  std::size_t depth_ = 0;
};

// What the values of a signal are between two layers: spikes may be bits, all else is real.
template <class Backend, class Signal>
using held =
    std::conditional_t<Signal::holds == content::spikes && packs_spikes<Backend>, spike_bits, real_of<Backend>>;

// A gradient in parts: a[c] g + b[c] x + d[c] in channel c. So a tdBN may leave that by its input to the layer before
// it, if that layer would rather compute it where it is needed.
template <class Signal, class Real, class Scalar>
struct affine_gradient {
  tensor<Signal, const Real> g, x;
  const Scalar *a, *b, *d;  // [channels]
};

// Where to leave the mean and the biased variance of each channel of what a layer has written: a tdBN that follows needs
// them while training.
struct batch_moments {
  double *mean = nullptr, *variance = nullptr;  // [channels], or null
};

class profile;  // network/profile.hpp

// What a pass over a network hands to every layer.
template <class Backend>
struct context {
  Backend& backend;
  workspace<Backend>& scratch;
  const neuron& neurons;
  bool training;             // batch statistics (and a backward pass to come), or running statistics
  profile* times = nullptr;  // where to note how long layers take; null: nowhere
};

}  // namespace spikenet
