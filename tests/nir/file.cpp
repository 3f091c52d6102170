#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <spikenet/nir/file.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "nir/hdf5_builder.hpp"
#include "nir/reference.hpp"
#include "spikenet/io/safetensors.hpp"
#include "unit/scratch.hpp"

namespace {

using namespace spikenet;
namespace fs = std::filesystem;
using test::hdf5_builder;

nir::array ones(nir::extents shape) { return nir::array::filled(std::move(shape), 1); }

// One node of each type.
nir::graph one_of_each() {
  nir::graph g;
  std::string last;
  const auto add = [&](const std::string& name, nir::node n) {
    g.nodes.emplace(name, std::move(n));
    if (!last.empty()) g.edges.emplace_back(last, name);
    last = name;
  };
  const nir::array map = nir::array::filled({2, 4, 4}, 0.1, nir::precision::f64), vector = ones({3});
  add("in", nir::input{{1, 8, 8}});
  add("conv", nir::conv2d{{8, 8}, ones({2, 1, 3, 3}), {1, 1}, {1, 1}, {1, 1}, 1, ones({2})});
  add("sum pool", nir::sum_pool2d{{2, 2}, {2, 2}, {0, 0}});
  add("i", nir::integrator{map});
  add("if", nir::integrate_and_fire{map, map, map});
  add("lif", nir::leaky_integrate_and_fire{map, map, map, map, map});
  add("li", nir::leaky_integrator{map, map, map});
  add("cuba-lif", nir::current_based_leaky_integrate_and_fire{map, map, map, map, map, map, map});
  add("cuba-li", nir::current_based_leaky_integrator{map, map, map, map, map});
  add("threshold", nir::threshold{map});
  add("delay", nir::delay{map});
  nir::avg_pool2d average;
  average.kernel_size = {4, 4}, average.padding = {1, 0}, average.stride = {3, 1};
  add("avg pool", average);
  add("flatten", nir::flatten{{2, 1, 1}, 0, -1});
  add("linear", nir::linear{ones({3, 2})});
  add("scale", nir::scale{vector});
  add("affine", nir::affine{ones({4, 3}), ones({4})});
  add("out", nir::output{{4}});
  return g;
}

bool same(const nir::graph& a, const nir::graph& b) {
  if (a.edges != b.edges || a.nodes.size() != b.nodes.size()) return false;
  for (const auto& [name, n] : a.nodes) {
    if (!b.nodes.contains(name) || n.index() != b.nodes.at(name).index()) return false;
    std::vector<const void*> fields;
    std::visit(
        [&]<class Node>(const Node& v) {
          Node::fields(v, [&](const char*, const auto& value, bool) { fields.push_back(&value); });
        },
        n);
    std::size_t i = 0;
    bool equal = true;
    std::visit(
        [&]<class Node>(const Node& v) {
          Node::fields(v, [&]<class Field>(const char*, const Field& value, bool) {
            equal = equal && *static_cast<const Field*>(fields[i++]) == value;
          });
        },
        b.nodes.at(name));
    if (!equal) return false;
  }
  return true;
}

// Three nodes, as lines for the builder.
const std::string small =
    "s version 1\ng node\ns node/type NIRGraph\ng node/nodes\n"
    "g node/nodes/a\ns node/nodes/a/type Input\ni node/nodes/a/shape 1 = 3\n"
    "g node/nodes/b\ns node/nodes/b/type Linear\nf node/nodes/b/weight 2,3 = 1\n"
    "g node/nodes/c\ns node/nodes/c/type Output\ni node/nodes/c/shape 1 = 2\n"
    "e node/edges a b b c\n";

void check_refused(std::span<const std::byte> content, const std::string& what, const nir::read_limits& limits = {}) {
  INFO(what);
  CHECK_THROWS_MATCHES(nir::parse(content, "model.nir", limits), file_error, says("model.nir: ") && says(what));
}
// The small graph after these lines.
void check_refused(const std::string& lines, const std::string& what, const nir::read_limits& limits = {}) {
  check_refused(hdf5_builder::build(small + lines), what, limits);
}

}  // namespace

