// Inference in integers is, bit by bit, what plain loops over the same integers in 64 bits make of it, however many
// images are computed together; no number in it ever leaves its range; and it comes near the network it was made from.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/inference/inference.hpp"
#include "spikenet/inference/parallel.hpp"
#include "spikenet/inference/quantise.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/inference_networks.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// The largest magnitudes that have been seen.
struct extremes {
  std::int64_t sum = 0, membrane = 0, products = 0;
};

std::int64_t note(std::int64_t value, std::int64_t& largest) {
  largest = std::max(largest, std::abs(value));
  return value;
}

// value / 2^shift to the nearest, halves upwards.
std::int64_t scaled(std::int64_t value, int shift) {
  return static_cast<std::int64_t>(std::floor(std::ldexp(static_cast<double>(value), -shift) + 0.5));
}
std::int64_t divided(std::int64_t value, std::int64_t by) {  // halves away from 0
  return std::llround(static_cast<double>(value) / static_cast<double>(by));
}

// What the plan says, with maps [height, width, channels] that have no border and spikes that are 0 and 1.
template <class Model>
std::vector<std::int32_t> plainly(const typename Model::parameters& p, const std::vector<typename Model::value>& images,
                                  extremes& seen) {
  using planned = detail::planned<typename Model::architecture>;
  using kind = detail::planned_stage::kind_type;
  constexpr const auto& plan = planned::plan;
  constexpr std::size_t T = Model::timesteps;
  const std::size_t count = images.size() / Model::image_size;
  std::vector<std::int32_t> logits(count * Model::classes);
  for (std::size_t n = 0; n < count; ++n) {
    std::vector<std::array<std::vector<std::int64_t>, T>> maps(plan.signal_count);
    for (std::size_t i = 0; i < plan.signal_count; ++i)
      for (auto& map : maps[i]) map.resize(plan.signals[i].pixels() * plan.signals[i].channels);
    for (std::size_t t = 0; t < T; ++t) {
      const std::size_t frame = plan.signals[0].each_step ? t * count + n : n;
      for (std::size_t c = 0; c < Model::channels; ++c)
        for (std::size_t i = 0; i < Model::height * Model::width; ++i)
          maps[0][t][i * Model::channels + c] =
              p.constants.image(c, images[frame * Model::frame_size + c * Model::height * Model::width + i]);
    }
    for (std::size_t s = 0; s < plan.stage_count; ++s) {
      const auto& stage = plan.stages[s];
      const auto& target = plan.signals[stage.target];
      std::vector<std::int64_t> membranes(target.pixels() * target.channels);
      for (std::size_t t = 0; t < T; ++t) {
        for (std::size_t at = 0; at < membranes.size(); ++at) {
          const std::size_t o = at % target.channels, y = at / target.channels / target.width,
                            x = at / target.channels % target.width;
          std::int64_t sum = stage.kind == kind::average ? 0 : p.biases[stage.first_bias + o];
          for (std::size_t i = stage.first_term; i < stage.first_term + stage.terms; ++i) {
            const auto& term = plan.terms[i];
            const auto& source = plan.signals[term.source];
            std::int64_t total = 0;
            for (std::size_t tap = 0; tap < term.kernel_height * term.kernel_width; ++tap) {
              const std::size_t row = y * term.stride + tap / term.kernel_width * term.dilation;
              const std::size_t column = x * term.stride + tap % term.kernel_width * term.dilation;
              if (row < term.padding || row - term.padding >= source.height || column < term.padding ||
                  column - term.padding >= source.width)
                continue;
              const std::int64_t* const pixel =
                  maps[term.source][t].data() +
                  ((row - term.padding) * source.width + column - term.padding) * source.channels;
              if (stage.kind == kind::average) {
                total += pixel[o];
              } else if (term.diagonal) {
                total += p.units[term.first_weight + o] * pixel[o];
              } else {
                for (std::size_t in = 0; in < source.channels; ++in)
                  total += p.weights[term.first_weight + (tap * term.inputs + in) * stage.row_size + o] * pixel[in];
              }
            }
            if (stage.kind == kind::average)
              sum = source.spikes ? total : divided(total, static_cast<std::int64_t>(term.kernel_height * term.kernel_width));
            else
              sum += source.spikes ? total : scaled(note(total, seen.products), p.constants.shifts[s]);
          }
          note(sum, seen.sum);
          if (stage.kind == kind::neurons) {
            const std::int64_t threshold = p.constants.thresholds[stage.first_bias + o];
            std::int64_t& u = membranes[at];
            u = note(scaled(u * p.constants.decay, 15) + sum, seen.membrane);
            const bool fires = u > threshold;
            if (fires) u = stage.soft_reset ? u - threshold : 0;
            sum = fires;
          }
          maps[stage.target][t][at] = sum;
        }
      }
    }
    for (std::size_t k = 0; k < Model::classes; ++k)
      for (std::size_t t = 0; t < T; ++t)
        logits[n * Model::classes + k] += static_cast<std::int32_t>(maps[plan.output][t][k]);
  }
  return logits;
}

