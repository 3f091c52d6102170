// The benchmark on a GPU: main.cpp, and network.cu once for each precision.
#pragma once

#include <cstddef>

namespace gpu_benchmark {

enum class precision { float32, tf32, float16, bfloat16 };

// Measures the network with this batch size and prints a line for each figure. Throws spikenet::error.
template <precision Precision>
void measure(std::size_t batch);

}  // namespace gpu_benchmark
