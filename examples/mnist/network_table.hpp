// Tables of the networks that are built. mnist_networks.inc, which CMakeLists.txt writes, has a line
// SPIKENET_MNIST_NETWORK(16, 2, mean_current) for each of them.
#pragma once

#include <cstddef>
#include <span>

#include "model.hpp"

namespace mnist {

template <class Made>
struct network_entry {
  std::size_t width, steps;
  const char* readout;
  Made* make;  // a function
};

// The entry for these options; null where there is none.
template <class Made>
const network_entry<Made>* find_network(std::span<const network_entry<Made>> among, const model_options& options) {
  for (const network_entry<Made>& entry : among)
    if (entry.width == options.width && entry.steps == options.steps && entry.readout == options.readout) return &entry;
  return nullptr;
}

}  // namespace mnist