TEST_CASE("a graph of all kinds of nodes is the same after writing and reading", "[nir]") {
  const nir::graph g = one_of_each();
  const fs::path path = test::scratch("nir") / "model.nir";
  nir::write(path, g);
  CHECK(same(nir::read(path), g));
  CHECK(nir::bytes(g) == nir::bytes(nir::read(path)));

  const nir::analysis a = nir::analyse(g);
  CHECK(a.order.front() == "in");
  CHECK(a.order.back() == "out");
  CHECK(a.shapes.at("sum pool") == nir::extents{2, 4, 4});
  CHECK(a.shapes.at("avg pool") == nir::extents{2, 1, 1});
  CHECK(a.shapes.at("flatten") == nir::extents{2});
}

TEST_CASE("what may be left out or written in another way is read", "[nir]") {
  const std::string lines =
      "r node/nodes/c\nr node/nodes/a/shape\nb node/nodes/a/shape 4 = 1 3 1 1\nr node/nodes/b\nr node/edges\n"
      "g node/nodes/b\nS node/nodes/b/type Conv2d\nd node/nodes/b/weight 2,3,1,3 = 0.5\ni node/nodes/b/stride = 1\n"
      "s node/nodes/b/padding same\nb node/nodes/b/dilation 1 = 1\ni node/nodes/b/groups = 1\nf node/nodes/b/bias 2 = "
      "0\n"
      "g node/nodes/b/metadata\n"
      "g node/nodes/l\ns node/nodes/l/type LIF\nf node/nodes/l/tau = 0.5\nf node/nodes/l/r 1 = 2\nf "
      "node/nodes/l/v_leak = 0\n"
      "f node/nodes/l/v_threshold 2,1,1 = 3\n"
      "g node/nodes/c\ns node/nodes/c/type Output\ni node/nodes/c/shape 3 = 2 1 1\nE node/edges a b b l l c\n";
  const nir::graph g = nir::parse(hdf5_builder::build(small + lines), "model.nir");
  CHECK(std::get<nir::input>(g.nodes.at("a")).shape == nir::extents{3, 1, 1});
  const auto& conv = std::get<nir::conv2d>(g.nodes.at("b"));
  CHECK(conv.padding == nir::pair{0, 1});
  CHECK(conv.stride == nir::pair{1, 1});
  CHECK(conv.weight.stored == nir::precision::f64);
  const auto& lif = std::get<nir::leaky_integrate_and_fire>(g.nodes.at("l"));
  CHECK(lif.v_reset == nir::array::filled({2, 1, 1}, 0));
  CHECK(lif.tau[1] == 0.5);
}

TEST_CASE("content that is no HDF5 or only a part of it is refused", "[nir]") {
  check_refused(std::vector<std::byte>{}, "model.nir: is empty.");
  check_refused(std::vector<std::byte>(4096, std::byte{'x'}),
                "is not an HDF5 file, or is truncated; HDF5 says \"file signature not found\".");
  const auto whole = nir::bytes(one_of_each());
  for (const std::size_t part : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{8}})
    check_refused(std::span(whole).first(part), "is not an HDF5 file, or is truncated; HDF5 says \"");
  check_refused(std::span(whole).first(whole.size() - 1), "HDF5 says \"truncated file: eof = ");
  CHECK_THROWS_MATCHES(nir::read("/no/such.nir"), file_error,
                       says("/no/such.nir: cannot be opened: No such file or directory."));
  CHECK_THROWS_MATCHES(nir::read(test::scratch("nir_directory")), file_error, says("is not a regular file."));
}

