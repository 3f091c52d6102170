// The whole backward pass of a convolution of spikes that a tdBN follows. The gradient by the convolution's output is
// an affine map of two tensors, and both gradients of the convolution need it; so it is computed for a few items at a
// time, used twice while it lies in the cache, and never written to memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "spikenet/backend/cpu/spike_convolution.hpp"
#include "spikenet/backend/cpu/statistics.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/backend/cpu/winograd.hpp"
#include "spikenet/core/buffer.hpp"

namespace spikenet::detail {

template <class T, class G>
class convolution_backward {
  using input = winograd_convolution<T, G>;
  using weights = spike_convolution<T, G>;

  // As many items as have their gradient in a part of the second-level cache.
  static constexpr std::size_t cache = 128 << 10;
  static constexpr std::size_t lists =
      std::clamp<std::size_t>(cache / (G::out_size * sizeof(T) * weights::list_items), 1, 32);
  static constexpr std::size_t block_items = lists * weights::list_items;

 public:
  // Wide layers are left out: their ranges of output channels would each compute the gradient again, and next to their
  // convolutions it is little work.
  static constexpr bool applies = input::applies && weights::ranges == 1;

  // With gy = a g + b z + d per channel, g and z [items, H, W, Cout]: gweight, and gx, or gx + what is there where
  // `add`; none where gx is null. x [items, H, W, B] packed.
  static void run(thread_pool& pool, winograd_scratch<T>& winograd, spike_convolution_scratch<T>& spikes,
                  buffer<T>& scratch, std::size_t items, const std::uint8_t* x, const T* weight, const T* g, const T* z,
                  const T* a, const T* b, const T* d, T* gweight, T* gx, bool add) {
    constexpr std::size_t out_pixels = G::out_height * G::out_width;
    constexpr std::size_t x_size = G::in_height * G::in_width * spike_bytes<G::in_channels>;
    const typename weights::weight_sums sums(pool, spikes, items);
    const T* const turned = gx ? input::turned_weights(pool, winograd, weight) : nullptr;
    T* const memory = input::backward_memory(pool, winograd);
    T* const gradients = scratch.reserve(pool.workers() * block_items * G::out_size);
    pool.run(sums.parts, [&](std::size_t part, std::size_t worker) {
      T* const gy = gradients + worker * block_items * G::out_size;
      sums.clear(part, 0);
      const std::size_t end = (part + 1) * items / sums.parts;
      for (std::size_t n = part * items / sums.parts; n < end; n += block_items) {
        const std::size_t count = std::min(block_items, end - n);
        affine_rows<blocks_of_channels<T, G::out_channels>>(G::out_channels, 0, count * out_pixels, g + n * G::out_size, z + n * G::out_size, a, b, d, gy);
        for (std::size_t i = 0; i < count; i += weights::list_items) {
          sums.add(part, 0, worker, std::min(weights::list_items, count - i), x + (n + i) * x_size,
                   gy + i * G::out_size);
        }
        if (gx && add) input::template backward_input_of<true>(count, gy, turned, memory, worker, gx + n * G::in_size);
        if (gx && !add)
          input::template backward_input_of<false>(count, gy, turned, memory, worker, gx + n * G::in_size);
      }
    });
    sums.finish(pool, gweight);
  }
};

}  // namespace spikenet::detail