void check_ranges(const extremes& seen) {
  CHECK(seen.sum <= std::numeric_limits<std::int16_t>::max());
  CHECK(seen.membrane <= std::numeric_limits<std::int16_t>::max());
  CHECK(seen.products <= std::numeric_limits<std::int32_t>::max());
}

// All ways to compute the same.
template <class Architecture, class Input, class Parameters>
void check_integers(const Parameters& parameters, const std::vector<Input>& images) {
  using number = quantised<Input>;
  using one = inference<Architecture, number>;
  using many = inference<Architecture, number, 5>;
  extremes seen;
  const auto expected = plainly<one>(parameters, images, seen);
  check_ranges(seen);
  CHECK(seen.sum > 1000);  // 16 bits are made use of
  CHECK(test::inferred<one>(parameters, images) == expected);
  CHECK(test::inferred<many>(parameters, images) == expected);
  CHECK(test::stepped<one>(parameters, images) == expected);
  parallel_inference<Architecture, number, 5> parallel(parameters);
  std::vector<std::int32_t> logits(expected.size());
  parallel.logits(images, logits);
  CHECK(logits == expected);
  set_cpu_threads(expected.size() / one::classes + 2);
  parallel_inference<Architecture, number, 1>(parameters).logits(images, logits);
  set_cpu_threads(0);
  CHECK(logits == expected);
}

// How far logits are from those of the network, relative to their size.
template <class Model>
double distance(const typename Model::parameters& parameters, const std::vector<typename Model::value>& images,
                std::span<const double> expected) {
  const auto logits = test::inferred<Model>(parameters, images);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = logits[i] * static_cast<double>(parameters.constants.logit_unit) - expected[i];
    error += difference * difference;
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

template <class Network>
void check_network(std::uint64_t seed_value) {
  using architecture = typename Network::architecture;
  using model = inference<architecture, quantised<>>;
  Network net{seed{seed_value}, {.threshold = 0.4, .decay = 0.3}};
  test::set_tensors(net, seed_value);
  const auto real = test::normal<double>(13 * model::image_size, seed_value);
  const auto parameters = quantise<model>(net, real);
  check_integers<architecture>(*parameters, std::vector<float>(real.begin(), real.end()));
}

// Few layers: a spike that differs makes others. One in a hundred is a distance of a tenth.
template <class Backend>
using shallow = network<Backend, timesteps<3>, image<2, 9, 8>, conv2d<12, 3>, tdbn<>, lif<>, basic_block<12>,
                        avg_pool2d<3, stride<2>>, flatten, linear<40>, lif<soft_reset>, linear<7>>;

}  // namespace

TEST_CASE("quantised inference is exact in integers", "[inference]") {
  check_network<test::mixed<cpu<double>>>(1);
  check_network<test::unusual<cpu<double>>>(2);
}

