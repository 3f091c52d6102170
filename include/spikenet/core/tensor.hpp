// What flows between two layers: its type (signal) and a batch of it in memory (tensor).
#pragma once

#include <cstddef>
#include <type_traits>

#include "spikenet/core/shape.hpp"
#include "spikenet/core/spikes.hpp"

namespace spikenet {

enum class content {
  real,   // any value
  spikes  // 0 or 1: a backend may hold these as bits
};

// The type of what one layer hands to the next.
//   Shape  of one item: shape<C, H, W> or shape<F>
//   Steps  1: the same at every timestep (a directly encoded image, and whatever is computed from it before the first
//          neuron), so it is computed and kept once; T: its own value at each of the network's T timesteps
template <class Shape, std::size_t Steps, content Content = content::real>
struct signal {
  using shape = Shape;
  static constexpr std::size_t steps = Steps;
  static constexpr content holds = Content;
  static constexpr std::size_t size = Shape::size;
  static constexpr std::size_t channels = Shape::channels;
};

// How many Values one item of a signal takes: bits are packed, see core/spikes.hpp.
template <class Signal, class Value>
inline constexpr std::size_t item_length = Signal::size;
template <class Signal>
inline constexpr std::size_t item_length<Signal, spike_bits> =
    Signal::size / Signal::channels* spike_bytes<Signal::channels>;

// A batch of a signal, time outermost and channels innermost: [steps, N, H, W, C] for maps, [steps, N, F] for vectors.
// Layers without a memory see it as one batch of steps * N items. A view: whoever hands it out owns the values, which
// are real numbers or, where Scalar is spike_bits, packed spikes.
template <class Signal, class Scalar>
struct tensor {
  using signal_type = Signal;
  using value_type = std::remove_const_t<Scalar>;

  Scalar* data = nullptr;
  std::size_t batch = 0;  // N

  static constexpr std::size_t steps = Signal::steps;
  constexpr std::size_t items() const noexcept { return Signal::steps * batch; }
  constexpr std::size_t size() const noexcept { return items() * Signal::size; }
  constexpr std::size_t rows() const noexcept { return size() / Signal::channels; }
  constexpr std::size_t step_size() const noexcept { return batch * Signal::size; }
  constexpr explicit operator bool() const noexcept { return data != nullptr; }

  // The same, not to be written to. Where it is so already there is nothing to convert to: a type of that name, since
  // compilers warn of a conversion to the own one.
  struct nothing {};
  using constant = std::conditional_t<std::is_const_v<Scalar>, nothing, tensor<Signal, const Scalar>>;
  constexpr operator constant() const noexcept requires(!std::is_const_v<Scalar>) { return {data, batch}; }
};

// A batch of a signal in memory that `storage` (a backend's storage<Value>) keeps; what was there before is gone.
template <class Signal, class Storage>
auto keep(Storage& storage, std::size_t batch) {
  using value = std::remove_pointer_t<decltype(storage.data())>;
  return tensor<Signal, value>{storage.reserve(Signal::steps * item_length<Signal, value> * batch), batch};
}

}  // namespace spikenet
