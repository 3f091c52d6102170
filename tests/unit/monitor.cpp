// The monitor against counts made by hand, by brute force, and from the outputs that any observer sees; and that it
// sees the same whether layers are fused or not.
#include "spikenet/training/monitor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.hpp"
#include "spikenet/dsrn.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

const neuron_statistics& neurons_of(const monitor& m, const std::string& name) {
  for (const neuron_statistics& layer : m.neurons())
    if (layer.name == name) return layer;
  FAIL("no neurons called " << name);
  return m.neurons().front();
}

const synapse_statistics& synapses_of(const monitor& m, const std::string& name) {
  for (const synapse_statistics& layer : m.synapses())
    if (layer.name == name) return layer;
  FAIL("no synapses called " << name);
  return m.synapses().front();
}

// The neurons written out again, one by one: potentials [T][neurons of the batch].
template <class Scalar>
std::vector<std::vector<double>> potentials(const std::vector<Scalar>& x, std::size_t in_steps, std::size_t steps,
                                            double threshold, double decay, bool soft) {
  const std::size_t count = x.size() / in_steps;
  std::vector<std::vector<double>> all(steps, std::vector<double>(count));
  for (std::size_t i = 0; i < count; ++i) {
    double left = 0;
    for (std::size_t t = 0; t < steps; ++t) {
      const double u = decay * left + static_cast<double>(x[(in_steps == 1 ? 0 : t) * count + i]);
      all[t][i] = u;
      left = u;
      if (u > threshold) left = soft ? u - threshold : 0;
    }
  }
  return all;
}

}  // namespace

TEST_CASE("spikes, rates, dead and saturated neurons, counted by hand", "[monitor]") {
  network<cpu<double>, timesteps<3>, frames<1, 1, 4>, named<"spike", lif<>>, flatten, named<"fc", linear<2>>> net{
      seed{1}, {.threshold = 1, .decay = 0.5}};
  // Neurons: one always fires, one never, one at the first timestep of the first image, one saves up for the third
  // (0.8, 1.2: fires, 0.8 in the second image's, as frames are laid out [T, N, ...]).
  const values images{2, -1, 1.5, 0.8, /**/ 2, -1, 0, 0.8,   // t = 0: image 0, image 1
                      2, -1, 0,   0.8, /**/ 2, -1, 0, 0,     // t = 1
                      2, -1, 0,   0.8, /**/ 2, 0,  1, 0.9};  // t = 2
  monitor m;
  net.evaluate(images, m);

  REQUIRE(m.neurons().size() == 1);  // flatten hands spikes on, and has no neurons
  const neuron_statistics& layer = m.neurons()[0];
  CHECK(layer.name == "spike");
  CHECK(layer.follows.empty());
  CHECK_FALSE(layer.normalised);
  CHECK(layer.neurons == 4);
  CHECK(layer.timesteps == 3);
  CHECK(layer.images == 2);
  // Neuron 3: image 0: 0.8, 1.2 fires, 0.8; image 1: 0.8, 0.4, 1.1 fires.
  CHECK(layer.spikes_of_neuron == std::vector<std::uint64_t>{6, 0, 1, 2});
  CHECK(layer.spikes_of_timestep == std::vector<std::uint64_t>{3, 3, 3});
  CHECK(layer.spikes() == 9);
  CHECK(layer.rate() == Approx(9.0 / 24));
  CHECK(layer.rate(1) == Approx(3.0 / 8));
  CHECK(layer.dead() == 0.25);
  CHECK(layer.saturated() == 0.25);
  CHECK(layer.membrane.count() == 24);
  CHECK(layer.membrane.max() == 2);
  CHECK(layer.membrane.min() == Approx(-1 - 0.5 - 0.25));
  CHECK(layer.membrane.threshold() == 1);

  REQUIRE(m.synapses().size() == 1);
  const synapse_statistics& fc = m.synapses()[0];
  CHECK(fc.name == "fc");
  CHECK(fc.spiking_input);
  CHECK(fc.spikes == 9);
  CHECK(fc.connections == 8);
  CHECK(fc.operations.additions == 18);
  CHECK(fc.operations.multiply_adds == 0);
  CHECK(fc.operations.dense == 8 * 3 * 2);
  CHECK(fc.operations.dense_one_timestep == 8 * 2);
  CHECK(fc.operations.energy() == Approx(18 * 0.9));
  CHECK(fc.operations.dense_energy() == Approx(48 * 4.6));
  CHECK(fc.operations.dense_one_timestep_energy() == Approx(16 * 4.6));
  CHECK(fc.operations.energy({.add = 2, .multiply = 5}) == 36);
  CHECK(fc.operations.dense_energy({.add = 2, .multiply = 5}) == 48 * 7);

  // Another batch adds to what there is; clear starts again.
  net.evaluate(images, m);
  CHECK(m.neurons()[0].images == 4);
  CHECK(m.neurons()[0].spikes_of_neuron == std::vector<std::uint64_t>{12, 0, 2, 4});
  CHECK(m.neurons()[0].rate() == Approx(9.0 / 24));
  CHECK(m.neurons()[0].saturated() == 0.25);
  CHECK(m.total().additions == 36);
  m.clear();
  CHECK(m.neurons().empty());
  CHECK(m.total().dense == 0);
  net.evaluate(images, m);
  CHECK(m.neurons()[0].spikes() == 9);
}

