// The kinds of numbers that inference computes with: float and double as they are, or integers.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/neuron/dynamics.hpp"
#include "spikenet/neuron/surrogate.hpp"

namespace spikenet {

// Integers alone: weights of 8 bits with a scale for each output channel, sums and membranes of 16. A convolution of
// spikes is additions of integers, a neuron one multiplication by the decay, one addition and one comparison; logits
// are integers, too, of 32 bits. Sums of integers have no order, and quantise() has proved that none of them leaves its
// range: results are the same bits on every machine, for every instruction set, and for one image or many.
//
// Input, of an image: float, which is rounded to steps of a power of two, a number of its own for each network; or
// std::uint8_t, the bytes of pixels as cameras and data sets have them; normalisation becomes part of the network.
template <class Input = float>
struct quantised;

namespace detail {

// What the kernels ask of a kind of numbers:
//   input   of an image                      value  what an image is in memory, a mean, what a last layer gives
//   weight  of a layer                       sum    of weights, and a membrane
//   wide    sum of products of values        logit  of a class
template <class Number>
struct arithmetic;

template <std::floating_point S>
struct arithmetic<S> {
  using input = S;
  using weight = S;
  using sum = S;
  using wide = S;
  using value = S;
  using logit = S;

  // What there is to know of a network beside its weights, all for f(name, value), and of the neurons of one stage.
  template <class Planned>
  struct constants {
    S threshold{}, decay{};

    template <class F>
    constexpr void for_each(F&& f) const {
      f("threshold", threshold);
      f("decay", decay);
    }
    constexpr neuron_constants<S> of_stage(std::size_t) const noexcept { return {threshold, decay, S{}, S{}}; }
    // What makes values of an image's: f(channel, value).
    static constexpr auto taker() noexcept {
      return [](std::size_t, S value) { return value; };
    }
  };
  using neurons = neuron_constants<S>;

  // One timestep: the sum moves the membrane u, and a spike resets it. What a lane gives is 0 where there is none.
  template <class Reset, class V>
  [[gnu::always_inline]] static V fire(const V& sum, V& u, const neurons& k, std::size_t) noexcept {
    u = k.decay * u + sum;
    const V o = heaviside::spike<V>(u, k);
    u = Reset::leak(u, o, k);
    return o;
  }

  // sum += values times units.
  template <class V>
  [[gnu::always_inline]] static void add_products(V& sum, const V& values, const V& units, const neurons&) noexcept {
    sum += values * units;
  }

  // Of a window of a pooling, over values or spikes, and of the `steps` timesteps so far of a last layer.
  static S average(S total, std::size_t count, bool) noexcept { return total / static_cast<S>(count); }
  static S mean(S total, std::size_t steps, std::size_t) noexcept { return total / static_cast<S>(steps); }
};

// n >> shift, to the nearest. For numbers, and vectors of them.
template <class V>
[[gnu::always_inline]] constexpr V shift_rounding(const V& n, int shift) noexcept {
  return (n + ((1 << shift) >> 1)) >> shift;
}

// A vector of 16-bit lanes as two of 32, and back.
template <std::size_t Bytes>
struct vectors_of {
  typedef std::int16_t half __attribute__((vector_size(Bytes / 2)));
  typedef std::int32_t wide __attribute__((vector_size(Bytes)));
};
template <class V>
struct halves {
  using half = typename vectors_of<sizeof(V)>::half;
  using wide = typename vectors_of<sizeof(V)>::wide;

  [[gnu::always_inline]] static wide of(const V& v, std::size_t i) noexcept {
    half part;
    std::memcpy(&part, reinterpret_cast<const std::byte*>(&v) + i * sizeof part, sizeof part);
    return __builtin_convertvector(part, wide);
  }
  // The numbers must fit.
  [[gnu::always_inline]] static V joined(const wide& low, const wide& high) noexcept {
#if defined(__AVX2__)  // g++ 12 makes ten instructions of it, by way of memory
    if constexpr (sizeof(V) == 32) {
      return reinterpret_cast<V>(_mm256_permute4x64_epi64(
          _mm256_packs_epi32(reinterpret_cast<__m256i>(low), reinterpret_cast<__m256i>(high)), 0xd8));
    }
#endif
    const half parts[2] = {__builtin_convertvector(low, half), __builtin_convertvector(high, half)};
    V v;
    std::memcpy(&v, parts, sizeof v);
    return v;
  }
};

// a * b / 2^15, to the nearest, for b >= 0; a is a vector of 16-bit lanes.
template <class V>
[[gnu::always_inline]] inline V multiply_fraction(const V& a, std::int16_t b) noexcept {
#if defined(__AVX512BW__)
  if constexpr (sizeof(V) == 64)
    return reinterpret_cast<V>(_mm512_mulhrs_epi16(reinterpret_cast<__m512i>(a), _mm512_set1_epi16(b)));
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32)
    return reinterpret_cast<V>(_mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), _mm256_set1_epi16(b)));
#endif
#if defined(__SSSE3__)
  if constexpr (sizeof(V) == 16)
    return reinterpret_cast<V>(_mm_mulhrs_epi16(reinterpret_cast<__m128i>(a), _mm_set1_epi16(b)));
#elif defined(__aarch64__)
  if constexpr (sizeof(V) == 16) return reinterpret_cast<V>(vqrdmulhq_n_s16(reinterpret_cast<int16x8_t>(a), b));