TEST_CASE("quantised inference comes near its network, of floats and of bytes", "[inference]") {
  using net_t = shallow<cpu<double>>;
  using architecture = net_t::architecture;
  using of_float = inference<architecture, quantised<>>;
  using of_bytes = inference<architecture, quantised<std::uint8_t>>;
  net_t net{seed{4}, {.threshold = 0.4, .decay = 0.3}};
  test::set_tensors(net, 4);
  const normalise normalisation{{0.2, 0.6}, {0.3, 0.2}};
  constexpr std::size_t count = 60, plane = of_bytes::height * of_bytes::width;
  random_stream random{seed{4}};
  std::vector<std::uint8_t> bytes(count * of_bytes::image_size);
  std::vector<double> real;
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random.below(256));
    real.push_back(normalisation(byte, real.size() / plane % of_bytes::channels));
  }
  const std::vector<float> floats(real.begin(), real.end());
  const auto expected = net.evaluate(real);

  const auto for_bytes = quantise<of_bytes>(net, normalisation);
  check_integers<architecture>(*for_bytes, bytes);
  CHECK(distance<of_bytes>(*for_bytes, bytes, expected) < 0.3);
  for (std::size_t c = 0; c < of_bytes::channels; ++c)
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      // All values are in steps of one size, and the largest takes 12 bits: 0.6 / 0.2 = 3.
      CHECK(std::abs(for_bytes->constants.image(c, value) - normalisation(value, c) / 3 * 4095) <= 0.51);
    }

  const auto for_floats = quantise<of_float>(net, std::span<const double>(real));
  CHECK(distance<of_float>(*for_floats, floats, expected) < 0.3);
  const auto image = for_floats->constants.image;
  CHECK(image.scale == 1024);  // |x| <= 3: 3072 of at most 4095
  CHECK(image(0, 1.5f) == 1536);
  CHECK(image(0, -0.4f / 1024) == 0);
  CHECK(image(0, -0.6f / 1024) == -1);
  CHECK(image(0, 1e9f) == 4095);
  CHECK(image(0, -std::numeric_limits<float>::infinity()) == -4095);
  CHECK(image(0, test::nan<float>) == 4095);
}

// All weights of one sign, and all neurons fire: every sum is the largest that there can be.
TEST_CASE("quantised sums and membranes reach the ends of their range and never leave it", "[inference]") {
  using net_t = network<cpu<double>, timesteps<3>, image<1, 6, 6>, conv2d<40, 3, with_bias>, lif<>, conv2d<17, 3>, lif<soft_reset>,
                        conv2d<9, 3, without_bias>, lif<>, flatten, linear<3>>;
  using model = inference<net_t::architecture, quantised<>>;
  for (const double sign : {1.0, -1.0}) {
    net_t net{seed{1}, {.threshold = 0.01, .decay = 0.2}};
    net.for_each_tensor([&](const tensor_info& info, std::span<double> values) {
      for (double& v : values) v = info.name == "0.bias" ? 1.0 : info.name == "2.weight" ? sign : sign * 0.3;
    });
    const std::vector<double> images(2 * model::image_size, sign);
    const auto parameters = quantise<model>(net, std::span<const double>(images));
    extremes seen;
    const std::vector<float> floats(images.begin(), images.end());
    CHECK(plainly<model>(*parameters, floats, seen) == test::inferred<model>(*parameters, floats));
    check_ranges(seen);
    CHECK(seen.membrane > 30000);
  }
}

TEST_CASE("what cannot be quantised is refused", "[inference]") {
  using net_t = network<cpu<double>, timesteps<1>, image<1, 72, 72>, lif<>, flatten, linear<2>>;
  using model = inference<net_t::architecture, quantised<>>;
  using of_bytes = inference<net_t::architecture, quantised<std::uint8_t>>;
  net_t net;
  const std::vector<double> none, bad(1, test::nan<double>), ones(4, 1.0), black(4, 0.0);
  CHECK_THROWS_WITH(quantise<model>(net, std::span(none)), "quantise: needs images to calibrate by, which are not all 0");
  CHECK_THROWS_WITH(quantise<model>(net, std::span(black)), "quantise: needs images to calibrate by, which are not all 0");
  CHECK_THROWS_WITH(quantise<model>(net, std::span(bad)), "images: a value is not finite");
  CHECK_THROWS_AS((quantise<of_bytes>(net, normalise{{0.1, 0.2, 0.3}, {1.0}})), argument_error);
  CHECK_THROWS_WITH(quantise<of_bytes>(net, normalise{{1e4}, {1.0}}),
                    "quantise: the normalisation turns the bytes of channel 0 into numbers between -10000 and -9999, which "
                    "are one and the same in 12 bits");
  const std::vector<double> faint(4, 1e-40);
  CHECK_THROWS_WITH(quantise<model>(net, std::span(faint)),
                    "quantise: images whose largest value is 1e-40 have no scale in 32 bits");
  net.for_each_tensor([](const tensor_info&, std::span<double> values) { std::fill(values.begin(), values.end(), 1.0); });
  CHECK_THROWS_WITH(quantise<model>(net, std::span(ones)),
                    "2.weight: so many and so different weights leave less than 4 bits for each, since what they add up "
                    "to must fit 16");
}