TEST_CASE("HDF5's reason is passed on", "[nir]") {
  const auto content = hdf5_builder::build(small + "r node/nodes/b/weight\nu node/nodes/b/weight 2,3 = 1\n");
  check_refused(content,
                "node \"b\": \"weight\" cannot be read; HDF5 says \"required filter 'unknown' is not registered\"");

  // Damaged values behind an intact header.
  std::vector<std::byte> damaged =
      hdf5_builder::build(small + "r node/nodes/b/weight\nz node/nodes/b/weight 2,3 = 7\n");
  const std::string begin = "\x78\xda";  // zlib's
  const auto* const raw = reinterpret_cast<const std::byte*>(begin.data());
  const auto found = std::search(damaged.begin(), damaged.end(), raw, raw + begin.size());
  REQUIRE(found != damaged.end());
  std::fill_n(found, 4, std::byte{0xff});
  check_refused(damaged, "node \"b\": \"weight\" cannot be read; HDF5 says \"inflate() failed\"");
}

TEST_CASE("LZF is decompressed", "[nir]") {
  const auto decompressed = [](const std::vector<std::uint8_t>& from) {
    std::vector<std::uint8_t> to(nir::detail::decompress_lzf(from));
    CHECK(nir::detail::decompress_lzf(from, to.data()) == to.size());
    return std::string(to.begin(), to.end());
  };
  CHECK(decompressed({2, 'a', 'b', 'c'}) == "abc");
  CHECK(decompressed({0, 'a', 0, 'b'}) == "ab");
  CHECK(decompressed({1, 'a', 'b', 1 << 5, 1, 0, 'c'}) == "ababac");
  CHECK(decompressed({0, 'x', 7 << 5, 11, 0}) == std::string(21, 'x'));
  std::vector<std::uint8_t> far;  // 32 of each letter, then three from 8192 bytes before
  for (int i = 0; i < 256; ++i) {
    far.push_back(31);
    far.insert(far.end(), 32, static_cast<std::uint8_t>(i));
  }
  far.insert(far.end(), {(1 << 5) + 31, 255});
  CHECK(decompressed(far).substr(8192) == std::string(3, '\0'));
  far.back() = 254;
  far.push_back((1 << 5) + 31), far.push_back(255);
  CHECK(decompressed(far).size() == 8192 + 6);

  for (const std::vector<std::uint8_t>& damaged : {std::vector<std::uint8_t>{},
                                                   {0},
                                                   {2, 'a', 'b'},
                                                   {1 << 5, 0},
                                                   {0, 'a', 1 << 5},
                                                   {0, 'a', 1 << 5, 1},
                                                   {0, 'a', 7 << 5},
                                                   {0, 'a', 7 << 5, 3},
                                                   {0, 'a', (1 << 5) + 1, 0}})
    CHECK(nir::detail::decompress_lzf(damaged) == 0);
}

TEST_CASE("a graph that the package nir has compressed with LZF is read", "[nir]") {
  const fs::path data = SPIKENET_NIR_DATA;
  const nir::graph g = nir::read(data / "lzf.nir");
  const auto& lif = std::get<nir::leaky_integrate_and_fire>(g.nodes.at("1"));
  CHECK(lif.tau == nir::array::filled({30}, lif.tau.values[0]));
  CHECK(lif.tau.values[0] == Approx(2e-4));
  CHECK(std::get<nir::affine>(g.nodes.at("0")).weight.shape == nir::extents{30, 40});

  // A damaged chunk stays as it is, and HDF5 is told.
  std::size_t size = 2;
  void* chunk = H5allocate_memory(size, true);
  static_cast<unsigned char*>(chunk)[0] = 9;
  void* const before = chunk;
  CHECK(nir::detail::lzf_filter(H5Z_FLAG_REVERSE, 0, nullptr, 2, &size, &chunk) == 0);
  CHECK((chunk == before && size == 2));
  H5free_memory(chunk);
}

