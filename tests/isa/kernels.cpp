// Every operation of the CPU backend, in float and double, against plain loops in double; and quantised inference, whose
// results are the same bits on every machine. Inputs are small integers and
// multiples of 1/8, for which nearly all results are exact in either precision, whether or not multiplication and
// addition are fused: they must be equal, and not merely close. Channels are such that vectors of 2 to 16 values, alone
// and in blocks of four, and the numbers that are left over all have work. The numbers of a vector are tested one by
// one.
//
// Without a test framework, so that a cross compiler needs no headers but Eigen's.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <limits>
#include <memory>
#include <vector>

#include "spikenet/backend/cpu/cpu.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/inference/inference.hpp"

using namespace spikenet;

namespace {

using numbers = std::vector<double>;

int checks = 0, failures = 0;

// The largest difference is at most `tolerance` times the largest magnitude expected; 0: the values are equal.
template <class Scalar>
void check(const char* what, const std::vector<Scalar>& actual, const numbers& expected, double tolerance = 0) {
  double difference = actual.size() == expected.size() ? 0 : std::numeric_limits<double>::infinity(), scale = 0;
  for (std::size_t i = 0; i < actual.size() && i < expected.size(); ++i) {
    const double d = std::abs(static_cast<double>(actual[i]) - expected[i]);
    if (!(d <= difference)) difference = d;  // NaN, too
    scale = std::fmax(scale, std::abs(expected[i]));
  }
  ++checks;
  if (difference <= tolerance * scale) return;
  ++failures;
  std::printf("%s<%s>: wrong by %g, values up to %g, tolerance %g\n", what, sizeof(Scalar) == 4 ? "float" : "double",
              difference, scale, tolerance * scale);
}

void check(const char* what, bool ok) {
  ++checks;
  if (ok) return;
  ++failures;
  std::printf("%s: wrong\n", what);
}

// Multiples of `step` from -4 step to 4 step.
numbers integers(std::size_t count, std::uint64_t seed_value, double step = 1) {
  random_stream random{seed{seed_value}};
  numbers values(count);
  for (double& value : values) value = (static_cast<double>(random.below(9)) - 4) * step;
  return values;
}

numbers spikes(std::size_t count, std::uint64_t seed_value) {
  numbers values = integers(count, seed_value);
  for (double& value : values) value = value > 2 ? 1 : 0;
  return values;
}

// What the backend reads, and memory that it must write in full.
template <class Scalar>
std::vector<Scalar> as(const numbers& values) {
  return {values.begin(), values.end()};
}
template <class Scalar>
std::vector<Scalar> unwritten(std::size_t count) {
  return std::vector<Scalar>(count, std::numeric_limits<Scalar>::quiet_NaN());
}

// [rows, channels] of 0 and 1 as bits.
template <std::size_t Channels>
std::vector<spike_bits> as_bits(const numbers& values) {
  constexpr std::size_t bytes = spike_bytes<Channels>;
  std::vector<spike_bits> bits(values.size() / Channels * bytes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    spike_bits& byte = bits[i / Channels * bytes + i % Channels / 8];
    if (values[i] != 0) byte = static_cast<spike_bits>(static_cast<unsigned>(byte) | 1u << i % Channels % 8);
  }
  return bits;
}

// A vector's lanes as bits and back: all combinations of lanes, and every kind of number.
template <class Scalar>
void test_lanes() {
  constexpr std::size_t L = detail::lanes<Scalar>;
  using V = detail::simd<Scalar>;
  using limits = std::numeric_limits<Scalar>;
  const Scalar kinds[] = {1, -1, limits::denorm_min(), limits::max(), limits::infinity(), limits::quiet_NaN()};
  bool right = true;
  for (unsigned bits = 0; bits < 1u << L; ++bits) {
    Scalar lanes[L], values[L];
    detail::store(lanes, detail::lanes_from<Scalar, V>(bits | 1u << L));  // bits beyond the lanes do not count
    for (std::size_t i = 0; i < L; ++i) {
      const bool set = bits >> i & 1;
      right = right && lanes[i] == (set ? 1 : 0);
      values[i] = set ? kinds[(bits + i) % std::size(kinds)] : (bits + i) % 2 ? Scalar{0} : -Scalar{0};
    }
    right = right && detail::nonzero_lanes<Scalar>(detail::load<V>(values)) == bits;
  }
  check(sizeof(Scalar) == 4 ? "lanes of a vector of float" : "lanes of a vector of double", right);
}

struct convolved {
  numbers y, gx, gweight;
};

template <class G>
convolved convolve(std::size_t items, const numbers& x, const numbers& weight, const numbers& bias, const numbers& gy) {
  convolved result{numbers(gy.size()), numbers(x.size()), numbers(weight.size())};
  constexpr std::size_t K = G::kernel;
  for (std::size_t n = 0; n < items * G::out_height * G::out_width; ++n)
    for (std::size_t out = 0; out < G::out_channels; ++out) {
      const std::size_t item = n / (G::out_height * G::out_width), at_y = n * G::out_channels + out;
      result.y[at_y] = bias[out];
      for (std::size_t in = 0; in < G::group_in; ++in)
        for (std::size_t tap = 0; tap < K * K; ++tap) {
          const std::size_t i = n / G::out_width % G::out_height * G::stride + tap / K * G::dilation;
          const std::size_t j = n % G::out_width * G::stride + tap % K * G::dilation;
          if (i < G::padding || i >= G::padding + G::in_height || j < G::padding || j >= G::padding + G::in_width)
            continue;
          const std::size_t pixel = (item * G::in_height + i - G::padding) * G::in_width + j - G::padding;
          const std::size_t at_x = pixel * G::in_channels + out / G::group_out * G::group_in + in;
          const std::size_t at_weight = (out * G::group_in + in) * K * K + tap;
          result.y[at_y] += weight[at_weight] * x[at_x];
          result.gx[at_x] += weight[at_weight] * gy[at_y];
          result.gweight[at_weight] += x[at_x] * gy[at_y];
        }
    }
  return result;
}

template <class Scalar, class G>
void test_convolution() {
  constexpr std::size_t items = 5;
  const numbers weight = integers(G::out_channels * G::group_in * G::kernel * G::kernel, 1);
  const numbers bias = integers(G::out_channels, 2), gy = integers(items * G::out_size, 3);
  const auto w = as<Scalar>(weight), b = as<Scalar>(bias), g = as<Scalar>(gy);
  cpu<Scalar> backend;
  const auto run = [&](const numbers& real, const auto& x, const char* forward, const char* backward) {
    const convolved expected = convolve<G>(items, real, weight, bias, gy);
    auto y = unwritten<Scalar>(gy.size()), gweight = unwritten<Scalar>(w.size());
    backend.template conv2d_forward<G>(items, x.data(), w.data(), b.data(), y.data());
    check(forward, y, expected.y);
    backend.template conv2d_backward_weight<G>(items, x.data(), g.data(), gweight.data());
    check(backward, gweight, expected.gweight);
    return expected;
  };
  const numbers o = spikes(items * G::in_size, 4), x = integers(items * G::in_size, 5);
  run(o, as_bits<G::in_channels>(o), "conv2d_forward of spikes", "conv2d_backward_weight of spikes");
  const convolved expected = run(x, as<Scalar>(x), "conv2d_forward", "conv2d_backward_weight");

  auto gx = unwritten<Scalar>(x.size());
  cpu<Scalar, direct_convolution> direct;
  direct.template conv2d_backward_input<G>(items, g.data(), w.data(), gx.data());
  check("conv2d_backward_input", gx, expected.gx);
  if constexpr (detail::winograd_convolution<Scalar, G>::applies) {
    gx = unwritten<Scalar>(x.size());
    backend.template conv2d_backward_input<G>(items, g.data(), w.data(), gx.data());
    check("conv2d_backward_input by Winograd's method", gx, expected.gx, 4e-6);
  }
}

template <class Scalar, std::size_t In, std::size_t Out>
void test_linear() {
  constexpr std::size_t items = 5;
  const numbers x = integers(items * In, 1), weight = integers(Out * In, 2), bias = integers(Out, 3);
  const numbers gy = integers(items * Out, 4);
  numbers expected_y(gy.size()), expected_gx(x.size()), expected_gweight(weight.size());
  for (std::size_t n = 0; n < items; ++n)
    for (std::size_t o = 0; o < Out; ++o) {
      expected_y[n * Out + o] = bias[o];
      for (std::size_t i = 0; i < In; ++i) {
        expected_y[n * Out + o] += x[n * In + i] * weight[o * In + i];
        expected_gx[n * In + i] += gy[n * Out + o] * weight[o * In + i];
        expected_gweight[o * In + i] += gy[n * Out + o] * x[n * In + i];
      }
    }
  cpu<Scalar> backend;
  const auto vx = as<Scalar>(x), w = as<Scalar>(weight), b = as<Scalar>(bias), g = as<Scalar>(gy);
  auto y = unwritten<Scalar>(gy.size()), gx = unwritten<Scalar>(x.size()), gweight = unwritten<Scalar>(weight.size());
  backend.template linear_forward<In, Out>(items, vx.data(), w.data(), b.data(), y.data());
  check("linear_forward", y, expected_y);
  backend.template linear_backward_input<In, Out>(items, g.data(), w.data(), gx.data());
  check("linear_backward_input", gx, expected_gx);
  backend.template linear_backward_weight<In, Out>(items, vx.data(), g.data(), gweight.data());
  check("linear_backward_weight", gweight, expected_gweight);
}

template <class Scalar, std::size_t Channels>
void test_channels() {
  constexpr std::size_t rows = 301;  // two items of a reduction
  constexpr double tolerance = sizeof(Scalar) == 4 ? 2e-6 : 1e-14;
  const numbers x = integers(rows * Channels, 1), z = integers(rows * Channels, 2), a = integers(Channels, 3),
                b = integers(Channels, 4), d = integers(Channels, 5);
  numbers sums(Channels), mean(Channels), variance(Channels), two_sums(2 * Channels), affine(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % Channels;
    sums[c] += x[i];
    two_sums[c] += z[i];
    two_sums[Channels + c] += z[i] * (x[i] - a[c]) * b[c];
    affine[i] = a[c] * x[i] + b[c] * z[i] + d[c];
  }
  for (std::size_t c = 0; c < Channels; ++c) mean[c] = sums[c] / rows;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = x[i] - mean[i % Channels];
    variance[i % Channels] += difference * difference / rows;
  }

