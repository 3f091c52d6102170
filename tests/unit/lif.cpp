// The LIF layer against a loop that walks each neuron by itself.
#include "spikenet/layer/lif.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

struct rule {
  bool soft, detached, ramp;
};

struct walked {
  values o, gx;
};

// x and gx [in_steps, neurons], go and o [steps, neurons]
walked walk(const rule& r, const neuron& k, std::size_t steps, std::size_t in_steps, const values& x,
            const values& go) {
  const std::size_t neurons = x.size() / in_steps;
  walked result{values(steps * neurons), values(x.size())};
  for (std::size_t i = 0; i < neurons; ++i) {
    values u(steps), o(steps);
    double before = 0;  // what is left of the membrane potential after the reset
    for (std::size_t t = 0; t < steps; ++t) {
      u[t] = k.decay * before + x[(in_steps == 1 ? 0 : t) * neurons + i];
      if (r.ramp) {
        o[t] = std::clamp((u[t] - k.threshold + k.surrogate.half_width) / (2 * k.surrogate.half_width), 0.0, 1.0);
      } else {
        o[t] = u[t] > k.threshold ? 1 : 0;
      }
      before = r.soft ? u[t] - k.threshold * o[t] : u[t] * (1 - o[t]);
      result.o[t * neurons + i] = o[t];
    }
    double gu = 0;  // of the timestep after
    for (std::size_t t = steps; t-- > 0;) {
      double g_spike = go[t * neurons + i];
      if (!r.detached) g_spike -= k.decay * gu * (r.soft ? k.threshold : u[t]);
      const double slope = std::abs(u[t] - k.threshold) < k.surrogate.half_width ? k.surrogate.height : 0;
      gu = g_spike * slope + k.decay * gu * (r.soft ? 1 : 1 - o[t]);
      result.gx[(in_steps == 1 ? 0 : t) * neurons + i] += gu;
    }
  }
  return result;
}

// 13 neurons in a batch of 3: vectors and a rest. 13 in a batch of 101: several items.
template <class Backend, class Layer, std::size_t T, std::size_t InSteps>
void check_lif_on(const rule& r) {
  for (const std::size_t batch : {std::size_t{3}, std::size_t{101}}) {
    CAPTURE(r.soft, r.detached, r.ramp, T, InSteps, batch);
    const neuron k{.threshold = 0.6, .decay = 0.7, .surrogate = {.half_width = 0.8, .height = 0.5}};
    test::lone_layer<Backend, Layer, signal<shape<13>, InSteps>, T> layer{k};
    STATIC_REQUIRE(decltype(layer)::output::steps == T);
    const values x = test::normal<double>(InSteps * batch * 13, 1, 0.4), go = test::normal<double>(T * batch * 13, 2);
    const walked expected = walk(r, k, T, InSteps, x, go);
    const values o = layer.forward(x);
    CHECK(test::error(o, expected.o) <= (r.ramp ? 1e-14 : 0.0));
    CHECK(test::error(layer.backward(x, o, go), expected.gx) < 1e-14);
  }
}

template <class Layer, std::size_t T, std::size_t InSteps>
void check_lif(const rule& r) {
  check_lif_on<cpu<double>, Layer, T, InSteps>(r);
  check_lif_on<cpu<double, real_spikes>, Layer, T, InSteps>(r);
}

template <class... Options>
void check_timesteps(const rule& r) {
  check_lif<lif<Options...>, 1, 1>(r);
  check_lif<lif<Options...>, 2, 1>(r);
  check_lif<lif<Options...>, 2, 2>(r);
  check_lif<lif<Options...>, 3, 3>(r);
  check_lif<lif<Options...>, 5, 1>(r);
  check_lif<lif<Options...>, 5, 5>(r);
}

// One neuron, its inputs as given; the gradient of its spikes is 1 at every timestep.
template <class... Options, std::size_t T>
walked one_neuron(const neuron& k, const std::array<double, T>& inputs) {
  test::lone_layer<cpu<double>, lif<Options...>, signal<shape<1>, T>, T> layer{k};
  const values x(inputs.begin(), inputs.end());
  const values o = layer.forward(x);
  return {o, layer.backward(x, o, values(T, 1.0))};
}

}  // namespace

