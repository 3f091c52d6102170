// Inference computes what the network's evaluation computes: in double to rounding; in float, beyond rounding, only
// from a neuron at its threshold on. One image or many at a time, and one timestep at a time.
#include "spikenet/inference/inference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/inference/fold.hpp"
#include "spikenet/inference/parallel.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/inference_networks.hpp"
#include "unit/neuron_recorder.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// A network whose neurons work, against every way to run its inference, in double.
template <class Network>
void check_in_double(std::uint64_t seed) {
  using architecture = typename Network::architecture;
  using one = inference<architecture, double>;
  using many = inference<architecture, double, 5>;
  Network net{spikenet::seed{seed}, {.threshold = 0.4, .decay = 0.3}};
  test::set_tensors(net, seed);
  const std::size_t count = 13;  // not a multiple of how many are computed together
  const auto images = test::normal<double>(count * one::image_size, seed);
  const auto expected = test::evaluated(net, images);
  const auto parameters = fold<one>(net);
  static_assert(std::is_same_v<typename one::parameters, typename many::parameters>);
  const double closer = 1e-9;
  CHECK(test::error(test::inferred<one>(*parameters, images), expected) < closer);
  CHECK(test::error(test::inferred<many>(*parameters, images), expected) < closer);
  CHECK(test::error(test::stepped<one>(*parameters, images), expected) < closer);
  CHECK(test::error(test::stepped<many>(*parameters, images), expected) < closer);

  parallel_inference<architecture, double, 4> parallel(*parameters);
  std::vector<double> logits(expected.size());
  parallel.logits(images, logits);
  CHECK(test::error(logits, expected) < closer);
  CHECK_THROWS_AS(parallel.logits(std::span(images).subspan(1), logits), argument_error);

  // All threads at one image, as where there are more of them than images, have the bits of one thread.
  const auto by_one = test::inferred<one>(*parameters, images);
  for (const std::size_t threads : {count + 1, count + 2, count + 7, std::size_t{1}}) {
    set_cpu_threads(threads);
    CAPTURE(threads);
    parallel_inference<architecture, double, 1>(*parameters).logits(images, logits);
    CHECK(std::memcmp(logits.data(), by_one.data(), logits.size() * sizeof(double)) == 0);
  }
  set_cpu_threads(0);

  test::firing_rates rates;
  const auto model = std::make_unique<many>(*parameters);
  model->logits(images.data(), count, logits.data(), rates);
  CHECK(rates.fired.size() > 1);
  for (std::size_t i = 0; i < rates.fired.size(); ++i) {
    CAPTURE(i, rates.fired[i], rates.count[i]);
    CHECK(rates.fired[i] > 0.02 * rates.count[i]);
    CHECK(rates.fired[i] < 0.9 * rates.count[i]);
  }
}

}  // namespace

TEST_CASE("inference in double is the network's evaluation", "[inference]") {
  check_in_double<test::mixed<cpu<double>>>(1);
  check_in_double<test::unusual<cpu<double>>>(2);
  check_in_double<test::windows<cpu<double>>>(3);
  check_in_double<test::large_maps<cpu<double>>>(4);
  check_in_double<test::many_channels<cpu<double>>>(5);
}

TEST_CASE("inference stops as soon as the answer leads by a margin", "[inference]") {
  using net_t = test::mixed<cpu<double>>;
  using model = inference<net_t::architecture, double>;
  net_t net{seed{3}, {.threshold = 0.4, .decay = 0.3}};
  test::set_tensors(net, 3);
  const auto parameters = fold<model>(net);
  const auto run = std::make_unique<model>(*parameters);
  const auto images = test::normal<double>(20 * model::image_size, 3);
  std::size_t total = 0;
  for (std::size_t n = 0; n < 20; ++n) {
    const std::span<const double, model::image_size> image(images.data() + n * model::image_size, model::image_size);
    std::array<double, model::classes> whole, stopped;
    run->logits(image, whole);
    CHECK(run->logits_until(1e9, image, stopped) == model::timesteps);
    CHECK(test::error(stopped, whole) < 1e-12);
    CHECK(run->logits_until(0, image, stopped) == 1);
    const std::size_t steps = run->logits_until(0.3, image, stopped);
    CHECK((steps == model::timesteps || model::lead(stopped) >= 0.3));
    if (steps > 1) {  // not one step earlier
      model::state state;
      for (std::size_t t = 0; t + 1 < steps; ++t) run->step(state, std::span<const double, model::frame_size>(image));
      model::read_out(state, stopped);
      CHECK(model::lead(stopped) < 0.3);
    }
    total += steps;
  }
  CHECK(total > 20);
  CHECK(total < 20 * model::timesteps);

  const std::array<double, model::classes> tie{1, 3, 0, 3, 2, 0, 1};
  CHECK(model::class_of(tie) == 1);
  CHECK(model::lead(tie) == 0);
}

