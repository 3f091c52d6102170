// Vectors as wide as the registers the compiler was told of (-march=native, -mavx2, ...), by the vector extension that
// g++ and clang share. The same kernels are instantiated for a plain number where channels do not fill a vector.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__SSE2__) && !defined(__SSE3__)
#include <emmintrin.h>  // all there is: immintrin.h is ten times as long
#elif defined(__SSE2__)
// g++ 12 takes the values that its own AVX-512 intrinsics leave undefined for mistakes of whoever they are inlined into
// (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

#if defined(__AVX512F__)
inline constexpr std::size_t simd_bytes = 64;
inline constexpr std::size_t simd_registers = 32;
#elif defined(__AVX__)
inline constexpr std::size_t simd_bytes = 32;
inline constexpr std::size_t simd_registers = 16;
#elif defined(__aarch64__)
inline constexpr std::size_t simd_bytes = 16;
inline constexpr std::size_t simd_registers = 32;
#else
inline constexpr std::size_t simd_bytes = 16;
inline constexpr std::size_t simd_registers = 16;
#endif
// Whether there are such registers at all; without, the compiler makes vectors of single numbers.
#if defined(__SSE2__) || defined(__aarch64__)
inline constexpr bool has_simd = true;
#else
inline constexpr bool has_simd = false;
#endif

template <class T>
struct simd_type {
  typedef T type __attribute__((vector_size(simd_bytes)));
};
template <class T>
using simd = typename simd_type<T>::type;
template <class T>
inline constexpr std::size_t lanes = simd_bytes / sizeof(T);

template <class V, class T>
[[gnu::always_inline]] inline V load(const T* p) noexcept {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class V, class T>
[[gnu::always_inline]] inline void store(T* p, const V& v) noexcept {
  std::memcpy(p, &v, sizeof v);
}

// Lanes of V from as many T: the same type, or a narrower one of integers.
template <class V, class T>
[[gnu::always_inline]] inline V load_as(const T* p) noexcept {
  using lane = std::remove_cvref_t<decltype(V{}[0])>;
  if constexpr (std::same_as<lane, T>) {
    return load<V>(p);
#if defined(__AVX2__)  // g++ 12 does this by halves, or number by number
  } else if constexpr (sizeof(V) == 32 && sizeof(lane) == 2 && sizeof(T) == 1) {
    return reinterpret_cast<V>(_mm256_cvtepi8_epi16(load<__m128i>(p)));
  } else if constexpr (sizeof(V) == 32 && sizeof(lane) == 4 && sizeof(T) == 1) {
    return reinterpret_cast<V>(_mm256_cvtepi8_epi32(_mm_loadu_si64(p)));
#endif
  } else {
    typedef T narrow __attribute__((vector_size(sizeof(V) / sizeof(lane) * sizeof(T))));
    return __builtin_convertvector(load<narrow>(p), V);
  }
}

// Of a lambda that is a kernel's loop: only where it is part of its caller can what it captures be kept in registers.
#define SPIKENET_INLINE __attribute__((always_inline))

// How many values a vector has; a plain number counts as a vector of one.
template <class V, class T>
inline constexpr std::size_t lanes_of = sizeof(V) / sizeof(T);

// An integer of a lane's size, and the vector whose lane i is bit i.
template <class T>
using lane_integer =
    std::conditional_t<sizeof(T) == 2, std::int16_t, std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>>;
template <class T>
inline constexpr auto lane_bits = []<std::size_t... Lane>(std::index_sequence<Lane...>) {
  return simd<lane_integer<T>>{static_cast<lane_integer<T>>(std::int64_t{1} << Lane)...};
}
(std::make_index_sequence<lanes<T>>{});

// Sums of two products of numbers of 16 bits, which many processors have as one instruction: a pair of factors in each
// lane of W, which has 32 bits.
#if defined(__SSE2__)
inline constexpr bool has_pair_products = true;
#else
inline constexpr bool has_pair_products = false;
#endif

template <class W>
[[gnu::always_inline]] inline W pair_products(const W& a, const W& b) noexcept {
#if defined(__AVX512BW__)
  if constexpr (sizeof(W) == 64)
    return reinterpret_cast<W>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(W) == 32)
    return reinterpret_cast<W>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(W) == 16)
    return reinterpret_cast<W>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#endif
  return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}

// The same for lanes of 16 bits.
template <class V>
[[gnu::always_inline]] inline unsigned nonzero_short_lanes(const V& v) noexcept {
  const auto mask = v != V{};
#if defined(__AVX512BW__)
  return _mm512_movepi16_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX__) && !defined(__AVX512F__)
  const auto both = reinterpret_cast<__m256i>(mask);
  return static_cast<unsigned>(
      _mm_movemask_epi8(_mm_packs_epi16(_mm256_castsi256_si128(both), _mm256_extractf128_si256(both, 1))));
#elif defined(__SSE2__) && !defined(__AVX__)
  return static_cast<unsigned>(
      _mm_movemask_epi8(_mm_packs_epi16(reinterpret_cast<__m128i>(mask), _mm_setzero_si128())));