namespace {

template <class Scalar, class Lif, template <std::size_t, std::size_t, std::size_t> class Input>
void check_membranes(bool soft) {
  using net_t = network<cpu<Scalar>, timesteps<3>, Input<2, 5, 4>, Lif, flatten, linear<2>>;
  constexpr neuron neurons{.threshold = 0.4, .decay = 0.7, .surrogate = {.half_width = 0.3}};
  constexpr std::size_t count = 17, in_steps = net_t::input::steps;
  net_t net{seed{1}, neurons};
  const auto images = test::normal<Scalar>(in_steps * count * 40, 3, 0.1, 0.8);
  monitor m;
  net.evaluate(images, m);
  const membrane_statistics& seen = m.neurons().at(0).membrane;

  const double threshold = static_cast<double>(static_cast<Scalar>(neurons.threshold));
  values all;
  for (const auto& step :
       potentials(images, in_steps, 3, threshold, static_cast<double>(static_cast<Scalar>(0.7)), soft))
    all.insert(all.end(), step.begin(), step.end());
  REQUIRE(all.size() == 3 * count * 40);
  double mean = 0, variance = 0;
  for (const double u : all) mean += u / static_cast<double>(all.size());
  for (const double u : all) variance += (u - mean) * (u - mean) / static_cast<double>(all.size());
  const double tolerance = std::is_same_v<Scalar, float> ? 1e-5 : 1e-12;
  CHECK(seen.count() == all.size());
  CHECK(seen.mean() == Approx(mean).epsilon(tolerance));
  CHECK(seen.stddev() == Approx(std::sqrt(variance)).epsilon(tolerance));
  CHECK(seen.min() == Approx(*std::min_element(all.begin(), all.end())).epsilon(tolerance));
  CHECK(seen.max() == Approx(*std::max_element(all.begin(), all.end())).epsilon(tolerance));
  CHECK(seen.half_width() == Approx(0.3).epsilon(tolerance));
  CHECK(seen.threshold() == threshold);

  const auto in_window = std::count_if(all.begin(), all.end(), [](double u) { return std::abs(u - 0.4) < 0.3; });
  CHECK(seen.in_window() == Approx(static_cast<double>(in_window) / static_cast<double>(all.size())).epsilon(1e-12));
  REQUIRE(in_window > 0);

  std::vector<std::uint64_t> histogram(membrane_statistics::bins);
  for (const double u : all) {
    std::size_t bin = 0;
    while (bin + 1 < membrane_statistics::bins && u > seen.edge(bin)) ++bin;
    ++histogram[bin];
  }
  CHECK(std::equal(histogram.begin(), histogram.end(), seen.histogram().begin()));
  CHECK(std::count_if(histogram.begin(), histogram.end(), [](std::uint64_t n) { return n > 0; }) > 20);
  // The threshold is an edge, and what lies above it has fired.
  std::uint64_t above = 0;
  for (std::size_t bin = 1; bin < membrane_statistics::bins; ++bin)
    above += seen.edge(bin - 1) >= threshold ? seen.histogram()[bin] : 0;
  CHECK(above == m.neurons()[0].spikes());
}

}  // namespace

TEST_CASE("membrane potentials are those of the neurons written out again", "[monitor]") {
  check_membranes<double, lif<>, frames>(false);
  check_membranes<double, lif<soft_reset>, frames>(true);
  check_membranes<double, lif<>, image>(false);
  check_membranes<double, lif<soft_reset>, image>(true);
  check_membranes<float, lif<>, frames>(false);
  check_membranes<float, lif<soft_reset>, image>(true);
}

