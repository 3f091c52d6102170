// Reductions over the rows of [rows, Channels], in two kernels: each block reduces a chunk of the rows for some neighbouring
// channels, then the chunks of each channel are merged, in their order. There is no atomic addition anywhere: how rows are
// divided is a matter of their number alone, so the same call gives the same bits, and on any device.
//
// What is reduced to is an accumulator: doubles that are zero at first, and a member merge(other). What is reduced is a
// function that accumulates the rows of one thread for some neighbouring channels, its `width`:
// of_lanes<Accumulator, width> operator()(row_range, channel), where channel is the first; it may have effects of its own
// besides.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
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

// One accumulator for each of some neighbouring channels.
template <class Accumulator, std::size_t N>
struct of_lanes {
  Accumulator value[N];
  SPIKENET_HOST_DEVICE void merge(const of_lanes& other) {
    for (std::size_t lane = 0; lane < N; ++lane) value[lane].merge(other.value[lane]);
  }
};

// A block is 8 warps; `width` neighbours of the Count that there are lie side by side, so that a warp reads neighbouring
// values.
template <std::size_t Count, unsigned Most>
struct reduction_block {
  static constexpr unsigned threads = 256, lanes = 32, warps = threads / lanes;
  static constexpr unsigned width = static_cast<unsigned>(std::min<std::size_t>(Most, std::bit_ceil(Count)));
  static constexpr unsigned rows = threads / width;  // at a time
  static constexpr unsigned tiles = static_cast<unsigned>((Count + width - 1) / width);
};

// Reads rows: a warp's threads are neighbours. Enough chunks for the largest devices, few enough that merging them takes no
// time; each thread has some 2 rows at least.
template <std::size_t Groups>
struct reading_block : reduction_block<Groups, 32> {
  using block = reduction_block<Groups, 32>;
  static unsigned chunks(std::size_t count) {
    constexpr std::size_t most = std::max<std::size_t>(512 / block::tiles, 32);
    return static_cast<unsigned>(std::clamp<std::size_t>(count / (std::size_t{block::rows} * 2), 1, most));
  }
};
// Merges chunks, of which there are few for each channel and many for each thread if it were alone.
template <std::size_t Channels>
using merging_block = reduction_block<Channels, 4>;

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
  constexpr std::size_t lanes = F::width;
  using block = reading_block<Channels / lanes>;
  const std::size_t channel = (std::size_t{blockIdx.x} * block::width + threadIdx.x % block::width) * lanes;
  const std::size_t chunk = blockIdx.y, chunks = gridDim.y;
  of_lanes<Accumulator, lanes> own;
  if (channel < Channels) {
    own = f(row_range{chunk * rows / chunks + threadIdx.x / block::width, (chunk + 1) * rows / chunks, block::rows},
            channel);
  }
  const of_lanes<Accumulator, lanes> all = merge_in_block<block>(own);
  if (threadIdx.x < block::width && channel < Channels) {
    for (std::size_t lane = 0; lane < lanes; ++lane) partial[chunk * Channels + channel + lane] = all.value[lane];
  }
}

// finish(channel, what the chunks of that channel merge to)
template <std::size_t Channels, class Accumulator, class Finish>
__global__ void __launch_bounds__(256) merge_chunks(unsigned chunks, const Accumulator* partial, Finish finish) {
  using block = merging_block<Channels>;
  const unsigned channel = blockIdx.x * block::width + threadIdx.x % block::width;
  Accumulator own;
  if (channel < Channels) {
    for (unsigned chunk = threadIdx.x / block::width; chunk < chunks; chunk += block::rows)
      own.merge(partial[std::size_t{chunk} * Channels + channel]);
  }
  const Accumulator all = merge_in_block<block>(own);
  if (threadIdx.x < block::width && channel < Channels) finish(channel, all);
}

// Finishes a channel, and then has something else done for it, in the same kernel.
template <class Finish, class Then>
struct finish_and_then {
  Finish finish;
  Then then;
  template <class Accumulator>
  __device__ void operator()(std::size_t channel, const Accumulator& all) const {
    finish(channel, all);
    then(channel);
  }
};

// scratch: device memory for the chunks.
template <std::size_t Channels, class Accumulator, class F, class Finish>
void reduce_rows(cudaStream_t stream, device_storage<double>& scratch, const char* name, std::size_t rows, F f,
                 Finish finish) {
  using reading = reading_block<Channels / F::width>;
  using merging = merging_block<Channels>;
  static_assert(Channels % F::width == 0);
  constexpr std::size_t doubles = sizeof(Accumulator) / sizeof(double);
  constexpr auto shared = []<class Block>(std::size_t lanes, Block) {
    return sizeof(Accumulator) * lanes * Block::warps * Block::width;
  };
  const unsigned chunks = reading::chunks(rows);
  auto* const partial = reinterpret_cast<Accumulator*>(scratch.reserve(chunks * Channels * doubles));
  launch(stream, name, dim3(reading::tiles, chunks), dim3(reading::threads), shared(F::width, reading{}),
         &reduce_chunks<Channels, Accumulator, F>, rows, f, partial);
  launch(stream, name, dim3(merging::tiles), dim3(merging::threads), shared(1, merging{}),
         &merge_chunks<Channels, Accumulator, Finish>, chunks, partial, finish);
}

}  // namespace spikenet::detail::cuda_kernels