#elif defined(__aarch64__)
  return vaddvq_u16(reinterpret_cast<uint16x8_t>(mask & lane_bits<std::int16_t>));
#else
  unsigned bits = 0;
  SPIKENET_UNROLL
  for (std::size_t i = 0; i < lanes<std::int16_t>; ++i) bits |= (mask[i] != 0 ? 1u : 0u) << i;
  return bits;
#endif
}

// Bit i: whether lane i is not 0. T is the type of a lane.
template <class T, class V>
[[gnu::always_inline]] inline unsigned nonzero_lanes(const V& v) noexcept {
  if constexpr (std::is_same_v<V, T>) {
    return v != T{} ? 1 : 0;
  } else if constexpr (sizeof(T) == 2) {
    return nonzero_short_lanes(v);
  } else {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
      return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(v), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    if constexpr (sizeof(T) == 8)
      return _mm512_cmp_pd_mask(reinterpret_cast<__m512d>(v), _mm512_setzero_pd(), _CMP_NEQ_UQ);
#elif defined(__AVX__)
    const auto mask = v != V{};
    if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
    if constexpr (sizeof(T) == 8) return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
#elif defined(__SSE2__)
    const auto mask = v != V{};
    if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
    if constexpr (sizeof(T) == 8) return static_cast<unsigned>(_mm_movemask_pd(reinterpret_cast<__m128d>(mask)));
#elif defined(__aarch64__)
    const auto set = reinterpret_cast<simd<lane_integer<T>>>(v != V{}) & lane_bits<T>;
    if constexpr (sizeof(T) == 4) return static_cast<unsigned>(vaddvq_s32(reinterpret_cast<int32x4_t>(set)));
    if constexpr (sizeof(T) == 8) return static_cast<unsigned>(vaddvq_s64(reinterpret_cast<int64x2_t>(set)));
#else
    unsigned bits = 0;
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < lanes<T>; ++i) bits |= (v[i] != T{} ? 1u : 0u) << i;
    return bits;
#endif
  }
}

// Of two vectors, those of the second behind those of the first.
template <class T, class V>
[[gnu::always_inline]] inline unsigned long long nonzero_lanes_of_two(const V& first, const V& second) noexcept {
  if constexpr (sizeof(T) == 2 && !std::is_same_v<V, T>) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    const auto bytes =
        _mm256_packs_epi16(reinterpret_cast<__m256i>(first != V{}), reinterpret_cast<__m256i>(second != V{}));
    return static_cast<unsigned>(_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xd8)));
#elif defined(__SSE2__) && !defined(__AVX__)
    return static_cast<unsigned>(_mm_movemask_epi8(
        _mm_packs_epi16(reinterpret_cast<__m128i>(first != V{}), reinterpret_cast<__m128i>(second != V{}))));
#endif
  }
  return nonzero_lanes<T>(first) | static_cast<unsigned long long>(nonzero_lanes<T>(second)) << lanes_of<V, T>;
}

// The inverse: lane i is bit i, as a number.
template <class T, class V>
[[gnu::always_inline]] inline V lanes_from(unsigned bits) noexcept {
  if constexpr (std::is_same_v<V, T>) {
    return static_cast<T>(bits & 1);
#if defined(__AVX512BW__)
  } else if constexpr (sizeof(T) == 2) {
    return reinterpret_cast<V>(_mm512_maskz_set1_epi16(bits, 1));
#endif
  } else if constexpr (lanes<T> > 8 * sizeof(T)) {  // more than a lane has bits
    V v{};
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < lanes<T>; ++i) v[i] = static_cast<T>(bits >> i & 1);
    return v;
  } else {
    using mask = simd<lane_integer<T>>;
    const mask set = (mask{} + static_cast<lane_integer<T>>(bits)) & lane_bits<T>;
    return set != mask{} ? V{} + T{1} : V{};
  }
}

// How a kernel covers the channels of a row: with blocks of four vectors (Wide), then one block of Rest vectors, then
// single numbers (Single). Kernels are compiled for this and take the number of channels at run time: layers of
// different width share them.
template <class T, bool Wide, std::size_t Rest, bool Single>
struct channel_blocks {
  using scalar = T;

  // Calls f.template operator()<V, B>(c) for blocks of B vectors of type V that start at channel c and cover
  // 0 ... channels-1.
  template <class F>
  [[gnu::always_inline]] static void for_each(std::size_t channels, F&& f) {
    std::size_t c = 0;
    if constexpr (Wide) {
      for (; c + 4 * lanes<T> <= channels; c += 4 * lanes<T>) f.template operator()<simd<T>, 4>(c);
    }
    if constexpr (Rest > 0) {
      f.template operator()<simd<T>, Rest>(c);
      c += Rest * lanes<T>;
    }
    if constexpr (Single) {
      for (; c < channels; ++c) f.template operator()<T, 1>(c);
    }
  }
};
template <class T, std::size_t Channels>
using blocks_of_channels =
    channel_blocks<T, (Channels >= 4 * lanes<T>), Channels / lanes<T> % 4, Channels % lanes<T> != 0>;

}  // namespace spikenet::detail