TEST_CASE("a histogram takes in potentials exactly on its edges, beyond them, and NaN", "[monitor]") {
  using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
  const neuron_constants<double> k{0.3, 0, 0.5, 1};
  membrane_statistics u;
  const values x{0.3, std::nextafter(0.3, 1.0), -100, 100, test::nan<double>, 0};
  u.add<dynamics>(k, x.data(), 1, 1, x.size());
  CHECK(u.edge(40) == Approx(0.3));
  CHECK(u.histogram()[40] == 1);                             // the threshold itself does not fire
  CHECK(u.histogram()[41] == 1);                             // and what follows it does
  CHECK(u.histogram()[0] == 2);                              // -100, NaN
  CHECK(u.histogram()[membrane_statistics::bins - 1] == 1);  // 100
  CHECK(u.histogram()[32] == 1);                             // 0, an edge too
  CHECK(std::isnan(u.mean()));
}

namespace {

// The additions that spikes [items, H, W, Cin] cause, and the multiply-adds of the whole layer: over every output of
// the convolution, over every input that its window really covers.
template <class Conv, std::size_t C, std::size_t H, std::size_t W, std::size_t Cout, std::size_t K>
void check_convolution() {
  using net_t = network<cpu<double>, timesteps<2>, frames<C, H, W>, named<"spike", lif<>>, named<"conv", Conv>,
                        named<"after", lif<>>, flatten, named<"fc", linear<3>>>;
  constexpr std::size_t count = 3;
  net_t net{seed{1}};
  monitor m;
  std::vector<double> spikes;
  std::uint64_t after = 0;
  const values images = test::normal<double>(2 * count * C * H * W, 5, 0.2, 1);
  net.evaluate(images, m);
  net.evaluate(images, [&](const std::string& name, auto output) {
    if (name == "spike") spikes.assign(output.data, output.data + output.size());
    if (name == "after") after = static_cast<std::uint64_t>(std::count(output.data, output.data + output.size(), 1.0));
  });
  REQUIRE(spikes.size() == 2 * count * C * H * W);

  constexpr auto S = static_cast<std::ptrdiff_t>(Conv::stride_value),
                 P = static_cast<std::ptrdiff_t>(Conv::padding_value),
                 D = static_cast<std::ptrdiff_t>(Conv::dilation_value),
                 extent = D * (static_cast<std::ptrdiff_t>(K) - 1) + 1, height = static_cast<std::ptrdiff_t>(H),
                 width = static_cast<std::ptrdiff_t>(W);
  std::uint64_t additions = 0, connections = 0;
  for (std::size_t item = 0; item < 2 * count; ++item) {
    for (std::size_t out = 0; out < Cout; ++out) {
      const std::size_t group = out / (Cout / Conv::groups_value), inputs = C / Conv::groups_value;
      for (std::ptrdiff_t i = 0; i <= height + 2 * P - extent; i += S) {
        for (std::ptrdiff_t j = 0; j <= width + 2 * P - extent; j += S) {
          for (std::ptrdiff_t k = 0; k < static_cast<std::ptrdiff_t>(K * K); ++k) {
            const std::ptrdiff_t row = i - P + k / static_cast<std::ptrdiff_t>(K) * D,
                                 column = j - P + k % static_cast<std::ptrdiff_t>(K) * D;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            for (std::size_t in = group * inputs; in < (group + 1) * inputs; ++in) {
              const auto pixel = static_cast<std::size_t>(row * width + column);
              connections += item == 0;
              additions += spikes[(item * H * W + pixel) * C + in] != 0;
            }
          }
        }
      }
    }
  }
  const synapse_statistics& conv = synapses_of(m, "conv");
  CHECK(conv.spiking_input);
  CHECK(conv.spikes == neurons_of(m, "spike").spikes());
  CHECK(conv.connections == connections);
  CHECK(conv.operations.additions == additions);
  CHECK(conv.operations.multiply_adds == 0);
  CHECK(conv.operations.dense == connections * 2 * count);
  CHECK(additions > 0);
  CHECK(additions < conv.operations.dense);

  CHECK(neurons_of(m, "after").follows == std::vector<std::string>{"conv"});
  CHECK(neurons_of(m, "after").spikes() == after);
  CHECK(synapses_of(m, "fc").spikes == after);
  CHECK(synapses_of(m, "fc").operations.additions == 3 * after);

  // Where every neuron always fires, the additions are the dense network's multiply-adds.
  monitor full;
  net.evaluate(values(images.size(), 1), full);
  CHECK(synapses_of(full, "conv").operations.additions == synapses_of(full, "conv").operations.dense);
  CHECK(neurons_of(full, "spike").saturated() == 1);
}

}  // namespace

