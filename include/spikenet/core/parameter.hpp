// The tensors a layer owns: what the optimizer moves (weights) and what it keeps beside them (running statistics).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

// What a layer declares, at compile time.
struct parameter {
  const char* name = "";                 // last part of its name: "weight"
  std::array<std::size_t, 4> extents{};  // PyTorch's order: [out, in, kernel height, kernel width]
  std::size_t rank = 0;                  // how many of the extents count
  bool trainable = true;                 // false: running statistics
  std::size_t branches = 0;              // of tdBN's weight: those summed after it; 0: of no tdBN

  constexpr std::size_t size() const noexcept {
    std::size_t product = 1;
    for (std::size_t i = 0; i < rank; ++i) product *= extents[i];
    return product;
  }
};

// Where the network put it. gradient is null for what is not trained.
template <class Scalar>
struct parameter_slot {
  Scalar* value = nullptr;
  Scalar* gradient = nullptr;
};

// What the network tells its users, with the full name: "layer1.0.conv1.weight".
struct tensor_info {
  std::string name;
  std::vector<std::size_t> shape;
  bool trainable = true;
  std::size_t branches = 0;  // not 0: tdBN's weight, which is multiplied with threshold / sqrt(branches)
};

// What an optimizer is given at each step: count parameters and gradients, `moments` arrays of its own (zero at first),
// and the number of this step, from 1.
template <class Scalar>
struct optimizer_step {
  Scalar* values;
  const Scalar* gradients;
  Scalar* moments;  // [Optimizer::moments, count]
  std::size_t count;
  std::uint64_t number;
};

}  // namespace spikenet
