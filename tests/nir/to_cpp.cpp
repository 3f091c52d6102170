// What spikenet-nir to-cpp writes and refuses. That it compiles, and to the network that was meant, generated.cpp
// tests.
#include <spikenet/nir/to_cpp.hpp>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace {

using namespace spikenet;

nir::array filled(nir::extents shape, double value) { return nir::array::filled(std::move(shape), value); }

nir::node neurons(const nir::extents& shape, double decay, double gain = 1, double threshold = 1, double v_leak = 0) {
  const double tau = 1e-4 / (1 - decay);
  return nir::leaky_integrate_and_fire{filled(shape, tau), filled(shape, gain * tau / 1e-4), filled(shape, v_leak),
                                       filled(shape, threshold), filled(shape, 0)};
}

// Input, these in a row, Output.
nir::graph chain(nir::extents in, std::vector<nir::node> nodes, nir::extents out) {
  nir::graph g;
  nodes.insert(nodes.begin(), nir::input{std::move(in)});
  nodes.push_back(nir::output{std::move(out)});
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    g.nodes.emplace("n" + std::to_string(i), nodes[i]);
    if (i > 0) g.edges.emplace_back("n" + std::to_string(i - 1), "n" + std::to_string(i));
  }
  return g;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void check_refused(const nir::graph& g, const std::string& what) {
  CHECK_THROWS_MATCHES(nir::to_cpp(g), argument_error, says(what));
}

}  // namespace

TEST_CASE("a graph becomes a list of layers", "[nir]") {
  nir::avg_pool2d mean;
  mean.kernel_size = mean.stride = {2, 2};
  const nir::graph g = chain({1, 4, 4},
                             {nir::conv2d{{}, filled({2, 1, 3, 3}, 0.5), {1, 1}, {1, 1}, {1, 1}, 1, filled({2}, 0.25)},
                              neurons({2, 4, 4}, 0.75), mean, nir::sum_pool2d{{2, 2}, {1, 1}, {0, 0}},
                              nir::flatten{{}, 0, -1}, nir::linear{filled({3, 2}, 1)}, neurons({3}, 0.75)},
                             {3});
  const std::string text = nir::to_cpp(g, {.timesteps = 4, .name_space = "digits", .source = "x.nir"});
  CHECK(contains(text, "namespace digits {"));
  CHECK(contains(text, ".threshold = 1, .decay = 0.75}"));
  CHECK(contains(text, "std::size_t Timesteps = 4"));
  CHECK(contains(text, "spikenet::frames<1, 4, 4>"));
  CHECK(contains(text, "named<\"n1\", spikenet::conv2d<2, 3, spikenet::padding<1>, spikenet::with_bias>>"));
  CHECK(contains(text, "named<\"n3\", spikenet::avg_pool2d<2, spikenet::stride<2>>>"));
  CHECK(contains(
      text, "named<\"n4\", spikenet::conv2d<2, 2, spikenet::padding<0>, spikenet::stride<1>, spikenet::groups<2>>>"));
  CHECK(contains(text, "spikenet::flatten"));
  CHECK(contains(text, "named<\"n6\", spikenet::linear<3>>"));
  CHECK(contains(text, "tensor0[]{0.5f, 0.5f,"));
  CHECK(contains(text, "tensor1[]{0.25f, 0.25f};"));
  CHECK(contains(nir::to_cpp(g, {.same_input = true}), "spikenet::image<1, 4, 4>"));
  CHECK_THROWS_MATCHES(nir::to_cpp(g, {.name_space = "a b"}), argument_error,
                       says("\"a b\" is no name for a namespace"));
}

TEST_CASE("thresholds, gains and leaks of neurons go into the weights before them", "[nir]") {
  // u = (1 / 4) v: weights 2 gain 3, that is 6 / 4; shift (1 - 0.75) v_leak / 4 and the bias 1 * 3 / 4
  const nir::graph g = chain({2},
                             {nir::linear{filled({3, 2}, 1)}, neurons({3}, 0.75),
                              nir::affine{filled({1, 3}, 2), filled({1}, 1)}, neurons({1}, 0.75, 3, 4, 8)},
                             {1});
  const std::string text = nir::to_cpp(g);
  CHECK(contains(text, "tensor2[]{1.5f, 1.5f, 1.5f};"));
  CHECK(contains(text, "tensor3[]{1.25f};"));

  // Where something else is before them, they take a layer of their own.
  nir::graph direct =
      chain({2, 3, 3}, {neurons({2, 3, 3}, 0.5), neurons({2, 3, 3}, 0.5, 1, 2), nir::flatten{{}, 0, 2}}, {18});
  CHECK(contains(nir::to_cpp(direct),
                 "named<\"n2.scale\", spikenet::conv2d<2, 1, spikenet::groups<2>, spikenet::with_bias>>"));
  auto& lif = std::get<nir::leaky_integrate_and_fire>(direct.nodes.at("n2"));
  lif.v_threshold.values[1] = 3;
  check_refused(direct, "node \"n2\" has neurons that differ within a channel");
}