TEST_CASE("synaptic operations of convolutions, by brute force", "[monitor]") {
  check_convolution<conv2d<4, 3>, 2, 5, 6, 4, 3>();
  check_convolution<conv2d<4, 3, stride<2>>, 3, 7, 6, 4, 3>();
  check_convolution<conv2d<3, 3, stride<2>, padding<0>>, 2, 8, 7, 3, 3>();  // a last row that no window covers
  check_convolution<conv2d<4, 1, stride<2>>, 2, 5, 5, 4, 1>();              // most inputs have no output
  check_convolution<conv2d<6, 3, groups<3>, padding<2>>, 6, 4, 5, 6, 3>();
  check_convolution<conv2d<4, 3, dilation<2>, stride<3>>, 2, 9, 8, 4, 3>();
  check_convolution<conv2d<2, 2, padding<1>, with_bias>, 1, 3, 4, 2, 2>();
}

TEST_CASE("a layer with real input multiplies and adds, once where its input does not change", "[monitor]") {
  // conv: image; conv2: real, for pooled spikes are; fc: the same.
  network<cpu<double>, timesteps<4>, image<2, 6, 6>, named<"conv", conv2d<3, 3>>, lif<>, avg_pool2d<2>,
          named<"conv2", conv2d<2, 3, padding<0>>>, lif<>, global_avg_pool, named<"fc", linear<5>>>
      net{seed{1}, {.threshold = 0.1}};
  monitor m;
  net.evaluate(test::normal<double>(3 * 72, 1), m);
  // 3x3 windows over 6x6 with padding 1 cover 16 * 16 pixels: in each direction 4 windows have 3 rows, 2 have 2.
  const synapse_statistics& conv = synapses_of(m, "conv");
  CHECK_FALSE(conv.spiking_input);
  CHECK(conv.timesteps == 1);
  CHECK(conv.connections == 16 * 16 * 2 * 3);
  CHECK(conv.operations.multiply_adds == 16 * 16 * 2 * 3 * 3);
  CHECK(conv.operations.dense == conv.operations.multiply_adds);
  CHECK(conv.operations.dense_one_timestep == conv.operations.multiply_adds);
  CHECK(conv.operations.additions == 0);
  CHECK(conv.spikes == 0);

  const synapse_statistics& conv2 = synapses_of(m, "conv2");
  CHECK_FALSE(conv2.spiking_input);
  CHECK(conv2.timesteps == 4);
  CHECK(conv2.operations.multiply_adds == 9 * 3 * 2 * 3 * 4);
  CHECK(conv2.operations.dense_one_timestep == 9 * 3 * 2 * 3);
  CHECK(synapses_of(m, "fc").operations.multiply_adds == 2 * 5 * 3 * 4);

  const synaptic_operations total = m.total();
  CHECK(total.multiply_adds == 16 * 16 * 2 * 3 * 3 + 9 * 3 * 2 * 3 * 4 + 2 * 5 * 3 * 4);
  CHECK(total.energy() == Approx(static_cast<double>(total.multiply_adds) * 4.6));
  CHECK(total.energy() == total.dense_energy());
}

namespace {

// What an observer is shown: names, values.
struct shown {
  std::string name;
  values input, output;
};

struct recorder {
  std::vector<shown>& all;
  template <class Module, class In>
  void operator()(const observation<Module, In, double>& seen) const {
    all.push_back({seen.name,
                   {seen.input.data, seen.input.data + seen.input.size()},
                   {seen.output.data, seen.output.data + seen.output.size()}});
    if constexpr (requires { typename Module::dynamics; }) {
      // Whatever was fused: neurons that receive what is shown give what is shown.
      const auto k = seen.neurons.template constants<double>();
      for (std::size_t i = 0; i < seen.output.step_size(); ++i) {
        double u = 0, o = 0;
        for (std::size_t t = 0; t < Module::output::steps; ++t) {
          u = Module::dynamics::membrane(u, o, seen.input.data[(In::steps == 1 ? 0 : t) * seen.input.step_size() + i],
                                         k);
          o = Module::dynamics::spike(u, k);
          if (seen.output.data[t * seen.output.step_size() + i] != o)
            FAIL(seen.name << ": neuron " << i << " at " << t);
        }
      }
    }
  }
};

void check_same(const std::vector<shown>& a, const std::vector<shown>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i, a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(test::error(a[i].input, b[i].input) < 1e-12);
    CHECK(test::error(a[i].output, b[i].output) < 1e-12);
  }
}

