// What one core does at most in fp32: multiply-adds on registers alone.
#pragma once

#include <cstddef>

namespace benchmarks {

#if defined(__AVX512F__)
inline constexpr std::size_t vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr std::size_t vector_bytes = 32;
#else
inline constexpr std::size_t vector_bytes = 16;
#endif

// Runs that many multiply-adds on each of as many independent vectors as hide their latency, and returns the floating
// point operations that were: two for a multiply-add.
inline double multiply_add(std::size_t repeats) {
  typedef float vector __attribute__((vector_size(vector_bytes)));
  constexpr std::size_t accumulators = 12;
  vector sums[accumulators]{};
  vector factor = vector{} + 0.5f, addend = vector{} + 1.0f;
  asm volatile("" : "+m"(factor), "+m"(addend));  // the compiler does not know their values
  for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < accumulators; ++i) sums[i] = sums[i] * factor + addend;
  }
  for (vector& sum : sums) asm volatile("" : : "m"(sum));  // the results are needed
  return 2.0 * static_cast<double>(accumulators * repeats * vector_bytes / sizeof(float));
}

}  // namespace benchmarks
