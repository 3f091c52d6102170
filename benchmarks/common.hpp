// What the benchmarks of kernels and layers share.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <spikenet/spikenet.hpp>
#include <vector>

namespace benchmarks {

// Standard normal numbers.
inline std::vector<float> noise(std::size_t size, std::uint64_t stream) {
  spikenet::random_stream random(spikenet::seed{1}, stream);
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

// Threads 0: all cores.
inline spikenet::cpu<float> backend_of(std::size_t threads) {
  spikenet::set_cpu_threads(threads);
  return {};
}

// Floating-point operations of one iteration, as a rate.
inline void report_flops(benchmark::State& state, double flops) {
  state.counters["FLOPS"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace benchmarks