void check_same(const monitor& a, const monitor& b) {
  REQUIRE(a.neurons().size() == b.neurons().size());
  for (std::size_t i = 0; i < a.neurons().size(); ++i) {
    const neuron_statistics &x = a.neurons()[i], &y = b.neurons()[i];
    CAPTURE(x.name);
    CHECK(x.name == y.name);
    CHECK(x.follows == y.follows);
    CHECK(x.normalised == y.normalised);
    CHECK(x.images == y.images);
    CHECK(x.spikes_of_neuron == y.spikes_of_neuron);
    CHECK(x.spikes_of_timestep == y.spikes_of_timestep);
    CHECK(x.membrane.count() == y.membrane.count());
    CHECK(x.membrane.mean() == Approx(y.membrane.mean()).margin(1e-12));
    CHECK(x.membrane.stddev() == Approx(y.membrane.stddev()).margin(1e-12));
    CHECK(x.membrane.min() == Approx(y.membrane.min()).margin(1e-12));
    CHECK(x.membrane.max() == Approx(y.membrane.max()).margin(1e-12));
    CHECK(x.membrane.histogram() == y.membrane.histogram());
  }
  REQUIRE(a.synapses().size() == b.synapses().size());
  for (std::size_t i = 0; i < a.synapses().size(); ++i) {
    const synapse_statistics &x = a.synapses()[i], &y = b.synapses()[i];
    CAPTURE(x.name);
    CHECK(x.name == y.name);
    CHECK(x.operations.additions == y.operations.additions);
    CHECK(x.operations.multiply_adds == y.operations.multiply_adds);
    CHECK(x.operations.dense == y.operations.dense);
  }
}

// A stem, an identity and a projection, a block whose main branch has no neurons before the sum, and a constant
// shortcut.
template <class Backend>
using blocks =
    network<Backend, timesteps<3>, image<2, 6, 5>, named<"conv", conv2d<4, 3>>, named<"bn", tdbn<>>,
            named<"spike", lif<>>, named<"a", basic_block<4>>, named<"b", basic_block<6, stride<2>, soft_reset>>,
            named<"c", basic_block<6, normalised_shortcut>>, named<"d", residual<sequence<conv2d<6, 3>>, conv2d<6, 1>>>,
            global_avg_pool, named<"fc", linear<8>>, named<"fc.spike", lif<>>, named<"out", linear<3>>>;

}  // namespace

TEST_CASE("fused stages and the same layers one by one look the same", "[monitor][fused]") {
  constexpr neuron neurons{.threshold = 0.4, .decay = 0.6, .surrogate = {.half_width = 0.7, .height = 0.9}};
  blocks<cpu<double>> fused{seed{5}, neurons};
  blocks<cpu<double, one_by_one>> plain{seed{5}, neurons};
  test::tensor_of(fused, "fc.bias")[0] = test::tensor_of(plain, "fc.bias")[0] = 1;
  const values images = test::normal<double>(70 * 60, 1);
  const auto labels = test::labels(70, 3, 1);
  std::vector<shown> of_fused, of_plain;
  monitor m_fused, m_plain;

  // Some batches for the running statistics, without which the evaluation's deeper layers would be silent.
  for (int i = 0; i < 20; ++i) {
    fused.compute_gradients(images, labels);
    plain.compute_gradients(images, labels);
  }
  // In training, where batch statistics count, and still after the parameters were moved.
  fused.train_step(images, labels, sgd{.learning_rate = 0.1});
  plain.train_step(images, labels, sgd{.learning_rate = 0.1});
  fused.for_each_output(recorder{of_fused});
  plain.for_each_output(recorder{of_plain});
  check_same(of_fused, of_plain);
  fused.for_each_output(m_fused);
  plain.for_each_output(m_plain);
  check_same(m_fused, m_plain);
  CHECK(m_fused.neurons().at(0).images == 70);

  // In evaluation: in slices.
  of_fused.clear();
  of_plain.clear();
  fused.evaluate(images, recorder{of_fused});
  plain.evaluate(images, recorder{of_plain});
  check_same(of_fused, of_plain);
  m_fused.clear();
  m_plain.clear();
  fused.evaluate(images, m_fused);
  plain.evaluate(images, m_plain);
  check_same(m_fused, m_plain);
  CHECK(m_fused.neurons().at(0).images == 70);

  std::map<std::string, std::string> follows;
  for (const neuron_statistics& layer : m_fused.neurons()) {
    for (const std::string& name : layer.follows) follows[layer.name] += name + " ";
    CHECK(layer.normalised == (layer.name != "d.join" && layer.name != "fc.spike"));
    CHECK(layer.spikes() > 0);
  }
  CHECK(follows == std::map<std::string, std::string>{{"spike", "conv "},
                                                      {"a.spike1", "a.conv1 "},
                                                      {"a.spike2", "a.conv2 "},
                                                      {"b.spike1", "b.conv1 "},
                                                      {"b.spike2", "b.conv2 b.downsample.0 "},
                                                      {"c.spike1", "c.conv1 "},
                                                      {"c.spike2", "c.conv2 "},
                                                      {"d.join", "d.0 d.shortcut "},
                                                      {"fc.spike", "fc "}});

  // Each of the 70 images by itself adds up to the same.
  monitor apart;
  for (std::size_t n = 0; n < 70; ++n) fused.evaluate(std::span(images).subspan(n * 60, 60), apart);
  check_same(apart, m_plain);
}