TEST_CASE("paths that part and meet become a residual block", "[nir]") {
  nir::graph g = chain({2},
                       {nir::linear{filled({2, 2}, 1)}, neurons({2}, 0.5), nir::linear{filled({2, 2}, 2)},
                        neurons({2}, 0.5), nir::linear{filled({2, 2}, 3)}, neurons({2}, 0.5)},
                       {2});
  g.edges.emplace_back("n2", "n6");
  CHECK(contains(
      nir::to_cpp(g),
      "spikenet::residual<spikenet::sequence<spikenet::named<\"n3\", spikenet::linear<2>>,\n                          "
      "spikenet::named<\"n4\", spikenet::lif<>>,\n                          spikenet::named<\"n5\", "
      "spikenet::linear<2>>>,\n"
      "                       spikenet::identity, spikenet::sequence<spikenet::named<\"n6\", "));
  g.edges.emplace_back("n1", "n4");
  check_refused(g, "do not meet in one node of two inputs");
}

TEST_CASE("every node's layer has a name of its own", "[nir]") {
  // A chain of neurons with these names.
  const auto named = [](const std::vector<std::string>& names) {
    nir::graph g;
    g.nodes.emplace("in", nir::input{{2}});
    std::string last = "in";
    for (const std::string& name : names) {
      g.nodes.emplace(name, neurons({2}, 0.5));
      g.edges.emplace_back(last, name);
      last = name;
    }
    g.nodes.emplace("out", nir::output{{2}});
    g.edges.emplace_back(last, "out");
    return nir::to_cpp(g);
  };
  const auto layer = [](const std::string& name) { return "spikenet::named<\"" + name + "\", spikenet::lif<>>"; };
  std::string text = named({"fc 1", "fc_1", "fc\t1", "fc_1_", "layer1.0-a", "\xc3\xa9", "\"\\\n"});
  for (const char* name : {"fc_1__", "fc_1", "fc_1___", "fc_1_", "layer1.0-a", "__", "___"})
    CHECK(contains(text, layer(name)));

  // Names that a network gives itself: indices, parts of a residual block, and what to_cpp adds.
  text = named({"0", "1", "2"});
  CHECK(contains(text, "spikenet::named<\"in\", spikenet::flatten>"));
  for (const char* name : {"0", "1", "2"}) CHECK(contains(text, layer(name)));
  text = named({"shortcut", "join.x", "joint"});
  for (const char* name : {"shortcut_", "join_.x", "joint"}) CHECK(contains(text, layer(name)));
  nir::graph g = chain({2}, {neurons({2}, 0.5), neurons({2}, 0.5, 2), neurons({2}, 0.5)}, {2});
  CHECK(contains(nir::to_cpp(g), "named<\"n2.scale\", "));
  g.nodes.emplace("n2.scale", g.nodes.at("n3"));
  g.nodes.erase("n3");
  g.edges = {{"n0", "n1"}, {"n1", "n2"}, {"n2", "n2.scale"}, {"n2.scale", "n4"}};
  CHECK(contains(nir::to_cpp(g), "named<\"n2.scale_\", "));
  CHECK(contains(nir::to_cpp(g), layer("n2.scale")));

  g = nir::graph{};
  for (const char* name : {"block1.a", "block2", "a", "b", "c", "d"}) g.nodes.emplace(name, neurons({2}, 0.5));
  g.nodes.emplace("in", nir::input{{2}});
  g.nodes.emplace("out", nir::output{{2}});
  g.edges = {{"in", "block1.a"}, {"block1.a", "block2"},
             {"block2", "a"},    {"a", "b"},
             {"block2", "b"},    {"b", "c"},
             {"c", "d"},         {"b", "d"},
             {"d", "out"}};
  text = nir::to_cpp(g);
  CHECK(contains(text, "named<\"block3\", spikenet::residual<"));
  CHECK(contains(text, "named<\"block4\", spikenet::residual<"));
}

