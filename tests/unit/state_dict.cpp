#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numeric>
#include <span>
#include <spikenet/io/state_dict.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "unit/scratch.hpp"

namespace {

namespace fs = std::filesystem;
using spikenet::file_error;
using spikenet::load_state_dict;
using spikenet::safetensors_file;
using spikenet::safetensors_writer;
using spikenet::save_state_dict;
using test::scratch;
using shape_t = std::vector<std::size_t>;

// The state dict reads and writes anything that lists its tensors; this is the least that does.
template <class Scalar>
struct listed_tensors {
  struct info {
    std::string name;
    shape_t shape;
  };
  std::vector<info> infos{{"conv1.weight", {2, 1, 3, 3}}, {"bn1.weight", {2}},      {"bn1.bias", {2}},
                          {"bn1.running_mean", {2}},      {"bn1.running_var", {2}}, {"fc1.weight", {3, 2}}};
  std::vector<std::vector<Scalar>> values;

  // Values that differ everywhere and are exact in float.
  explicit listed_tensors(double first) {
    for (const info& each : infos) {
      const std::size_t size =
          std::accumulate(each.shape.begin(), each.shape.end(), std::size_t{1}, [](auto a, auto b) { return a * b; });
      values.emplace_back(size);
      for (Scalar& value : values.back()) value = static_cast<Scalar>(first += 0.25);
    }
  }

  template <class Callback>
  void for_each_tensor(Callback&& callback) {
    for (std::size_t i = 0; i < infos.size(); ++i) callback(infos[i], std::span{values[i]});
  }
  template <class Callback>
  void for_each_tensor(Callback&& callback) const {
    for (std::size_t i = 0; i < infos.size(); ++i) callback(infos[i], std::span{values[i]});
  }
};

struct counting_network : listed_tensors<float> {
  using listed_tensors::listed_tensors;
  std::int64_t updates() const { return 1234; }
};

template <class Scalar>
std::span<const Scalar> view(const std::vector<Scalar>& values) {
  return values;
}

// A good file for listed_tensors<double>, but for what `change` does to the list before it is written.
template <class Change>
fs::path written_with(const std::string& name, Change change) {
  const fs::path path = scratch(name) / "model.safetensors";
  listed_tensors<double> net{1};
  change(net);
  safetensors_writer writer;
  net.for_each_tensor(
      [&](const auto& info, std::span<double> values) { writer.add<double>(info.name, info.shape, values); });
  writer.write(path);
  return path;
}

// Loading must throw with this message and leave the network as it was.
template <class Scalar = float>
void check_refused(const fs::path& path, const std::string& message) {
  listed_tensors<Scalar> net{-100};
  const auto before = net.values;
  CHECK_THROWS_MATCHES(load_state_dict(net, path), file_error, says(path.string() + ": ") && says(message));
  CHECK(net.values == before);
}

}  // namespace

TEMPLATE_TEST_CASE("a state dict restores a network exactly", "[state_dict]", float, double) {
  const fs::path path = scratch("round_trip_" + std::to_string(sizeof(TestType))) / "model.safetensors";
  const listed_tensors<TestType> source{1};
  save_state_dict(source, path, {{"width", "2"}});

  const auto file = safetensors_file::read(path);
  CHECK(file.metadata() == spikenet::safetensors_metadata{{"format", "pt"}, {"width", "2"}});
  CHECK(file.tensors().size() == 7);
  CHECK(file.at("conv1.weight").dtype == (sizeof(TestType) == 4 ? "F32" : "F64"));
  CHECK(file.at("conv1.weight").shape == shape_t{2, 1, 3, 3});
  CHECK(file.at("bn1.num_batches_tracked").shape.empty());
  CHECK(file.values<std::int64_t>("bn1.num_batches_tracked") == std::vector<std::int64_t>{0});

  listed_tensors<TestType> same{50};
  load_state_dict(same, path);
  CHECK(same.values == source.values);
  listed_tensors<TestType> from_open_file{60};
  load_state_dict(from_open_file, file);
  CHECK(from_open_file.values == source.values);
}

TEST_CASE("a state dict crosses between float and double", "[state_dict]") {
  const fs::path path = scratch("precisions") / "model.safetensors";
  const listed_tensors<float> single{1};
  const listed_tensors<double> exact{1};

  save_state_dict(single, path);
  listed_tensors<double> widened{9};
  load_state_dict(widened, path);
  CHECK(widened.values == exact.values);

  save_state_dict(exact, path);
  listed_tensors<float> narrowed{9};
  load_state_dict(narrowed, path);
  CHECK(narrowed.values == single.values);
}

TEST_CASE("batch counters hold the network's updates and are optional on loading", "[state_dict]") {
  const fs::path path = scratch("counters") / "model.safetensors";
  counting_network net{1};
  save_state_dict(net, path);
  CHECK(safetensors_file::read(path).values<std::int64_t>("bn1.num_batches_tracked") ==
        std::vector<std::int64_t>{1234});

  listed_tensors<float> loaded{5};
  load_state_dict(loaded, written_with("no_counters", [](auto&) {}));
  CHECK(loaded.values == net.values);
}