TEST_CASE("rates are those counted from the outputs, and nothing else changes", "[monitor]") {
  using net_t = dsrn<cpu<float>, 4, 2, image<1, 12, 12>, mean_spikes>;
  net_t net{seed{3}};
  const auto images = test::normal<float>(9 * 144, 4);
  std::map<std::string, std::vector<double>> rates;  // of each timestep
  const auto logits = net.evaluate(images, [&](const std::string& name, auto output) {
    if constexpr (decltype(output)::signal_type::holds == content::spikes) {
      for (std::size_t t = 0; t < 2; ++t) {
        const float* const first = output.data + t * output.step_size();
        rates[name].push_back(static_cast<double>(std::count(first, first + output.step_size(), 1.0f)) /
                              static_cast<double>(output.step_size()));
      }
    }
  });
  const std::vector<float> before(logits.begin(), logits.end());
  monitor m;
  CHECK(test::error(net.evaluate(images, m), before) == 0);
  REQUIRE(m.neurons().size() == rates.size());
  CHECK(rates.size() == 19);
  for (const auto& [name, expected] : rates) {
    CAPTURE(name);
    const neuron_statistics& layer = neurons_of(m, name);
    CHECK(layer.rate(0) == Approx(expected[0]).epsilon(1e-12));
    CHECK(layer.rate(1) == Approx(expected[1]).epsilon(1e-12));
    CHECK(layer.rate() == Approx((expected[0] + expected[1]) / 2).epsilon(1e-12));
  }
  CHECK(m.synapses().size() == 21);  // 19 layers with weights, two of them with a projection beside them
}

namespace {

// Layers of a user, who knows nothing of the monitor: an encoder whose output is spikes, one that hands spikes on, and
// one that keeps them real.
template <content Emits, bool OnlyPositive>
struct own : layer {
  template <class Backend, std::size_t T, class In>
  struct module {
    using output = signal<typename In::shape, In::steps, Emits>;
    static constexpr std::array<parameter, 0> parameters{};
    std::array<parameter_slot<typename Backend::scalar>, 0> slots{};
    using real = typename Backend::scalar;
    void forward(context<Backend>& c, tensor<In, const real> x, tensor<output, real> y) {
      c.backend.for_each(x.size(), [in = x.data, out = y.data](std::size_t i) {
        out[i] = OnlyPositive ? (in[i] > 0 ? real{1} : real{0}) : in[i];
      });
    }
    void backward(context<Backend>&, tensor<In, const real>, tensor<output, const real>, tensor<output, const real>,
                  tensor<In, real>) {}
  };
};

// Connections of a user's layer: each input goes into one output, but the first into none.
struct own_synapses : layer {
  template <class Backend, std::size_t T, class In>
  struct module : own<content::real, false>::module<Backend, T, In> {
    static constexpr std::size_t fan_out(std::size_t i) { return i > 0 ? 1 : 0; }
  };
};

}  // namespace

