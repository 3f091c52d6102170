#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <spikenet/io/import.hpp>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

#include "catch.hpp"
#include "unit/scratch.hpp"

namespace {

namespace fs = std::filesystem;
using namespace spikenet;
using test::scratch;
using shape_t = std::vector<std::size_t>;

constexpr double threshold = 0.4;
using net_t =
    network<cpu<double>, timesteps<2>, image<1, 4, 4>, named<"conv1", conv2d<2, 3>>, named<"bn1", tdbn<>>, lif<>,
            named<"layer1", sequence<basic_block<3, stride<2>>>>, global_avg_pool, named<"fc1", linear<2>>>;

net_t make_net() { return net_t{seed{1}, {.threshold = threshold}}; }

// Every tensor of that network, and how the others write it down.
struct row {
  std::string name;
  shape_t shape;
  std::vector<std::string> stbp_simple;
  double alpha = 0;  // of tdBN's weights
};
const double half = 1 / std::sqrt(2.0);
const std::vector<row> rows{
    {"conv1.weight", {2, 1, 3, 3}, {"conv1.weight", "conv1_s.layer.weight"}},
    {"bn1.weight", {2}, {"bn1.weight", "conv1_s.bn.weight"}, 1},
    {"bn1.bias", {2}, {"bn1.bias", "conv1_s.bn.bias"}},
    {"bn1.running_mean", {2}, {"bn1.running_mean", "conv1_s.bn.running_mean"}},
    {"bn1.running_var", {2}, {"bn1.running_var", "conv1_s.bn.running_var"}},
    {"layer1.0.conv1.weight", {3, 2, 3, 3}, {"layer1.0.conv1.weight", "layer1.0.conv1_s.layer.weight"}},
    {"layer1.0.bn1.weight", {3}, {"layer1.0.bn1.weight", "layer1.0.conv1_s.bn.weight"}, 1},
    {"layer1.0.bn1.bias", {3}, {"layer1.0.bn1.bias", "layer1.0.conv1_s.bn.bias"}},
    {"layer1.0.bn1.running_mean", {3}, {"layer1.0.bn1.running_mean", "layer1.0.conv1_s.bn.running_mean"}},
    {"layer1.0.bn1.running_var", {3}, {"layer1.0.bn1.running_var", "layer1.0.conv1_s.bn.running_var"}},
    {"layer1.0.conv2.weight", {3, 3, 3, 3}, {"layer1.0.conv2.weight", "layer1.0.conv2_s.layer.weight"}},
    {"layer1.0.bn2.weight", {3}, {"layer1.0.bn2.weight", "layer1.0.conv2_s.bn.weight"}, half},
    {"layer1.0.bn2.bias", {3}, {"layer1.0.bn2.bias", "layer1.0.conv2_s.bn.bias"}},
    {"layer1.0.bn2.running_mean", {3}, {"layer1.0.bn2.running_mean", "layer1.0.conv2_s.bn.running_mean"}},
    {"layer1.0.bn2.running_var", {3}, {"layer1.0.bn2.running_var", "layer1.0.conv2_s.bn.running_var"}},
    {"layer1.0.downsample.0.weight", {3, 2, 1, 1}, {"layer1.0.downsample.layer.weight"}},
    {"layer1.0.downsample.1.weight", {3}, {"layer1.0.downsample.bn.weight"}, half},
    {"layer1.0.downsample.1.bias", {3}, {"layer1.0.downsample.bn.bias"}},
    {"layer1.0.downsample.1.running_mean", {3}, {"layer1.0.downsample.bn.running_mean"}},
    {"layer1.0.downsample.1.running_var", {3}, {"layer1.0.downsample.bn.running_var"}},
    {"fc1.weight", {2, 3}, {"fc1.weight", "fc1_s.layer.weight"}},
    {"fc1.bias", {2}, {"fc1.bias", "fc1_s.layer.bias"}}};

std::size_t size_of(const shape_t& shape) {
  std::size_t size = 1;
  for (const std::size_t extent : shape) size *= extent;
  return size;
}

// Values that differ from tensor to tensor.
std::vector<double> values_of(std::size_t number, const shape_t& shape) {
  std::vector<double> values(size_of(shape));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.25 + 0.125 * static_cast<double>(number) + 0.0625 * static_cast<double>(i);
  return values;
}

// A file of the tensors, of which `names` gives all names; and the counters beside their running variances.
fs::path written(const std::string& folder, const std::function<std::vector<std::string>(const row&)>& names,
                 const std::function<void(const row&, shape_t&, std::vector<double>&)>& change = {}) {
  const fs::path path = scratch(folder) / "theirs.safetensors";
  safetensors_writer writer;
  const std::int64_t batches = 77;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    shape_t shape = rows[i].shape;
    std::vector<double> values = values_of(i, shape);
    if (change) change(rows[i], shape, values);
    for (const std::string& name : names(rows[i])) {
      writer.add<double>(name, shape, values);
      if (name.ends_with(".running_var"))
        writer.add<std::int64_t>(name.substr(0, name.size() - 11) + "num_batches_tracked", {}, std::span{&batches, 1});
    }
  }
  writer.write(path);
  return path;
}