TEST_CASE("a state dict with a missing tensor is refused", "[state_dict]") {
  check_refused(written_with("missing",
                             [](auto& net) {
                               net.infos.pop_back();
                               net.values.pop_back();
                             }),
                "tensor \"fc1.weight\" is missing");
}

TEST_CASE("a state dict with an unexpected tensor is refused", "[state_dict]") {
  const auto with = [](const std::string& name) {
    return written_with("unexpected", [&](auto& net) {
      net.infos.push_back({name, {2, 2}});
      net.values.push_back(std::vector<double>(4, 1.0));
    });
  };
  check_refused(with("layer4.weight"), "tensor \"layer4.weight\" of shape [2, 2] has no place in the network");
  // A batch counter is at home only beside a running variance.
  check_refused(with("fc1.num_batches_tracked"), "\"fc1.num_batches_tracked\"");
}

TEST_CASE("a message about many tensors has names of both sides", "[state_dict]") {
  const std::string far(300, 'x');
  const fs::path path = written_with("both_sides", [&](auto& net) {
    for (auto& info : net.infos) info.name = far + info.name + "x";
  });
  check_refused(path, "tensor \"conv1.weight\" is missing; tensor \"bn1.weight\" is missing; ");
  check_refused(path, "; tensor \"xxx");
  check_refused(path, " has no place in the network; and so on, with ");
}

TEST_CASE("a prefix of all names is recognised, and stripped on demand", "[state_dict]") {
  const auto behind = [](const std::string& prefix, std::size_t tensors = 6) {
    return written_with("prefix", [&](auto& net) {
      for (std::size_t i = 0; i < tensors; ++i) net.infos[i].name.insert(0, prefix);
    });
  };
  for (const std::string prefix : {"module.", "_orig_mod.", "module._orig_mod.", "net/"}) {
    const fs::path path = behind(prefix);
    check_refused(path, "tensor \"conv1.weight\" is missing, but \"" + prefix +
                            "conv1.weight\" is there: the file's names begin with \"" + prefix +
                            "\". Load it with that prefix");
    listed_tensors<double> net{-100};
    load_state_dict(net, path, {.prefix = prefix});
    CHECK(net.values == listed_tensors<double>{1}.values);
  }

  // With a batch counter, which has the prefix, too.
  const fs::path counted = scratch("prefix_counter") / "model.safetensors";
  const std::int64_t counter = 3;
  safetensors_writer writer;
  listed_tensors<double>{1}.for_each_tensor([&](const auto& info, std::span<const double> values) {
    writer.add<double>("module." + info.name, info.shape, values);
  });
  writer.add<std::int64_t>("module.bn1.num_batches_tracked", {}, std::span{&counter, 1});
  writer.write(counted);
  listed_tensors<double> net{-100};
  load_state_dict(net, counted, {.prefix = "module."});
  CHECK(net.values == listed_tensors<double>{1}.values);

  const auto refused_with = [](const fs::path& path, const std::string& prefix, const std::string& message) {
    listed_tensors<float> other{-100};
    CHECK_THROWS_MATCHES(load_state_dict(other, path, {.prefix = prefix}), file_error, says(message));
    CHECK(other.values == listed_tensors<float>{-100}.values);
  };
  refused_with(
      behind(""), "module.",
      "tensor \"module.conv1.weight\" is missing, but \"conv1.weight\" is there: the file's names do not begin "
      "with \"module.\". Load it without a prefix.");
  refused_with(behind("module._orig_mod."), "module.", "begin with \"module._orig_mod.\"");
  refused_with(behind("module.", 5), "module.", ": tensor \"module.fc1.weight\" is missing; tensor \"fc1.weight\" of ");
  check_refused(behind("module.", 5), "begin with \"module.\"");
  // Of fewer than half it is chance.
  check_refused(behind("module.", 2),
                "tensor \"conv1.weight\" is missing; tensor \"bn1.weight\" is missing; tensor \"mod");
}

