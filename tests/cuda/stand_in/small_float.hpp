// Floating-point numbers of 16 bits by integer arithmetic: what the stand-ins for cuda_fp16.h and cuda_bf16.h are made of.
// Rounded to nearest, ties to even, as the device does.
#pragma once

#include <bit>
#include <cstdint>

namespace host_cuda {

// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa.
inline std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);   // NaN
  if (size >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and more: infinity
  if (size < 0x38800000u) {  // under 2^-14: a multiple of 2^-24, which is what 0.5 + size is rounded to
    const float sum = std::bit_cast<float>(size) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3f000000u));
  }
  const std::uint32_t is_odd = size >> 13 & 1u;
  return static_cast<std::uint16_t>(sign | ((size - 0x38000000u + 0xfffu + is_odd) >> 13));
}
inline float half_value(std::uint16_t half) {
  const std::uint32_t bits = half, sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
  if (exponent > 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float size = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -size : size;
}

// The upper half of a float: 8 bits of exponent, 7 of mantissa.
inline std::uint16_t bfloat16_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);  // NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
inline float bfloat16_value(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

}  // namespace host_cuda