TEST_CASE("layers of one's own are watched by what they are", "[monitor]") {
  network<cpu<double>, timesteps<2>, frames<1, 1, 3>, named<"encoder", own<content::spikes, true>>,
          named<"hands on", own<content::spikes, false>>, named<"synapses", own_synapses>, named<"lif", lif<>>,
          named<"real", own<content::real, false>>, flatten, named<"fc", linear<2>>>
      net;
  monitor m;
  net.evaluate(values{1, -1, 1, /**/ -1, -1, 1}, m);
  REQUIRE(m.neurons().size() == 2);
  CHECK(m.neurons()[0].name == "encoder");
  CHECK(m.neurons()[0].spikes_of_neuron == std::vector<std::uint64_t>{1, 0, 2});
  // The encoder does not say how its neurons run.
  const membrane_statistics& unknown = m.neurons()[0].membrane;
  CHECK_FALSE(unknown.known());
  CHECK(unknown.count() == 0);
  for (const double number : {unknown.mean(), unknown.stddev(), unknown.min(), unknown.max(), unknown.in_window(),
                              unknown.threshold(), unknown.half_width(), unknown.edge(0)})
    CHECK(std::isnan(number));
  CHECK(m.neurons()[1].name == "lif");
  CHECK(m.neurons()[1].spikes() == 3);
  CHECK(m.neurons()[1].follows == std::vector<std::string>{"synapses"});
  CHECK(m.neurons()[1].membrane.known());
  CHECK(m.neurons()[1].membrane.count() == 6);
  CHECK(synapses_of(m, "synapses").connections == 2);
  CHECK(synapses_of(m, "synapses").operations.additions == 2);
  CHECK_FALSE(synapses_of(m, "fc").spiking_input);  // "real" does not say that it holds spikes
}

TEST_CASE("silent and saturated layers get a warning", "[monitor]") {
  network<cpu<double>, timesteps<2>, image<1, 2, 2>, named<"conv", conv2d<2, 3, with_bias>>, named<"spike", lif<>>,
          flatten, named<"fc", linear<4>>, named<"fc.spike", lif<>>, named<"out", linear<2>>>
      net{seed{1}, {.threshold = 0.50001, .surrogate = {.half_width = 0.3}}};
  const auto fill = [&](const char* name, double value) {
    for (double& v : test::tensor_of(net, name)) v = value;
  };
  const auto warnings = [&](std::size_t images, const monitor_limits& limits = {}) {
    monitor m;
    net.evaluate(test::normal<double>(images * 4, 1), m);
    return m.warnings(limits);
  };
  fill("conv.weight", 0);
  fill("fc.weight", 0);

  // Channel 0 fires always, channel 1 never; fc fires at the second timestep, for 0.4 + 0.4 / 4 is not enough at once.
  test::tensor_of(net, "conv.bias")[0] = 3;
  test::tensor_of(net, "conv.bias")[1] = -3;
  fill("fc.bias", 0.45);
  CHECK(warnings(128).empty());  // half of them dead, half saturated, which is the limit
  CHECK(warnings(128, {.silent_rate = 0.6}).size() == 2);

  fill("conv.bias", -3);
  auto texts = warnings(1);
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("spike is nearly silent: its neurons fire at 0 % of the timesteps.") == 0);
  CHECK(texts[0].find("where the threshold is 0.50001; 0 % lie within a = 0.3 of it") != std::string::npos);
  CHECK(texts[0].find("Lower the threshold") != std::string::npos);
  CHECK(texts[0].find("Widen the surrogate") != std::string::npos);
  texts = warnings(100);
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("100 % of them never in 100 images") != std::string::npos);

  fill("conv.bias", 0.6);
  texts = warnings(100);
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("spike is saturated: its neurons fire at 100 % of the timesteps, 100 % of them always") == 0);
  CHECK(texts[0].find("Raise the threshold") != std::string::npos);
  CHECK(texts[0].find("Widen") == std::string::npos);  // all lie within a of the threshold

  // Three of four neurons dead: said once there are images enough to tell.
  fill("conv.bias", 0.3);
  test::tensor_of(net, "conv.bias")[0] = 3;
  fill("fc.bias", -1);
  test::tensor_of(net, "fc.bias")[0] = 1;
  CHECK(warnings(99).empty());
  texts = warnings(100);
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("fc.spike is nearly silent: its neurons fire at 25 % of the timesteps, 75 % of them never") == 0);
  CHECK(warnings(99, {.images = 99}).size() == 1);
  CHECK(warnings(100, {.dead_share = 0.8}).empty());
}

