// A network that is exported, written, read and run as NIR says has the spikes and logits that it had.
#include <spikenet/nir/export.hpp>

#include <cmath>
#include <cstddef>
#include <map>
#include <span>
#include <spikenet/nir/file.hpp>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "nir/reference.hpp"

namespace {

using namespace spikenet;

// Running statistics and weights of tdBN that are not those of the start, or folding is not tested.
template <class Network>
void stir(Network& net, std::uint64_t s) {
  random_stream random{seed{s}};
  net.for_each_tensor([&](const tensor_info& info, auto values) {
    using scalar = typename decltype(values)::value_type;
    for (auto& value : values) {
      if (info.name.ends_with("running_var")) value = static_cast<scalar>(random.uniform(0.1, 0.4));
      if (info.name.ends_with("running_mean")) value = static_cast<scalar>(random.uniform(-0.2, 0.2));
      if (info.name.ends_with("weight") && info.shape.size() == 1)
        value = static_cast<scalar>(random.uniform(0.8, 1.6));
      if (info.name.ends_with("bias")) value = static_cast<scalar>(random.uniform(-0.1, 0.2));
    }
  });
}

// Compares spikes of every layer and the logits on random images; how many spikes there were.
template <class Network>
std::size_t check_export(Network& net, double dt, std::size_t images) {
  const nir::graph g = nir::parse(nir::bytes(nir::to_graph(net, dt)), "exported");
  const test::nir_reference reference(g, dt);
  constexpr std::size_t T = Network::timesteps, size = Network::channels * Network::height * Network::width;
  constexpr std::size_t frames = Network::input::steps;
  random_stream random{seed{7}};
  std::size_t spikes = 0;
  for (std::size_t n = 0; n < images; ++n) {
    std::vector<double> image(frames * size);
    for (double& value : image) value = random.normal();
    std::vector<std::vector<double>> given(T);
    for (std::size_t t = 0; t < T; ++t) {
      const auto first = image.begin() + static_cast<std::ptrdiff_t>(frames == 1 ? 0 : t * size);
      given[t].assign(first, first + static_cast<std::ptrdiff_t>(size));
    }
    const test::nir_run run = reference.run(given);

    std::size_t layers = 0;
    const auto logits = net.evaluate(image, [&]<class Module, class In>(const observation<Module, In, double>& seen) {
      if constexpr (requires { typename Module::dynamics; }) {
        using Signal = typename Module::output;
        const std::string& name = seen.name;
        INFO(name);
        REQUIRE(run.margins.contains(name));
        ++layers;
        constexpr std::size_t C = Signal::channels, pixels = Signal::size / C;
        std::size_t different = 0, near = 0;
        for (std::size_t t = 0; t < Signal::steps; ++t)
          for (std::size_t c = 0; c < C; ++c)
            for (std::size_t p = 0; p < pixels; ++p) {
              const double mine = seen.output.data[t * Signal::size + p * C + c];
              near += std::abs(run.margins.at(name)[t][c * pixels + p]) < 1e-5;
              different += mine != run.outputs.at(name)[t][c * pixels + p];
              spikes += mine > 0;
            }
        CHECK(near == 0);  // the images are such that no rounding of weights to single precision matters
        CHECK(different == 0);
      }
    });
    CHECK(layers == run.margins.size());
    for (std::size_t k = 0; k < Network::classes; ++k) {
      double mean = 0;
      for (std::size_t t = 0; t < T; ++t) mean += run.outputs.at("output")[t][k] / T;
      CHECK(logits[k] == Approx(mean).margin(1e-5));
    }
  }
  return spikes;
}

}  // namespace

TEST_CASE("an exported network has the same spikes and logits: residual blocks, pooling, linear layers", "[nir]") {
  using net_t = network<
      cpu<double>, timesteps<3>, image<2, 6, 6>, named<"conv1", conv2d<4, 3>>, named<"bn1", tdbn<>>,
      named<"spike", lif<>>, named<"layer1", sequence<basic_block<4>, basic_block<4, stride<2>, normalised_shortcut>>>,
      basic_block<4, normalised_shortcut>, avg_pool2d<2, stride<1>>, conv2d<4, 1, with_bias>, lif<>,
      named<"gap", global_avg_pool>, named<"fc1", linear<5>>, named<"fc1.spike", lif<>>, named<"fc2", linear<3>>>;
  net_t net{seed{3}, {.threshold = 0.4, .decay = 0.3}};
  stir(net, 5);
  CHECK(check_export(net, 1e-4, 4) > 100);

  const nir::graph g = nir::to_graph(net, 1e-4);
  CHECK(g.nodes.contains("layer1.0.conv2"));
  CHECK(g.nodes.contains("layer1.1.downsample.0"));
  CHECK(std::get<nir::leaky_integrate_and_fire>(g.nodes.at("layer1.0.spike2")).tau[0] == 1e-4 / 0.7);
  const nir::analysis a = nir::analyse(g);
  CHECK(a.into.at("layer1.0.spike2") == std::vector<std::string>{"layer1.0.conv2", "spike"});
}

TEST_CASE("an exported network has the same spikes and logits: frames, groups, sums of vectors, neurons without leak",
          "[nir]") {
  using net_t =
      network<cpu<double>, timesteps<3>, frames<2, 4, 4>, conv2d<4, 3, groups<2>, with_bias>, lif<>, flatten, lif<>,
              linear<6>, tdbn<>, lif<>,
              residual<sequence<linear<6, without_bias>, tdbn<2>, lif<>, linear<6, without_bias>>, identity, lif<>>,
              residual<sequence<lif<>>, identity, sequence<tdbn<>, lif<>>>, linear<3>, lif<>>;
  net_t net{seed{4}, {.threshold = 0.5, .decay = 1}};
  stir(net, 6);
  CHECK(check_export(net, 2e-3, 4) > 100);
  CHECK(std::get<nir::integrate_and_fire>(nir::to_graph(net, 2e-3).nodes.at("1")).r[0] == 500);
}

TEST_CASE("what NIR cannot say is not exported", "[nir]") {
  network<cpu<float>, timesteps<2>, image<1, 2, 2>, flatten, linear<2>, named<"spike", lif<soft_reset>>> soft{seed{1}};
  CHECK_THROWS_MATCHES(nir::to_graph(soft), argument_error, says("\"spike\"") && says("resets by subtraction"));
  network<cpu<float>, timesteps<2>, image<1, 2, 2>, flatten, linear<2>, lif<>> hard{seed{1}};
  CHECK_THROWS_MATCHES(nir::to_graph(hard, 0), argument_error, says("dt must be positive"));
}
