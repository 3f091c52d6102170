// Stands in for CUDA's header of that name; see cuda_fp16.h.
#pragma once

#include "small_float.hpp"

struct __nv_bfloat16 {
  std::uint16_t bits;

  __nv_bfloat16() = default;
  __nv_bfloat16(float value) : bits{host_cuda::bfloat16_of(value)} {}
  operator float() const { return host_cuda::bfloat16_value(bits); }
};