TEST_CASE("a file of another structure is refused", "[nir]") {
  check_refused(hdf5_builder::build("g other\n"), "/: there is no \"node\"");
  check_refused("r node/type\ns node/type Tensor\n", "/node is of type \"Tensor\"");
  check_refused("r node/nodes\n", "/node: there is no \"nodes\"");
  check_refused("r node/nodes\ns node/nodes x\n", "\"nodes\" is not a group");
  check_refused("r node/edges\n", "there is no \"edges\"");
  check_refused("r node/edges\nf node/edges 2,2 = 1\n", "\"edges\" is not a string");
  check_refused("r node/nodes/b/type\n", "node \"b\": there is no \"type\"");
  check_refused("r node/nodes/b/type\nf node/nodes/b/type = 1\n", "\"type\" is not a string");
  check_refused("r node/nodes/b/type\ns node/nodes/b/type Synapse\n", "node \"b\" is of the unknown type \"Synapse\"");
  check_refused("r node/nodes/b/type\ns node/nodes/b/type Conv1d\n",
                "node \"b\" is of type \"Conv1d\", which NIR has, but this library does not support");
  check_refused("r node/nodes/b/type\ns node/nodes/b/type NIRGraph\n", "graphs in graphs are not supported");
  check_refused("r node/nodes/b/weight\n", "node \"b\": there is no \"weight\"");
  check_refused("r node/nodes/b/weight\ns node/nodes/b/weight x\n", "\"weight\" is not numbers");
  check_refused("r node/nodes/b/weight\ng node/nodes/b/weight\n", "\"weight\" is not a data set");
  check_refused("f node/nodes/b/bias 2 = 1\n", "nodes of type \"Linear\" have no \"bias\"");
  check_refused("r node/nodes/a/shape\ni node/nodes/a/shape 1 = -3\n", "\"shape\" is -3");
  check_refused("r node/nodes/a/shape\nf node/nodes/a/shape 1 = 3\n", "\"shape\" is not a few whole numbers");
  check_refused("r node/nodes/b/weight\nl node/nodes/b/weight /version\n", "\"weight\" is a link to elsewhere");
  check_refused("r node/nodes\nx node/nodes other.nir\n", "\"nodes\" is a link to elsewhere");
}

TEST_CASE("a graph that makes no sense is refused", "[nir]") {
  check_refused("r node/edges\ne node/edges a b b c b d\n", "the edge from \"b\" to \"d\": there is no node \"d\"");
  check_refused("r node/edges\ne node/edges a b a b b c\n", "the edge from \"a\" to \"b\" is there twice");
  check_refused("r node/edges\ne node/edges a b\n", "node \"c\" has no input");
  check_refused("r node/edges\ne node/edges a b b c b a\n", "node \"a\" is an Input, but an edge leads into it");
  check_refused("r node/nodes/c\nr node/edges\ne node/edges a b\n", "there is no Input or no Output");
  const std::string loop = "g node/nodes/d\ns node/nodes/d/type Linear\nf node/nodes/d/weight 3,2 = 1\nr node/edges\n";
  check_refused(loop + "e node/edges a b b d d b b c\n", "node \"b\" is part of a cycle");
  check_refused(loop + "e node/edges a b b d d d b c\n", "node \"d\" is part of a cycle");
  check_refused("r node/nodes/a/shape\ni node/nodes/a/shape 1 = 4\n",
                "node \"b\" has a weight of shape [2, 3], but is given [4]");
  check_refused("r node/nodes/c/shape\ni node/nodes/c/shape 1 = 3\n", "says that it has shape [3], but is given [2]");
  check_refused("r node/nodes/b/weight\nf node/nodes/b/weight 6 = 1\n", "has a weight of shape [6], not [out, in]");
  check_refused("r node/edges\ne node/edges a b a c b c\n", "node \"c\" is given [3] by \"a\", but [2] by \"b\"");

  nir::graph g = one_of_each();
  std::get<nir::linear>(g.nodes.at("linear")).weight.values[1] = std::nan("");
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error,
                       says("node \"linear\" has a weight with a value that is not finite"));
  g = one_of_each();
  nir::array& weight = std::get<nir::linear>(g.nodes.at("linear")).weight;
  weight.values[1] = 1e39;
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("not finite in the precision it is stored in"));
  weight.stored = nir::precision::f64;
  CHECK_NOTHROW(nir::bytes(g));
  g = one_of_each();
  std::get<nir::conv2d>(g.nodes.at("conv")).weight = ones({2, 1, 11, 3});
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("window of 11, larger than its input of 8 with padding 1"));
  g = one_of_each();
  std::get<nir::conv2d>(g.nodes.at("conv")).groups = 2;
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("in 2 groups, but is given [1, 8, 8]"));
  g = one_of_each();
  std::get<nir::flatten>(g.nodes.at("flatten")).start_dim = 3;
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("flattens dimensions 3 to -1 of [2, 1, 1]"));
  g = one_of_each();
  std::get<nir::leaky_integrate_and_fire>(g.nodes.at("lif")).tau = ones({4, 4});
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("has a tau of shape [4, 4], but is given [2, 4, 4]"));
  g = one_of_each();
  g.nodes.emplace("a/b", nir::output{{4}});
  g.edges.emplace_back("affine", "a/b");
  CHECK_THROWS_MATCHES(nir::bytes(g), argument_error, says("\"a/b\" has a name that HDF5 does not allow"));
}