  cpu<Scalar> backend;
  const auto vx = as<Scalar>(x), vz = as<Scalar>(z), va = as<Scalar>(a), vb = as<Scalar>(b), vd = as<Scalar>(d);
  auto result = unwritten<Scalar>(Channels);
  backend.template channel_sums<Channels>(rows, vx.data(), result.data());
  check("channel_sums", result, sums);
  auto first = unwritten<double>(Channels), second = unwritten<double>(Channels),
       both = unwritten<double>(2 * Channels);
  backend.template channel_moments<Channels>(rows, vx.data(), first.data(), second.data());
  check("channel_moments: mean", first, mean, tolerance);
  check("channel_moments: variance", second, variance, tolerance);
  backend.template normalisation_sums<Channels>(rows, vx.data(), vz.data(), va.data(), vb.data(), both.data());
  check("normalisation_sums", both, two_sums);
  result = unwritten<Scalar>(x.size());
  backend.template channel_affine<Channels>(rows, vx.data(), vz.data(), va.data(), vb.data(), vd.data(), result.data());
  check("channel_affine", result, affine);

  const numbers o = spikes(rows * Channels, 6);
  const std::vector<spike_bits> expected_bits = as_bits<Channels>(o);
  std::vector<spike_bits> bits(expected_bits.size(), spike_bits{0xff});
  const auto vo = as<Scalar>(o);
  backend.template pack<Channels>(rows, vo.data(), bits.data());
  check("pack", bits == expected_bits);
  result = unwritten<Scalar>(o.size());
  backend.template unpack<Channels>(rows, bits.data(), result.data());
  check("unpack", result, o);
}

