// Reductions over the rows of [rows, Channels], in two kernels: each block reduces a chunk of the rows for some neighbouring
// channels, then the chunks of each channel are merged, in their order. There is no atomic addition anywhere: how rows are
// divided is a matter of their number alone, so the same call gives the same bits, and on any device.
//
// What is reduced to is an accumulator: doubles, and a member merge(other). What is reduced is a function that accumulates
// the rows of one thread, operator()(row_range, channel); it may have effects of its own besides.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/core/compiler.hpp"

namespace spikenet::detail::cuda_kernels {

extern __shared__ __align__(256) unsigned char dynamic_shared[];

// The memory that the threads of a block share, as many bytes as the launch says.
template <class T>
__device__ T* shared_memory() {
  return reinterpret_cast<T*>(dynamic_shared);
}

// first, first + step, ... before last
struct row_range {
  std::size_t first, last, step;
};

template <std::size_t Count>
struct sums {
  double value[Count] = {};
  SPIKENET_HOST_DEVICE void merge(const sums& other) {
    for (std::size_t i = 0; i < Count; ++i) value[i] += other.value[i];
  }
};

// A block is 8 warps; `width` neighbouring channels lie side by side, so that a warp reads neighbouring values.
template <std::size_t Channels>
struct reduction_block {
  static constexpr unsigned threads = 256, lanes = 32, warps = threads / lanes;
  static constexpr unsigned width = Channels > 16 ? 32 : Channels > 8 ? 16 : Channels > 4 ? 8 : Channels > 2 ? 4 : Channels;
  static constexpr unsigned rows = threads / width;  // at a time
  static constexpr unsigned tiles = static_cast<unsigned>((Channels + width - 1) / width);

  // Enough for the largest devices, few enough that merging them takes no time; each thread has some 16 rows at least.
  static unsigned chunks(std::size_t count) {
    constexpr std::size_t most = tiles >= 8 ? 256 : 2048 / tiles;
    return static_cast<unsigned>(std::clamp<std::size_t>(count / (std::size_t{rows} * 16), 1, most));
  }
};

// What the lane that differs in the bits `by` has.
template <class Accumulator>
__device__ Accumulator from_other_lane(const Accumulator& own, int by) {
  static_assert(sizeof(Accumulator) % sizeof(double) == 0);
  double parts[sizeof(Accumulator) / sizeof(double)];
  std::memcpy(parts, &own, sizeof own);
  for (double& part : parts) part = __shfl_xor_sync(0xffffffffu, part, by);
  Accumulator other;
  std::memcpy(&other, parts, sizeof other);
  return other;
}

// Merges what the threads of a block have of the same channel; complete in the threads below `width`. All threads of the
// block must call it.
template <class Block, class Accumulator>
__device__ Accumulator merge_in_block(Accumulator own) {
  for (int by = Block::lanes / 2; by >= static_cast<int>(Block::width); by /= 2) own.merge(from_other_lane(own, by));
  const unsigned lane = threadIdx.x % Block::lanes, warp = threadIdx.x / Block::lanes;
  Accumulator* const of_warps = shared_memory<Accumulator>();  // [warps, width]
  if (lane < Block::width) of_warps[warp * Block::width + lane] = own;
  __syncthreads();
  Accumulator all;
  if (threadIdx.x < Block::width) {
    for (unsigned w = 0; w < Block::warps; ++w) all.merge(of_warps[w * Block::width + threadIdx.x]);
  }
  return all;
}

// partial [chunks, Channels]; the grid is [tiles, chunks]
template <std::size_t Channels, class Accumulator, class F>
__global__ void __launch_bounds__(256) reduce_chunks(std::size_t rows, F f, Accumulator* partial) {
  using block = reduction_block<Channels>;
  const unsigned channel = blockIdx.x * block::width + threadIdx.x % block::width;
  const std::size_t chunk = blockIdx.y, chunks = gridDim.y;
  Accumulator own;
  if (channel < Channels) {
    own = f(row_range{chunk * rows / chunks + threadIdx.x / block::width, (chunk + 1) * rows / chunks, block::rows},
            channel);
  }
  const Accumulator all = merge_in_block<block>(own);
  if (threadIdx.x < block::width && channel < Channels) partial[chunk * Channels + channel] = all;
}

// finish(channel, what the chunks of that channel merge to)
template <std::size_t Channels, class Accumulator, class Finish>
__global__ void __launch_bounds__(256) merge_chunks(unsigned chunks, const Accumulator* partial, Finish finish) {
  using block = reduction_block<Channels>;
  const unsigned channel = blockIdx.x * block::width + threadIdx.x % block::width;
  Accumulator own;
  if (channel < Channels) {
    for (unsigned chunk = threadIdx.x / block::width; chunk < chunks; chunk += block::rows)
      own.merge(partial[std::size_t{chunk} * Channels + channel]);
  }
  const Accumulator all = merge_in_block<block>(own);
  if (threadIdx.x < block::width && channel < Channels) finish(channel, all);
}

// scratch: device memory for the chunks.
template <std::size_t Channels, class Accumulator, class F, class Finish>
void reduce_rows(cudaStream_t stream, device_storage<double>& scratch, const char* name, std::size_t rows, F f,
                 Finish finish) {
  using block = reduction_block<Channels>;
  constexpr std::size_t shared = sizeof(Accumulator) * block::warps * block::width;
  constexpr std::size_t doubles = sizeof(Accumulator) / sizeof(double);
  const unsigned chunks = block::chunks(rows);
  auto* const partial = reinterpret_cast<Accumulator*>(scratch.reserve(chunks * Channels * doubles));
  launch(stream, name, dim3(block::tiles, chunks), dim3(block::threads), shared,
         &reduce_chunks<Channels, Accumulator, F>, rows, f, partial);
  launch(stream, name, dim3(block::tiles), dim3(block::threads), shared,
         &merge_chunks<Channels, Accumulator, Finish>, chunks, partial, finish);
}

}  // namespace spikenet::detail::cuda_kernels