TEST_CASE("absurd sizes are refused before memory is taken for them", "[nir]") {
  const std::string no_weight = "r node/nodes/b/weight\n";
  check_refused(no_weight + "h node/nodes/b/weight 4000000000,4000000000\n", "beyond the limit of 134217728 values");
  check_refused(no_weight + "h node/nodes/b/weight 10000,10000\n", "has 100000000 values, more than the file can hold");
  check_refused(no_weight + "h node/nodes/b/weight 0,3\n", "\"weight\" is empty");
  check_refused("", "beyond the limit of 5 values", {.values = 5});
  check_refused("", "has 3 entries, more than 2", {.nodes = 2});
  check_refused("", "more than 1 edges", {.edges = 1});
}

// The networks of tests/interop/nir_frameworks.py, as snnTorch and Norse have exported them, with the spikes that these
// have had.
TEST_CASE("graphs that other frameworks have written have the spikes that they had there", "[nir]") {
  const auto [name, dt, threshold] =
      GENERATE(table<std::string, double, double>({{"snntorch", 1e-4, 1e-5}, {"norse", 1e-6, 1e-5}}));
  const nir::graph g = nir::read(fs::path(SPIKENET_NIR_DATA) / (name + ".nir"));
  const auto expected = safetensors_file::read(fs::path(SPIKENET_NIR_DATA) / (name + ".safetensors"));
  const std::vector<float> values = expected.values<float>("frames");
  const std::size_t steps = expected.at("frames").shape[0], size = values.size() / steps;
  std::vector<std::vector<double>> frames;
  for (std::size_t t = 0; t < steps; ++t) frames.emplace_back(values.data() + t * size, values.data() + (t + 1) * size);
  const test::nir_run run = test::nir_reference(g, dt).run(frames);
  CHECK(run.margins.size() + 1 == expected.tensors().size());
  for (const auto& [layer, margins] : run.margins) {
    INFO(name << " " << layer);
    const std::vector<float> spikes = expected.values<float>("spikes." + layer);
    const auto& outputs = run.outputs.at(layer);
    REQUIRE(spikes.size() == steps * outputs[0].size());
    std::size_t different = 0, near = 0, fired = 0;
    for (std::size_t i = 0; i < spikes.size(); ++i) {
      const std::size_t t = i / outputs[0].size(), k = i % outputs[0].size();
      different += spikes[i] != static_cast<float>(outputs[t][k]);
      near += std::abs(margins[t][k]) < threshold;
      fired += spikes[i] > 0;
    }
    CHECK(different == 0);
    CHECK(near == 0);
    CHECK(fired > 0);
  }
}
