// Sums of a backend's arrays, taken in its scalars, whatever they are stored as. Functions by themselves, whose types have
// no layer in them: nvcc cannot spell a layer's name in the code that it makes of a lambda for the device.
#pragma once

#include <cstddef>

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// to[i] += values[i] for i = 0 ... count-1
template <class Backend, class S>
void add_to(Backend& backend, std::size_t count, const S* values, S* to) {
  if constexpr (requires { backend.add_to(count, values, to); }) {
    backend.add_to(count, values, to);
  } else {
    using scalar = typename Backend::scalar;
    backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
      to[i] = static_cast<S>(static_cast<scalar>(to[i]) + static_cast<scalar>(values[i]));
    });
  }
}

// to[i] = a[i] + b[i % period]
template <class Backend, class S>
void add(Backend& backend, std::size_t count, const S* a, const S* b, std::size_t period, S* to) {
  using scalar = typename Backend::scalar;
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    to[i] = static_cast<S>(static_cast<scalar>(a[i]) + static_cast<scalar>(b[i % period]));
  });
}

// to[i] = the sum of values [steps, count] over the steps
template <class Backend, class S>
void sum_over_steps(Backend& backend, std::size_t steps, std::size_t count, const S* values, S* to) {
  using scalar = typename Backend::scalar;
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    scalar sum{};
    for (std::size_t t = 0; t < steps; ++t) sum += static_cast<scalar>(values[t * count + i]);
    to[i] = static_cast<S>(sum);
  });
}

}  // namespace spikenet::detail
