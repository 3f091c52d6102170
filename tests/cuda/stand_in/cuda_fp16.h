// Stands in for CUDA's header of that name: half as a type that is stored; whoever computes makes a float of it.
#pragma once

#include "small_float.hpp"

struct __half {
  std::uint16_t bits;

  __half() = default;
  __half(float value) : bits{host_cuda::half_of(value)} {}
  operator float() const { return host_cuda::half_value(bits); }
};
