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

// What both gradients of a shape need at run time.
template <class T>
struct convolution_backward_plan {
  const spike_gradient_plan<T>& weights;
  const winograd_pass<T>& input;
  // gy = a g + b z + d for so many rows
  void (*affine)(std::size_t channels, std::size_t first, std::size_t rows, const T* g, const T* z, const T* a,
                 const T* b, const T* d, T* gy);
  std::size_t block_items;  // whose gradient is computed at once
};

template <class T>
void run_convolution_backward(const convolution_backward_plan<T>& plan, thread_pool& pool,
                              winograd_scratch<T>& winograd, spike_convolution_scratch<T>& spikes, buffer<T>& scratch,
                              std::size_t items, const std::uint8_t* x, const T* weight, const T* g, const T* z,
                              const T* a, const T* b, const T* d, T* gweight, T* gx, bool add) {
  const convolution_shape& shape = plan.weights.shape;
  const winograd_pass<T>& input = plan.input;
  const std::size_t out_size = shape.out_size(), list_items = plan.weights.list_items;
  const std::size_t x_size = shape.in_pixels() * plan.weights.in_bytes();
  const spike_weight_sums<T> sums(plan.weights, pool, spikes, items);
  const T* const turned = gx ? input.transform_turned(pool, winograd.weights, weight) : nullptr;
  T* const memory = winograd.tiles.reserve(input.worker_size() * pool.workers());
  T* const gradients = scratch.reserve(pool.workers() * plan.block_items * out_size);
  pool.run(sums.parts, [&](std::size_t part, std::size_t worker) {
    T* const gy = gradients + worker * plan.block_items * out_size;
    sums.clear(part, 0);
    const std::size_t end = (part + 1) * items / sums.parts;
    for (std::size_t n = part * items / sums.parts; n < end; n += plan.block_items) {
      const std::size_t count = std::min(plan.block_items, end - n);
      plan.affine(shape.out_channels, 0, count * shape.out_pixels(), g + n * out_size, z + n * out_size, a, b, d, gy);
      for (std::size_t i = 0; i < count; i += list_items)
        sums.add(part, 0, worker, std::min(list_items, count - i), x + (n + i) * x_size, gy + i * out_size);
      if (!gx) continue;
      const std::size_t tiles = count * input.map_tiles();
      for (std::size_t tile = 0; tile < tiles; tile += input.chunk_tiles) {
        input.run_chunk(tile, std::min(input.chunk_tiles, tiles - tile), gy, turned, nullptr,
                        memory + worker * input.worker_size(), gx + n * shape.in_size(), add);
      }
    }
  });
  sums.finish(pool, gweight);
}

template <class T, class G>
class convolution_backward {
  using input = winograd_convolution<T, G>;
  using weights = spike_convolution<T, G>;

  static constexpr convolution_backward_plan<T> plan{
      .weights = weights::gradient_plan,
      .input = input::backward_pass,
      .affine = &affine_rows<blocks_of_channels<T, G::out_channels>, T>,
      // As many items as have their gradient in a part of the second-level cache.
      .block_items = [] {
        constexpr std::size_t cache = 128 << 10, list_items = weights::gradient_plan.list_items;
        return std::clamp<std::size_t>(cache / (G::out_size * sizeof(T) * list_items), 1, 32) * list_items;
      }()};

 public:
  // Wide layers are left out: their ranges of output channels would each compute the gradient again, and next to their
  // convolutions it is little work.
  static constexpr bool applies = input::applies && weights::gradient_plan.ranges() == 1;

  // With gy = a g + b z + d per channel, g and z [items, H, W, Cout]: gweight, and gx, or gx + what is there where
  // `add`; none where gx is null. x [items, H, W, B] packed.
  static void run(thread_pool& pool, winograd_scratch<T>& winograd, spike_convolution_scratch<T>& spikes,
                  buffer<T>& scratch, std::size_t items, const std::uint8_t* x, const T* weight, const T* g, const T* z,
                  const T* a, const T* b, const T* d, T* gweight, T* gx, bool add) {
    run_convolution_backward(plan, pool, winograd, spikes, scratch, items, x, weight, g, z, a, b, d, gweight, gx, add);
  }
};

}  // namespace spikenet::detail