const auto plain = [](const row& r) { return std::vector{r.name}; };
const auto stbp = [](const row& r) { return r.stbp_simple; };

std::map<std::string, std::vector<double>> tensors_of(net_t& net) {
  std::map<std::string, std::vector<double>> tensors;
  net.for_each_tensor([&](const tensor_info& info, std::span<const double> values) {
    tensors[info.name].assign(values.begin(), values.end());
  });
  return tensors;
}

// The network has the values of the file; tdBN's weights have them over alpha * threshold where `scaled`.
void check_imported(net_t& net, bool scaled) {
  const auto tensors = tensors_of(net);
  REQUIRE(tensors.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i].name);
    auto expected = values_of(i, rows[i].shape);
    if (scaled && rows[i].alpha > 0)
      for (double& value : expected) value /= rows[i].alpha * threshold;
    const auto& actual = tensors.at(rows[i].name);
    REQUIRE(actual.size() == expected.size());
    for (std::size_t j = 0; j < actual.size(); ++j) CHECK(actual[j] == Approx(expected[j]).epsilon(1e-15).margin(0));
  }
}

void check_refused(const fs::path& path, library from, const std::vector<std::string>& messages) {
  net_t net = make_net();
  const auto before = tensors_of(net);
  std::string message;
  try {
    import_state_dict(net, path, from);
  } catch (const file_error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.starts_with(path.string() + ": tensor "));
  for (const std::string& part : messages) CHECK(message.find(part) != std::string::npos);
  CHECK(tensors_of(net) == before);
}

}  // namespace

TEST_CASE("SpikingJelly's scale of tdBN becomes a weight", "[import]") {
  const fs::path path = written("spikingjelly", plain);
  net_t net = make_net();
  import_state_dict(net, path, library::spikingjelly);
  check_imported(net, true);
  CHECK_FALSE(recognise_library(safetensors_file::read(path)));
}

TEST_CASE("STBP-simple's names: both of a tensor, or either", "[import]") {
  const auto either = GENERATE(0, 1, 2);
  const fs::path path = written("stbp_simple", [&](const row& r) {
    if (either == 2) return r.stbp_simple;
    return std::vector{either == 0 ? r.stbp_simple.front() : r.stbp_simple.back()};
  });
  net_t net = make_net();
  const auto file = safetensors_file::read(path);
  CHECK(recognise_library(file) == library::stbp_simple);
  import_state_dict(net, file, library::stbp_simple);
  check_imported(net, false);
}

TEST_CASE("STBP-simple's statistics may be of five axes, others may not", "[import]") {
  const auto five = [](const row& r, shape_t& shape, std::vector<double>&) {
    if (r.name.find("running_") != std::string::npos) shape = {1, shape[0], 1, 1, 1};
  };
  net_t net = make_net();
  import_state_dict(net, written("five", stbp, five), library::stbp_simple);
  check_imported(net, false);
  check_refused(written("five", plain, five), library::spikingjelly,
                {"\"bn1.running_mean\" has shape [1, 2, 1, 1, 1], where the network has [2]"});
  check_refused(written("two", stbp,
                        [](const row& r, shape_t& shape, std::vector<double>& values) {
                          if (r.name != "layer1.0.bn1.running_mean") return;
                          shape = {2, 2};
                          values.push_back(0);
                        }),
                library::stbp_simple, {"\"layer1.0.bn1.running_mean\" has shape [2, 2], where the network has [3]"});
}

TEST_CASE("what is wrong with another library's file is said in one message", "[import]") {
  const auto names = [](const row& r) {
    if (r.name == "fc1.bias") return std::vector<std::string>{"fc2.bias"};
    return r.name == "bn1.bias" ? std::vector<std::string>{} : r.stbp_simple;
  };
  check_refused(written("wrong", names,
                        [](const row& r, shape_t& shape, std::vector<double>& values) {
                          if (r.name == "fc1.weight") shape = {3, 2};
                          if (r.name == "conv1.weight") values[4] = std::numeric_limits<double>::infinity();
                          if (r.name == "layer1.0.downsample.1.running_var") values[2] = -1;
                        }),
                library::stbp_simple,
                {"tensor \"bn1.bias\" is missing; ", "tensor \"fc1.bias\" is missing; ",
                 "tensor \"fc1.weight\" has shape [3, 2], where the network has [2, 3]; ",
                 "tensor \"conv1.weight\" holds a value that is not finite in the network's precision, at element 4; ",
                 "tensor \"layer1.0.downsample.bn.running_var\" holds a negative variance, at element 2; ",
                 "tensor \"fc2.bias\" of shape [2] has no place in the network."});
  // Of a network that is another one altogether there are too many.
  check_refused(
      written("other", [](const row& r) { return std::vector{"x." + r.name + ".y"}; }), library::spikingjelly,
      {"tensor \"conv1.weight\" is missing; tensor \"bn1.weight\" is missing; ", "; and so on, with ", " more."});
  // All names behind a prefix are one mistake.
  for (const bool jelly : {true, false}) {
    const fs::path path = written("prefix", [&](const row& r) {
      auto stored = jelly ? plain(r) : stbp(r);
      for (std::string& name : stored) name.insert(0, "module.");
      return stored;
    });
    const library which = jelly ? library::spikingjelly : library::stbp_simple;
    check_refused(path, which, {"the file's names begin with \"module.\". Load it with that prefix"});
    net_t net = make_net();
    import_state_dict(net, path, which, {.prefix = "module."});
  }
  // STBP-simple's downsample is no PyTorch name.
  check_refused(
      written("as_the_other", stbp), library::spikingjelly,
      {"tensor \"layer1.0.downsample.0.weight\" is missing", "\"conv1_s.bn.bias\" of shape [2] has no place"});
}

