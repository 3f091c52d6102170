// What the tests' translation units share.
#pragma once

#include <cstdio>
#include <string>

namespace gpu_tests {

inline int failures = 0;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

void mnist();  // mnist_on_gpu.cu
void mixed();  // mixed_on_gpu.cu

}  // namespace gpu_tests