TEST_CASE("a network with a value that is not finite cannot be folded", "[inference]") {
  using net_t = test::mixed<cpu<double>>;
  net_t net;
  net.for_each_tensor([](const tensor_info& info, std::span<double> values) {
    if (info.name == "3.bn1.running_var") values[1] = test::nan<double>;
  });
  CHECK_THROWS_WITH((fold<inference<net_t::architecture, double>>(net)),
                    "3.bn1.running_var: a value is not finite, so it cannot be folded");
}

TEST_CASE("what the numbers of an inference cannot hold is refused", "[inference]") {
  using net_t = network<cpu<double>, timesteps<2>, image<1, 3, 3>, named<"conv1", conv2d<2, 3, with_bias>>,
                        named<"bn1", tdbn<>>, lif<>, flatten, named<"fc", linear<2>>>;
  using in_float = inference<net_t::architecture, float>;
  using in_double = inference<net_t::architecture, double>;
  for (const double threshold : {1e39, 1e-50}) {
    const net_t net{seed{1}, {.threshold = threshold}};
    CHECK_THROWS_MATCHES(fold<in_float>(net), argument_error, says("the threshold must be positive and finite, not 1e"));
    CHECK_NOTHROW(fold<in_double>(net));
  }
  const auto refuses = [](const char* tensor, double value, const char* named) {
    net_t net{seed{1}};
    test::tensor_of(net, tensor)[0] = value;
    CHECK_THROWS_MATCHES(fold<in_float>(net), numeric_error,
                         says(named) && says(": folded, a value is") && says("which is not finite in 32 bits"));
    CHECK_NOTHROW(fold<in_double>(net));
  };
  refuses("conv1.weight", 1e40, "conv1.weight");
  refuses("bn1.bias", 1e40, "conv1.weight");
  refuses("fc.weight", -1e40, "fc.weight");
}

TEST_CASE("inference in float differs by rounding, or from a neuron at its threshold on", "[inference][parity]") {
  using net_t = network<cpu<float>, timesteps<3>, image<1, 12, 12>, conv2d<16, 3>, tdbn<>, lif<>, basic_block<16>,
                        basic_block<32, stride<2>>, basic_block<32>, global_avg_pool, linear<20>, lif<>, linear<10>>;
  using one = inference<net_t::architecture>;
  using many = inference<net_t::architecture, float, 8>;
  net_t net{seed{3}};
  test::set_tensors(net, 5);
  const auto parameters = fold<one>(net);
  const auto run_one = std::make_unique<one>(*parameters);
  const auto run_many = std::make_unique<many>(*parameters);
  constexpr std::size_t batch = 24;
  std::size_t alike = 0;
  for (std::uint64_t round = 0; round < 12; ++round) {
    const auto images = test::normal<float>(batch * one::image_size, round + 1);
    test::neuron_recorder expected;
    const auto logits = net.evaluate(images, expected);
    const auto compare = [&](auto& run) {
      std::vector<float> actual(logits.size());
      std::vector<bool> differs(batch, false);
      double distance = 0;
      run.logits(images.data(), batch, actual.data(), [&](const fired_layer& layer) {
        const test::neuron_recorder::layer& other = expected.layers.at(layer.index);
        REQUIRE(other.size == layer.channels * layer.height * layer.width);
        for (std::size_t n = 0; n < layer.images; ++n) {
          const std::size_t image = layer.first_image + n;
          bool differs_here = false;
          for (std::size_t t = 0; t < layer.steps && !differs[image] && !differs_here; ++t)
            for (std::size_t i = 0; i < other.size; ++i) {
              const std::size_t c = i % layer.channels, pixel = i / layer.channels;
              const std::size_t at = (t * batch + image) * other.size + i;
              if (layer.fired(n, t, pixel / layer.width, pixel % layer.width, c) == (other.spikes[at] != 0)) continue;
              differs_here = true;
              distance = std::max(distance, std::abs(static_cast<double>(other.membranes[at]) - 0.5));
            }
          if (differs_here) differs[image] = true;
        }
      });
      CHECK(distance < 1e-5);
      for (std::size_t n = 0; n < batch; ++n) {
        if (differs[n]) continue;
        ++alike;
        CHECK(test::error(std::span(actual).subspan(n * 10, 10), logits.subspan(n * 10, 10)) < 1e-5);
      }
    };
    compare(*run_one);
    compare(*run_many);
  }
  CHECK(alike > 2 * 12 * batch * 9 / 10);
}