TEST_CASE("tensors of types that no network has are ignored unless the network asks for them", "[state_dict]") {
  const fs::path good = written_with("types", [](auto&) {});
  const auto file = safetensors_file::read(good);
  // The file with another header: a tensor more, or another type for one.
  const auto with = [&](const std::string& tensor, const std::string& dtype, const std::string& shape,
                        std::size_t added) {
    nlohmann::json header;
    std::string data;
    const auto add = [&](const std::string& name, const std::string& type, const nlohmann::json& extents,
                         const std::string& bytes) {
      header[name] = {{"dtype", type}, {"shape", extents}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
      data += bytes;
    };
    for (const auto& [name, entry] : file.tensors()) {
      const auto bytes = file.bytes(name);
      add(name, name == tensor ? dtype : entry.dtype, entry.shape,
          {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    if (added > 0) add(tensor, dtype, nlohmann::json::parse(shape), std::string(added, 'x'));
    const std::string text = header.dump();
    const std::uint64_t length = text.size();
    const std::string whole = std::string(reinterpret_cast<const char*>(&length), 8) + text + data;
    return safetensors_file::parse(std::as_bytes(std::span{whole}), "given");
  };
  const auto refuse = [](const safetensors_file& given, const std::string& message) {
    listed_tensors<double> net{-100};
    CHECK_THROWS_MATCHES(load_state_dict(net, given), file_error, says(message));
    CHECK(net.values == listed_tensors<double>{-100}.values);
  };
  for (const auto& [dtype, shape, bytes] :
       std::vector<std::tuple<std::string, std::string, std::size_t>>{{"F8_E8M0", "[4]", 4},
                                                                      {"F8_E4M3", "[2,2]", 4},
                                                                      {"F4", "[2,4]", 4},
                                                                      {"C64", "[1]", 8},
                                                                      {"F1024", "[3]", 5}}) {
    listed_tensors<double> net{-100};
    load_state_dict(net, with("extra", dtype, shape, bytes));
    CHECK(net.values == listed_tensors<double>{1}.values);
  }
  refuse(with("extra", "F16", "[2]", 4), "tensor \"extra\" of shape [2] has no place in the network");
  refuse(with("extra", "F64", "[2]", 16), "tensor \"extra\" of shape [2] has no place in the network");
  refuse(with("fc1.weight", "C64", "", 0), "tensor \"fc1.weight\" has dtype C64, where F32 or F64 is needed");
  refuse(with("fc1.weight", "F65", "", 0),
         "tensor \"fc1.weight\" has the unknown dtype \"F65\", where F32 or F64 is needed");
}

TEST_CASE("a state dict with another shape is refused, even of the same size", "[state_dict]") {
  check_refused(written_with("shape",
                             [](auto& net) {
                               net.infos[5].shape = {2, 3};
                             }),
                "tensor \"fc1.weight\" has shape [2, 3], where the network has [3, 2]");
  check_refused(written_with("rank", [](auto& net) { net.infos[5].shape = {6}; }),
                "tensor \"fc1.weight\" has shape [6], where the network has [3, 2]");
}

TEST_CASE("the message about a shape of many extents is short", "[state_dict]") {
  const fs::path path = written_with("many_extents", [](auto& net) {
    net.infos[5].shape.assign(5000, 1);
    net.infos[5].shape[0] = 6;
  });
  check_refused(path, "has shape [6, 1, 1, 1, 1, 1, 1, 1, ...] (5000 extents), where the network has [3, 2].");
}

TEST_CASE("a state dict with values that no network can hold is refused", "[state_dict]") {
  const auto with = [](std::size_t tensor, double value) {
    return written_with("value", [&](auto& net) { net.values[tensor][1] = value; });
  };
  check_refused(with(5, std::numeric_limits<double>::quiet_NaN()), "\"fc1.weight\" holds a value that is not finite");
  check_refused(with(0, -std::numeric_limits<double>::infinity()), "\"conv1.weight\" holds a value that is not finite");
  check_refused(with(4, -0.5), "\"bn1.running_var\" holds a negative variance, at element 1");

  // Fine in double, infinite in float.
  const fs::path large = with(5, 1e300);
  check_refused(large, "\"fc1.weight\" holds a value that is not finite in the network's precision, at element 1");
  listed_tensors<double> net{9};
  load_state_dict(net, large);
  CHECK(net.values[5][1] == 1e300);
}

TEST_CASE("a state dict of integers is refused", "[state_dict]") {
  const fs::path path = scratch("integers") / "model.safetensors";
  const listed_tensors<float> source{1};
  const std::vector<std::int64_t> whole(6, 1);
  safetensors_writer writer;
  source.for_each_tensor([&](const auto& info, std::span<const float> values) {
    if (info.name == "fc1.weight")
      writer.add(info.name, info.shape, view(whole));
    else
      writer.add<float>(info.name, info.shape, values);
  });
  writer.write(path);
  check_refused(path, "tensor \"fc1.weight\" has dtype I64");
}

TEST_CASE("a state dict that cannot be read is refused", "[state_dict]") {
  check_refused(scratch("absent") / "model.safetensors", "cannot be opened");
}

TEST_CASE("a network that is not finite is not saved over one that is", "[state_dict]") {
  const fs::path path = scratch("not_saved") / "model.safetensors";
  listed_tensors<float> net{1};
  save_state_dict(net, path);
  const auto good = net.values;
  net.values[3][0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_MATCHES(save_state_dict(net, path), spikenet::numeric_error,
                       says("\"bn1.running_mean\"") && says(path.string()));
  listed_tensors<float> loaded{5};
  load_state_dict(loaded, path);
  CHECK(loaded.values == good);
}
