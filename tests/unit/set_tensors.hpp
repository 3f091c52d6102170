// Tensors as of a trained network, for tests of what uses trained networks.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "spikenet/core/parameter.hpp"
#include "spikenet/core/random.hpp"

namespace test {

// Weights and statistics as of a trained network: nothing is 0 or 1, and neurons neither rest nor fire always.
template <class Network>
void set_tensors(Network& net, std::uint64_t seed) {
  using scalar = typename Network::scalar;
  spikenet::random_stream random{spikenet::seed{seed}};
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<scalar> values) {
    const bool variance = info.name.ends_with("running_var"), scale = info.name.ends_with("weight") && info.shape.size() == 1;
    const double fan_in = info.shape.size() > 1 ? static_cast<double>(values.size() / info.shape[0]) : 1;
    for (scalar& v : values) {
      const double n = random.normal();
      v = static_cast<scalar>(variance ? 0.3 + 0.2 * std::abs(n)
                              : scale  ? 1.2 + 0.3 * n
                              : info.shape.size() > 1 ? 1.5 * n / std::sqrt(fan_in)
                                                      : 0.2 * n);
    }
  });
}

}  // namespace test