// tdBN, the sum with a residual and LIF in one pass; LIF alone is the same with scale 1, shift 0 and no residual.
template <class Scalar, std::size_t Channels, std::size_t T, std::size_t InSteps>
void test_neurons() {
  using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
  constexpr std::size_t rows = 301, neurons = rows * Channels;
  // Sums of products of many binary digits; all else is exact.
  constexpr double tolerance = sizeof(Scalar) == 4 ? 1e-6 : 1e-14;
  const neuron k{.threshold = 0.6, .decay = 0.5, .surrogate = {.half_width = 1.1, .height = 0.5}};
  const auto constants = k.constants<Scalar>();
  struct walked {
    numbers o, gu, sums;
  };
  const numbers x = integers(InSteps * neurons, 1, 0.125), go = integers(T * neurons, 2, 0.125);
  const numbers residual = spikes(T * neurons, 3), scale = integers(Channels, 4, 0.5),
                shift = integers(Channels, 5, 0.125);
  const numbers mean = integers(Channels, 6, 0.125), inverse = integers(Channels, 7, 0.5);
  const auto walk = [&](bool alone) {
    walked result{numbers(T * neurons), numbers(InSteps * neurons), numbers(2 * Channels)};
    for (std::size_t i = 0; i < neurons; ++i) {
      const std::size_t c = i % Channels;
      double u[T], o[T], before = 0, next = 0;
      for (std::size_t t = 0; t < T; ++t) {
        const double in = x[(InSteps == 1 ? 0 : t) * neurons + i];
        u[t] = k.decay * before + (alone ? in : scale[c] * in + shift[c] + residual[t * neurons + i]);
        o[t] = u[t] > k.threshold ? 1 : 0;
        before = u[t] * (1 - o[t]);
        result.o[t * neurons + i] = o[t];
      }
      for (std::size_t t = T; t-- > 0;) {
        const double slope = std::abs(u[t] - k.threshold) < k.surrogate.half_width ? k.surrogate.height : 0;
        next = (go[t * neurons + i] - k.decay * next * u[t]) * slope + k.decay * next * (1 - o[t]);
        const std::size_t at = (InSteps == 1 ? 0 : t) * neurons + i;
        result.gu[at] += next;
        result.sums[c] += next;
        result.sums[Channels + c] += next * (x[at] - mean[c]) * inverse[c];
      }
    }
    return result;
  };

  cpu<Scalar> backend;
  const auto vx = as<Scalar>(x), vgo = as<Scalar>(go), vscale = as<Scalar>(scale), vshift = as<Scalar>(shift),
             vmean = as<Scalar>(mean), vinverse = as<Scalar>(inverse), vresidual = as<Scalar>(residual);
  const std::vector<spike_bits> residual_bits = as_bits<Channels>(residual);
  std::vector<spike_bits> bits(residual_bits.size(), spike_bits{0xff});
  auto o = unwritten<Scalar>(T * neurons), gu = unwritten<Scalar>(InSteps * neurons);

  const walked alone = walk(true);
  backend.template lif_forward<dynamics, T, InSteps>(neurons, constants, vx.data(), o.data());
  check("lif_forward", o, alone.o);
  backend.template lif_forward<dynamics, T, InSteps, Channels>(rows, constants, vx.data(), bits.data());
  check("lif_forward to bits", bits == as_bits<Channels>(alone.o));
  backend.template lif_backward<dynamics, T, InSteps>(neurons, constants, vx.data(), vgo.data(), gu.data());
  check("lif_backward", gu, alone.gu, tolerance);

  const walked fused = walk(false);
  const auto run = [&](const auto* added, auto& spikes_out, const auto& expected, const char* forward,
                       const char* backward) {
    backend.template tdbn_lif_forward<dynamics, T, InSteps, Channels>(rows, constants, vx.data(), vscale.data(),
                                                                      vshift.data(), added, spikes_out.data());
    check(forward, spikes_out == expected);
    gu = unwritten<Scalar>(gu.size());
    auto sums = unwritten<double>(2 * Channels);
    backend.template tdbn_lif_backward<dynamics, T, InSteps, Channels>(
        rows, constants, vx.data(), vscale.data(), vshift.data(), added, vmean.data(), vinverse.data(), vgo.data(),
        gu.data(), sums.data());
    check(backward, gu, fused.gu, tolerance);
    check(backward, sums, fused.sums, 20 * tolerance);
  };
  run(vresidual.data(), o, as<Scalar>(fused.o), "tdbn_lif_forward", "tdbn_lif_backward");
  run(residual_bits.data(), bits, as_bits<Channels>(fused.o), "tdbn_lif_forward of bits", "tdbn_lif_backward of bits");
}