TEST_CASE("behind a normalisation the advice is another", "[monitor]") {
  network<cpu<double>, timesteps<2>, image<1, 4, 4>, named<"conv", conv2d<2, 3>>, named<"bn", tdbn<>>,
          named<"spike", lif<>>, global_avg_pool, named<"out", linear<2>>>
      net;
  for (double& weight : test::tensor_of(net, "bn.weight")) weight = 0;
  monitor m;
  net.evaluate(test::normal<double>(100 * 16, 1), m);
  auto texts = m.warnings();
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("weight and bias of the normalisation before them, which have become too small") !=
        std::string::npos);
  CHECK(texts[0].find("Lower the threshold") == std::string::npos);
  for (double& bias : test::tensor_of(net, "bn.bias")) bias = 2;
  m.clear();
  net.evaluate(test::normal<double>(100 * 16, 1), m);
  texts = m.warnings();
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].find("too large") != std::string::npos);
}

TEST_CASE("a monitor watches one network", "[monitor]") {
  network<cpu<double>, timesteps<2>, image<1, 2, 2>, named<"spike", lif<>>, flatten, named<"fc", linear<2>>> small;
  network<cpu<double>, timesteps<2>, image<1, 2, 3>, named<"spike", lif<>>, flatten, named<"fc", linear<2>>> large;
  network<cpu<double>, timesteps<2>, image<1, 2, 3>, flatten, named<"fc", linear<2>>, lif<>> other;
  monitor m;
  small.for_each_output(m);  // no training step yet: nothing to be seen
  CHECK(m.neurons().empty());
  small.evaluate(values(4), m);
  CHECK_THROWS_MATCHES(large.evaluate(values(6), m), argument_error,
                       says("monitor: spike had 8 values") && says("has 12 now"));
  CHECK_THROWS_MATCHES(other.evaluate(values(6), m), argument_error, says("monitor: fc had 8 values"));
  m.clear();
  large.evaluate(values(6), m);
  CHECK(m.neurons().at(0).neurons == 6);
}

namespace {

// What neurons follow, by their names; "norm" where there is a normalisation among it.
template <class Backend>
std::map<std::string, std::string> origins_in_shortcuts() {
  network<Backend, timesteps<2>, image<1, 4, 4>, named<"conv", conv2d<2, 3>>, named<"spike", lif<>>,
          // Neurons of the shortcut's own, behind weights and without
          named<"a", residual<sequence<conv2d<3, 3>, tdbn<2>>, sequence<conv2d<3, 1>, lif<>>>>,
          named<"b", residual<sequence<conv2d<3, 3>>, lif<>>>,
          // A block in the shortcut
          named<"c", residual<sequence<conv2d<3, 3>, tdbn<2>>,
                              residual<sequence<conv2d<3, 1>, tdbn<2>>, sequence<conv2d<3, 1>, avg_pool2d<1>>>>>,
          // No neurons before both branches
          named<"d", residual<sequence<conv2d<3, 3>, tdbn<>, lif<>, conv2d<2, 3>, tdbn<2>>, conv2d<2, 1>>>,
          named<"e", conv2d<2, 3>>, named<"f", residual<sequence<conv2d<2, 3>, tdbn<2>>, sequence<tdbn<2>, lif<>>>>,
          flatten, named<"fc", linear<2>>>
      net{seed{1}};
  monitor m;
  net.evaluate(values(3 * 16, 1), m);
  std::map<std::string, std::string> follows;
  for (const neuron_statistics& layer : m.neurons()) {
    for (const std::string& name : layer.follows) follows[layer.name] += name + " ";
    follows[layer.name] += layer.normalised ? "norm" : "";
  }
  return follows;
}

}  // namespace

TEST_CASE("neurons in a shortcut follow the shortcut's layers, and the block's neurons its own", "[monitor]") {
  const std::map<std::string, std::string> expected{{"spike", "conv "},
                                                    {"a.shortcut.1", "a.shortcut.0 "},
                                                    {"a.join", "a.0 norm"},
                                                    {"b.shortcut", ""},
                                                    {"b.join", "b.0 "},
                                                    {"c.shortcut.join", "c.shortcut.0 c.shortcut.shortcut.0 norm"},
                                                    {"c.join", "c.0 norm"},
                                                    {"d.2", "d.0 norm"},
                                                    {"d.join", "d.3 d.shortcut norm"},
                                                    {"f.shortcut.1", "e norm"},
                                                    {"f.join", "e f.0 norm"}};
  CHECK(origins_in_shortcuts<cpu<double>>() == expected);
  CHECK(origins_in_shortcuts<cpu<double, one_by_one>>() == expected);
}