#endif
  using two = halves<V>;
  return two::joined(shift_rounding(two::of(a, 0) * std::int32_t{b}, 15),
                     shift_rounding(two::of(a, 1) * std::int32_t{b}, 15));
}

// The largest magnitude of an image's values in integers: 12 bits and a sign, so that some thousand products fit 32.
inline constexpr std::int32_t largest_input = 4095;

// How the values of an image become integers.
template <class Input, std::size_t Channels>
struct integer_input;

template <std::size_t Channels>
struct integer_input<float, Channels> {
  float scale = 1;  // a power of two: the product is exact, so that nobody's rounding differs

  template <class F>
  constexpr void for_each(F&& f) const {
    f("scale", scale);
  }

  // Beyond the range that it was made for a value is the range's end; so is NaN.
  constexpr std::int16_t operator()(std::size_t, float value) const noexcept {
    constexpr auto limit = static_cast<float>(largest_input);
    const float x = value * scale;
    const float inside = x < limit ? (x > -limit ? x : -limit) : limit;
    return static_cast<std::int16_t>(inside < 0 ? inside - 0.5f : inside + 0.5f);
  }
};

template <std::size_t Channels>
struct integer_input<std::uint8_t, Channels> {
  static constexpr int fraction = 16;  // bits
  std::array<std::int32_t, Channels> factors{}, offsets{};  // of each channel

  template <class F>
  constexpr void for_each(F&& f) const {
    f("factors", factors);
    f("offsets", offsets);
  }

  constexpr std::int16_t operator()(std::size_t channel, std::uint8_t value) const noexcept {
    return static_cast<std::int16_t>((value * factors[channel] + offsets[channel]) >> fraction);
  }
};

template <class Input>
struct arithmetic<quantised<Input>> {
  static_assert(std::is_same_v<Input, float> || std::is_same_v<Input, std::uint8_t>,
                "spikenet: quantised takes images of float or of std::uint8_t");
  using input = Input;
  using weight = std::int8_t;
  using sum = std::int16_t;
  using wide = std::int32_t;
  using value = std::int16_t;
  using logit = std::int32_t;

  // Of one stage.
  struct neurons {
    const std::int16_t* thresholds = nullptr;  // of its channels
    std::int16_t decay = 0;                    // 2^15 is 1, and what is meant by the largest number
    int shift = 0;                             // what a sum of products of values loses
  };

  template <class Planned>
  struct constants {
    // Beside the biases; where no channel is, such that nothing fires.
    std::array<std::int16_t, Planned::plan.biases + 64> thresholds{};
    std::array<std::uint8_t, Planned::capacity> shifts{};  // of the stages
    std::int16_t decay{};
    integer_input<Input, Planned::plan.signals[0].channels> image{};
    float logit_unit{};  // what the integer 1 is as a logit

    template <class F>
    constexpr void for_each(F&& f) const {
      f("thresholds", thresholds);
      f("shifts", shifts);
      f("decay", decay);
      f("image", image);
      f("logit_unit", logit_unit);
    }
    constexpr neurons of_stage(std::size_t i) const noexcept {
      return {thresholds.data() + Planned::plan.stages[i].first_bias, decay, shifts[i]};
    }
    constexpr auto taker() const noexcept { return image; }
  };

  template <class Reset, class V>
  [[gnu::always_inline]] static V fire(const V& sum, V& u, const neurons& k, std::size_t channel) noexcept {
    const V threshold = load<V>(k.thresholds + channel);
    u = multiply_fraction(u, k.decay) + sum;
    const V fired = reinterpret_cast<V>(u > threshold);
    if constexpr (std::is_same_v<Reset, hard_reset>)
      u &= ~fired;
    else
      u -= threshold & fired;
    return fired;
  }

  template <class V>
  [[gnu::always_inline]] static void add_products(V& sum, const V& values, const V& units, const neurons& k) noexcept {
    using two = halves<V>;
    const typename two::wide products[2] = {two::of(values, 0) * two::of(units, 0),
                                            two::of(values, 1) * two::of(units, 1)};
    sum += narrow<V>(products, k);
  }

  // Two vectors of sums of products, as one of sums.
  template <class V, class W>
  [[gnu::always_inline]] static V narrow(const W* from, const neurons& k) noexcept {
    return halves<V>::joined(shift_rounding(from[0], k.shift), shift_rounding(from[1], k.shift));
  }

  // Of spikes it is their number, a value whose scale is the window's size; of values the nearest integer.
  static constexpr value average(wide total, std::size_t count, bool spikes) noexcept {
    return static_cast<value>(spikes ? total : divide_rounding(total, static_cast<std::int64_t>(count)));
  }
  // A mean times `timesteps`, so that nothing is lost at the last one.
  static constexpr logit mean(logit total, std::size_t steps, std::size_t timesteps) noexcept {
    return static_cast<logit>(
        divide_rounding(total * static_cast<std::int64_t>(timesteps), static_cast<std::int64_t>(steps)));
  }

 private:
  // To the nearest, a half away from 0.
  static constexpr std::int64_t divide_rounding(std::int64_t n, std::int64_t by) noexcept {
    return (n < 0 ? n - by / 2 : n + by / 2) / by;
  }
};

}  // namespace detail
}  // namespace spikenet