// Integers of all kinds of layers, small enough that no sum can leave its range.
using integers_of = inference<
    architecture<timesteps<3>, image<2, 11, 9>, conv2d<20, 3>, tdbn<>, lif<>, basic_block<20>, basic_block<37, stride<2>>,
                 avg_pool2d<2>, conv2d<9, 2, padding<1>>, lif<soft_reset>, flatten, linear<18>, lif<>, linear<7>>,
    quantised<std::uint8_t>>;
using integers_of_many = inference<integers_of::architecture, quantised<std::uint8_t>, 4>;

integers_of::parameters some_integers() {
  using planned = detail::planned<integers_of::architecture>;
  random_stream random{seed{1}};
  const auto some = [&](auto& values, std::int32_t low, std::uint32_t size) {
    for (auto& value : values)
      value = static_cast<std::remove_reference_t<decltype(value)>>(low + static_cast<std::int32_t>(random.below(size)));
  };
  integers_of::parameters p;
  some(p.weights, -14, 30);
  some(p.units, 10, 40);
  some(p.biases, -50, 101);
  some(p.constants.thresholds, 20, 60);
  some(p.constants.image.factors, 600'000, 100'000);
  some(p.constants.image.offsets, -90'000'000, 1'000'000);
  p.constants.shifts[0] = 10;
  for (std::size_t i = 1; i < planned::plan.stage_count; ++i) p.constants.shifts[i] = 2;
  p.constants.decay = 9830;
  return p;
}