TEST_CASE("two names of one tensor must agree", "[import]") {
  const fs::path path = scratch("two_names") / "theirs.safetensors";
  safetensors_writer writer;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (const std::string& name : rows[i].stbp_simple)
      writer.add<double>(name, rows[i].shape,
                         values_of(i + (name == "layer1.0.conv2_s.bn.bias" ? 1 : 0), rows[i].shape));
  writer.write(path);
  check_refused(
      path, library::stbp_simple,
      {"tensor \"layer1.0.conv2_s.bn.bias\" is not equal to \"layer1.0.bn2.bias\", of which it is another name."});
}

TEST_CASE("an export is what its library writes, and comes back", "[import]") {
  const bool jelly = GENERATE(true, false);
  const library which = jelly ? library::spikingjelly : library::stbp_simple;
  const auto names = jelly ? std::function<std::vector<std::string>(const row&)>{plain} : stbp;
  const fs::path theirs = written("theirs", names), ours = scratch("ours") / "ours.safetensors";
  net_t net = make_net();
  import_state_dict(net, theirs, which);
  export_state_dict(net, ours, which, {{"by", "spikenet"}});

  const auto before = safetensors_file::read(theirs), after = safetensors_file::read(ours);
  CHECK(after.metadata() == safetensors_metadata{{"by", "spikenet"}, {"format", "pt"}});
  REQUIRE(after.tensors().size() == before.tensors().size());
  for (const auto& [name, entry] : before.tensors()) {
    CAPTURE(name);
    REQUIRE(after.contains(name));
    CHECK(after.at(name).shape == entry.shape);
    if (name.ends_with("num_batches_tracked")) {
      CHECK(after.values<std::int64_t>(name) == std::vector<std::int64_t>{0});
      continue;
    }
    const auto expected = before.values<double>(name), actual = after.values<double>(name);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(actual[i] == Approx(expected[i]).epsilon(1e-15).margin(0));
  }
}

TEST_CASE("LIFNode's neurons fire when they do, also at the threshold itself", "[import]") {
  const bool decay_input = GENERATE(true, false);
  const double tau = GENERATE(2.0, 4.0);
  const lif_node node{.tau = tau, .threshold = 0.75, .decay_input = decay_input};
  const neuron ours = node.neurons<float>();
  CHECK(ours.decay == 1 - 1 / tau);

  // Multiples of 1/4: sums are exact, and many potentials are the threshold.
  const neuron_constants<float> constants = ours.constants<float>();
  random_stream random{seed{3}};
  using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
  float v = 0, u = 0, o = 0;
  int spikes = 0, ties = 0;
  for (int t = 0; t < 200; ++t) {
    const float x = 0.25f * static_cast<float>(random.below(8));
    const auto divisor = static_cast<float>(tau);
    v = decay_input ? v + (x - v) / divisor : v - v / divisor + x;
    const bool expected = v >= 0.75f;
    ties += v == 0.75f;
    if (expected) v = 0;

    u = dynamics::membrane(u, o, x, constants);
    o = dynamics::spike(u, constants);
    CHECK(o == (expected ? 1.0f : 0.0f));
    spikes += expected;
  }
  CHECK(spikes > 20);
  if (tau == 2) CHECK(ties > 5);

  CHECK_THROWS_MATCHES(lif_node{.tau = 0.5}.neurons<float>(), argument_error, says("tau must be at least 1"));
  CHECK_THROWS_MATCHES(lif_node{.threshold = -1}.neurons<float>(), argument_error,
                       says("LIFNode: the threshold must be positive and finite, not -1"));
  CHECK_THROWS_MATCHES(lif_node{.threshold = 1e39}.neurons<float>(), argument_error,
                       says("the threshold must be positive and finite, not 1e+39, which is inf in 32 bits"));
  CHECK_THROWS_MATCHES(lif_node{.threshold = 1e-50}.neurons<float>(), argument_error,
                       says("the threshold must be positive and finite, not 1e-50, which is 0 in 32 bits"));
  CHECK_THROWS_MATCHES((lif_node{.tau = 10, .threshold = 1e38}.neurons<float>()), argument_error,
                       says("tau times the threshold must be positive and finite, not 1e+39"));
  CHECK_NOTHROW(lif_node{.threshold = 1e39}.neurons<double>());
}