TEST_CASE("neurons with a hard reset", "[lif]") {
  check_timesteps<>({false, false, false});
  check_timesteps<hard_reset, through_reset, heaviside>({false, false, false});
  check_timesteps<detached_reset>({false, true, false});
  check_timesteps<ramp>({false, false, true});
  check_timesteps<ramp, detached_reset>({false, true, true});
}

TEST_CASE("neurons with a soft reset", "[lif]") {
  check_timesteps<soft_reset>({true, false, false});
  check_timesteps<soft_reset, detached_reset>({true, true, false});
  check_timesteps<soft_reset, ramp>({true, false, true});
  check_timesteps<detached_reset, soft_reset, ramp>({true, true, true});
}

TEST_CASE("neurons in single precision", "[lif]") {
  const neuron k{.threshold = 0.5, .decay = 0.25};
  constexpr std::size_t T = 4, count = 150 * 13;
  test::lone_layer<cpu<float>, lif<>, signal<shape<13>, T>, T> layer{k};
  const auto x = test::normal<float>(T * count, 3, 0.4), go = test::normal<float>(T * count, 4);
  const walked expected =
      walk({false, false, false}, k, T, T, values(x.begin(), x.end()), values(go.begin(), go.end()));
  const auto o = layer.forward(x);
  CHECK(test::error(o, expected.o) == 0);
  CHECK(test::error(layer.backward(x, o, go), expected.gx) < 1e-6);
}

TEST_CASE("a neuron spikes strictly above its threshold", "[lif]") {
  const neuron k{.threshold = 0.5, .decay = 0.25};
  CHECK(one_neuron(k, std::array{0.5}).o[0] == 0);
  CHECK(one_neuron(k, std::array{std::nextafter(0.5, 1.0)}).o[0] == 1);
  // 0.5 stays, and leaves 0.125 of itself for the next timestep; 0.5 + a little is gone.
  CHECK(one_neuron(k, std::array{0.5, 0.375}).o == values{0, 0});
  CHECK(one_neuron(k, std::array{0.5, 0.376}).o == values{0, 1});
  CHECK(one_neuron(k, std::array{0.6, 0.5}).o == values{1, 0});
  // A soft reset leaves 0.25 * (0.75 - 0.5).
  CHECK(one_neuron<soft_reset>(k, std::array{0.75, 0.4375}).o == values{1, 0});
  CHECK(one_neuron<soft_reset>(k, std::array{0.75, 0.4376}).o == values{1, 1});
}

TEST_CASE("the surrogate's window is open, its width and height are told apart", "[lif]") {
  const neuron k{.threshold = 0.5, .decay = 0.25, .surrogate = {.half_width = 0.25, .height = 3}};
  CHECK(one_neuron(k, std::array{0.75}).gx[0] == 0);
  CHECK(one_neuron(k, std::array{0.25}).gx[0] == 0);
  CHECK(one_neuron(k, std::array{std::nextafter(0.75, 0.0)}).gx[0] == 3);
  CHECK(one_neuron(k, std::array{std::nextafter(0.25, 1.0)}).gx[0] == 3);
  CHECK(one_neuron(k, std::array{0.5}).gx[0] == 3);
  CHECK(one_neuron({.surrogate = {.half_width = 0.2}}, std::array{0.4}).gx[0] == Approx(2.5).epsilon(1e-15));
}

TEST_CASE("a neuron's spikes are 0 and 1 whatever comes in, and its ramp between", "[lif]") {
  const walked far = one_neuron({}, std::array{1e300, -1e300, 0.0});
  CHECK(far.o == values{1, 0, 0});
  CHECK(one_neuron<ramp>({}, std::array{1e300}).o[0] == 1);
  CHECK(one_neuron<ramp>({}, std::array{-1e300}).o[0] == 0);
  CHECK(one_neuron<ramp>({}, std::array{0.5}).o[0] == 0.5);
  STATIC_REQUIRE(test::lone_layer<cpu<double>, lif<>, signal<shape<1>, 1>>::output::holds == content::spikes);
  STATIC_REQUIRE(test::lone_layer<cpu<double>, lif<ramp>, signal<shape<1>, 1>>::output::holds == content::real);
}