TEST_CASE("a namespace's name must be one", "[nir]") {
  const nir::graph g = chain({2}, {neurons({2}, 0.5)}, {2});
  for (const char* name : {"a", "Class", "ints", "model_2", "network", "values", "stdx", "import", "co"})
    CHECK(contains(nir::to_cpp(g, {.name_space = name}), std::string("namespace ") + name + " {"));
  for (const char* name : {"",   "a b", "a::b", "2a",  "class", "int",   "and",  "xor_eq",   "co_await", "char8_t",
                           "_a", "_A",  "a__b", "std", "std2",  "posix", "main", "spikenet", "linux",    "\xc3\xa9"})
    CHECK_THROWS_MATCHES(nir::to_cpp(g, {.name_space = name}), argument_error,
                         says(std::string("\"") + name + "\" is no name for a namespace: letters"));
}

TEST_CASE("what a network of this library cannot do is refused", "[nir]") {
  const nir::node linear = nir::linear{filled({2, 2}, 1)};
  check_refused(chain({2}, {linear}, {2}), "there are no neurons that fire");
  // What is known of a node comes first, whatever the others lack.
  const nir::array single = filled({}, 1);
  check_refused(chain({2},
                      {linear, nir::current_based_leaky_integrate_and_fire{single, single, single, single, single,
                                                                           single, single}},
                      {2}),
                "node \"n2\" is of type CubaLIF, which no layer of this library does");
  check_refused(chain({2}, {linear, nir::threshold{single}}, {2}), "node \"n2\" is of type Threshold");
  check_refused(
      chain({2}, {linear, neurons({2}, 0.5), linear, neurons({2}, 0.25)}, {2}),
      "node \"n4\" has neurons that keep 0.25 of their potential from one timestep to the next, where others keep 0.5");
  nir::node other = neurons({2}, 0.5);
  std::get<nir::leaky_integrate_and_fire>(other).tau.values[1] = 1;
  check_refused(chain({2}, {linear, other}, {2}), "node \"n2\" has neurons of different tau");
  other = neurons({2}, 0.5);
  std::get<nir::leaky_integrate_and_fire>(other).v_reset.values[1] = 0.5;
  check_refused(chain({2}, {linear, other}, {2}), "node \"n2\" has neurons that are reset to another potential than 0");
  check_refused(chain({2}, {linear, neurons({2}, 0.5, 1, -1)}, {2}), "v_threshold that is not positive");
  other = neurons({2}, 0.5);
  std::get<nir::leaky_integrate_and_fire>(other).tau = filled({2}, 5e-5);
  check_refused(chain({2}, {linear, other}, {2}), "shorter than the timestep dt");
  check_refused(
      chain({2}, {neurons({2}, 0.5), nir::leaky_integrator{filled({2}, 1), filled({2}, 1), filled({2}, 0)}}, {2}),
      "node \"n2\" is of type LI, which no layer of this library does");
  const nir::array one = filled({2}, 1);
  check_refused(
      chain({2}, {neurons({2}, 0.5), nir::current_based_leaky_integrate_and_fire{one, one, one, one, one, one, one}},
            {2}),
      "node \"n2\" is of type CubaLIF");
  check_refused(chain({1, 4, 4},
                      {nir::conv2d{{}, filled({2, 1, 3, 1}, 1), {1, 1}, {0, 0}, {1, 1}, 1, filled({2}, 0)},
                       neurons({2, 2, 4}, 0.5), nir::flatten{{}, 0, 2}},
                      {16}),
                "node \"n1\" has a kernel, stride, padding or dilation that differs between height and width");
  check_refused(chain({1, 4, 4}, {neurons({1, 4, 4}, 0.5)}, {1, 4, 4}), "one value for each class");
  nir::graph two = chain({2}, {linear, neurons({2}, 0.5)}, {2});
  two.nodes.emplace("p", nir::output{{2}});
  two.edges.emplace_back("n1", "p");
  check_refused(two, "\"p\" is a second Output");
  nir::graph beyond = chain({2}, {linear, neurons({2}, 0.5)}, {2});
  beyond.nodes.emplace("p", linear);
  beyond.edges.emplace_back("n3", "p");
  check_refused(beyond, "node \"n3\" is an Output, but an edge leads out of it");
}
