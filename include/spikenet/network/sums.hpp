// Sums of a backend's arrays. Functions by themselves, whose types have no layer in them: nvcc cannot spell a layer's name in
// the code that it makes of a lambda for the device.
#pragma once

#include <cstddef>

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// to[i] += values[i] for i = 0 ... count-1
template <class Backend, class S>
void add_to(Backend& backend, std::size_t count, const S* values, S* to) {
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) { to[i] += values[i]; });
}

// to[i] = a[i] + b[i % period]
template <class Backend, class S>
void add(Backend& backend, std::size_t count, const S* a, const S* b, std::size_t period, S* to) {
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) { to[i] = a[i] + b[i % period]; });
}

// to[i] = the sum of values [steps, count] over the steps
template <class Backend, class S>
void sum_over_steps(Backend& backend, std::size_t steps, std::size_t count, const S* values, S* to) {
  backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) {
    S sum{};
    for (std::size_t t = 0; t < steps; ++t) sum += values[t * count + i];
    to[i] = sum;
  });
}

}  // namespace spikenet::detail