// Logits, number by number, as FNV-1a hashes them.
template <class Model>
std::uint64_t hash_of_logits(const integers_of::parameters& parameters) {
  constexpr std::size_t count = 6;
  random_stream random{seed{2}};
  std::vector<std::uint8_t> images(count * Model::image_size);
  for (std::uint8_t& byte : images) byte = static_cast<std::uint8_t>(random.below(256));
  std::vector<std::int32_t> logits(count * Model::classes);
  std::make_unique<Model>(parameters)->logits(images.data(), count, logits.data());
  std::uint64_t hash = 14695981039346656037u;
  for (const std::int32_t logit : logits) hash = (hash ^ static_cast<std::uint32_t>(logit)) * 1099511628211u;
  return hash;
}

void test_quantised_inference() {
  const auto parameters = std::make_unique<integers_of::parameters>(some_integers());
  const std::uint64_t one = hash_of_logits<integers_of>(*parameters);
  const std::uint64_t many = hash_of_logits<integers_of_many>(*parameters);
  constexpr std::uint64_t expected = 8718211786024111178u;
  check("quantised inference", one == expected);
  check("quantised inference of many images", many == expected);
  if (one != expected || many != expected)
    std::printf("  hashes %llu and %llu\n", static_cast<unsigned long long>(one), static_cast<unsigned long long>(many));
}

template <std::size_t... N>
using g = conv2d_geometry<N...>;

template <class Scalar>
void test_all() {
  test_lanes<Scalar>();
  test_convolution<Scalar, g<3, 7, 9, 5, 3, 1, 1, 1, 1>>();
  test_convolution<Scalar, g<10, 8, 7, 37, 3, 2, 1, 1, 1>>();
  test_convolution<Scalar, g<24, 5, 5, 40, 3, 1, 2, 2, 2>>();  // groups, dilated
  test_convolution<Scalar, g<16, 7, 7, 32, 1, 2, 0, 1, 1>>();
  test_convolution<Scalar, g<64, 8, 8, 64, 3, 1, 1, 1, 1>>();  // Winograd's method; tables in several slices
  test_linear<Scalar, 67, 10>();
  test_channels<Scalar, 3>();
  test_channels<Scalar, 37>();
  test_channels<Scalar, 70>();
  test_neurons<Scalar, 37, 2, 2>();
  test_neurons<Scalar, 70, 2, 1>();
}

}  // namespace

int main() {
  test_all<float>();
  test_all<double>();
  test_quantised_inference();
  std::printf("%zu bytes a vector, %zu registers: %d of %d checks failed\n", detail::simd_bytes, detail::simd_registers,
              failures, checks);
  return failures == 0 && checks > 0 ? 0 : 1;
}
