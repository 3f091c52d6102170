// Checkpoints: training goes on bit for bit, what does not fit is refused and changes nothing, and a kill between any
// two steps of saving leaves a pair that loads.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <spikenet/data/loader.hpp>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/spikenet.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "unit/scratch.hpp"
#include "unit/support.hpp"

using namespace spikenet;
using test::scratch;

namespace {

namespace fs = std::filesystem;

// Convolution, running statistics, neurons, and sizes that leave gaps between tensors.
template <class Scalar, std::size_t Hidden = 5>
using tiny = network<cpu<Scalar>, timesteps<2>, image<1, 4, 4>, named<"conv1", conv2d<3, 3>>, named<"bn1", tdbn<>>,
                     lif<>, flatten, named<"fc1", linear<Hidden>>, lif<>, named<"fc2", linear<3>>>;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator{directory}) names.insert(entry.path().filename().string());
  return names;
}
const std::set<std::string> the_pair{"model.safetensors", "training.safetensors"};

image_dataset tiny_images() {
  image_dataset images{.channels = 1, .height = 4, .width = 4, .pixels = {}, .labels = {}};
  random_stream random{seed{3}};
  for (std::size_t i = 0; i < 22; ++i) {
    for (int pixel = 0; pixel < 16; ++pixel) images.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
    images.labels.push_back(static_cast<std::int32_t>(random.below(3)));
  }
  return images;
}

// Shuffled and augmented batches of 5, the last of 2, at a rate that changes from batch to batch: training from a
// position to an epoch.
template <class Scalar>
class trainer {
 public:
  template <class Network, class Optimizer>
  void train(Network& net, Optimizer optimizer, training_state& at, std::uint64_t epochs, std::uint64_t batches = 0) {
    const double base = optimizer.learning_rate;
    const step_decay schedule{.factor = 0.5, .every = 0.3};
    for (; at.epoch < epochs || at.batch < batches; at = {at.epoch + 1, 0, at.seed, at.notes}) {
      for (const auto& batch : loader.epoch(static_cast<std::uint32_t>(at.epoch), static_cast<std::size_t>(at.batch))) {
        optimizer.learning_rate = base * schedule(static_cast<double>(at.epoch) + static_cast<double>(at.batch) / 5);
        net.train_step(batch.images, batch.labels, optimizer);
        ++at.batch;
        if (at.epoch >= epochs && at.batch == batches) return;
      }
    }
  }

  image_dataset images = tiny_images();
  batch_loader<Scalar> loader{images, loader_options{.batch_size = 5,
                                                     .shuffle = true,
                                                     .seed = seed{9},
                                                     .augmentation = transforms{}.then(random_crop{.padding = 1})}};
};

// All that the network knows, as the two files' bytes.
template <class Network, class Optimizer>
std::pair<std::string, std::string> everything(const Network& net, const Optimizer& optimizer) {
  const fs::path directory = scratch("everything");
  save_checkpoint(net, optimizer, directory, {});
  return {bytes_of(directory / "model.safetensors"), bytes_of(directory / "training.safetensors")};
}

// A network with moments, and its checkpoint.
tiny<float> trained(std::uint64_t steps = 3) {
  tiny<float> net{seed{1}};
  trainer<float> t;
  training_state at;
  t.train(net, adam{}, at, 0, steps);
  return net;
}
fs::path saved(const std::string& name, std::uint64_t steps = 3) {
  const fs::path directory = scratch(name);
  save_checkpoint(trained(steps), adam{}, directory,
                  {.epoch = 1, .batch = steps, .seed = {7}, .notes = {{"lr", "0.5"}}}, {{"width", "3"}});
  return directory;
}

// Loading throws a file_error that says this, and leaves the network, its moments and counters as they were.
template <class Optimizer = adam, class Network = tiny<float>>
void check_refused(const fs::path& directory, const std::string& message) {
  using scalar = typename Network::scalar;
  Network net{seed{2}};
  net.train_step(test::normal<scalar>(4 * 16, 1), test::labels(4, 3, 1), Optimizer{});
  const auto before = everything(net, Optimizer{});
  CHECK_THROWS_MATCHES(load_checkpoint(net, Optimizer{}, directory), file_error,
                       says(directory.string()) && says(message));
  CHECK(everything(net, Optimizer{}) == before);
}

// A safetensors file's tensors and metadata, to be changed and written again.
struct editable {
  safetensors_metadata metadata;
  struct tensor {
    std::vector<std::size_t> shape;
    std::string dtype;
    std::vector<double> numbers;         // F32, F64
    std::vector<std::int64_t> integers;  // I64
  };
  std::map<std::string, tensor> tensors;

  explicit editable(const fs::path& path) {
    const auto file = safetensors_file::read(path);
    metadata = file.metadata();
    for (const auto& [name, entry] : file.tensors()) {
      tensor& t = tensors[name];
      t = {entry.shape, entry.dtype, {}, {}};
      if (entry.dtype == "I64")
        t.integers = file.values<std::int64_t>(name);
      else
        t.numbers = file.values<double>(name);
    }
  }
  void write(const fs::path& path) const {
    safetensors_writer writer;
    for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
    for (const auto& [name, t] : tensors) {
      if (t.dtype == "I64") {
        writer.add<std::int64_t>(name, t.shape, t.integers);
      } else if (t.dtype == "F64") {
        writer.add<double>(name, t.shape, t.numbers);
      } else {
        const std::vector<float> narrow(t.numbers.begin(), t.numbers.end());
        writer.add<float>(name, t.shape, narrow);
      }
    }
    writer.write(path);
  }
};

// A good checkpoint whose training.safetensors was changed; the pair still belongs together.
fs::path with_training(const std::function<void(editable&)>& change) {
  const fs::path directory = saved("changed_training"), path = directory / "training.safetensors";
  editable file{path};
  change(file);
  file.write(path);
  return directory;
}

// A good checkpoint whose model was changed, with its hash.
fs::path with_model(const std::function<void(editable&)>& change) {
  const fs::path directory = saved("changed_model"), model = directory / "model.safetensors";
  editable file{model};
  change(file);
  file.write(model);
  editable training{directory / "training.safetensors"};
  const std::string bytes = bytes_of(model);
  training.metadata["spikenet.model_sha256"] = detail::sha256(std::as_bytes(std::span{bytes}));
  training.write(directory / "training.safetensors");
  return directory;
}

template <class Scalar, class Optimizer>
void check_resumed(const Optimizer& optimizer) {
  using net_t = tiny<Scalar>;
  const fs::path directory = scratch("resumed");
  trainer<Scalar> t;
  net_t whole{seed{1}};
  training_state at{.seed = {1}};
  t.train(whole, optimizer, at, 4);

  // After two whole epochs, and in the middle of the third: into a network of other weights, with moments of its own.
  for (const std::uint64_t batches : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{5}}) {
    CAPTURE(batches);
    net_t first{seed{1}};
    at = {.seed = {1}};
    t.train(first, optimizer, at, 2, batches);
    save_checkpoint(first, optimizer, directory, at);
    net_t second{seed{2}};
    training_state elsewhere{.seed = {4}};
    t.train(second, optimizer, elsewhere, 1);
    at = load_checkpoint(second, optimizer, directory);
    CHECK(at.epoch == 2);
    CHECK(at.batch == batches);
    t.train(second, optimizer, at, 4);
    CHECK(everything(second, optimizer) == everything(whole, optimizer));
  }
}

}  // namespace

TEST_CASE("SHA-256 is the standard's", "[checkpoint]") {
  // FIPS 180-2, appendix B.1
  const std::string abc = "abc";
  CHECK(detail::sha256(std::as_bytes(std::span{abc})) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a checkpoint holds what was saved, in two files under readable names", "[checkpoint]") {
  const fs::path directory = scratch("content") / "made" / "on the way";
  auto net = trained();
  const training_state state{
      .epoch = 12, .batch = 3, .seed = {0xFEDCBA9876543210}, .notes = {{"lr", "0.1"}, {"note", "\xC3\xBC"}}};
  save_checkpoint(net, adam{}, directory, state, {{"width", "16"}});
  CHECK(names_in(directory) == the_pair);

  const auto read = checkpoint::read(directory);
  CHECK(read.state().epoch == 12);
  CHECK(read.state().batch == 3);
  CHECK(read.state().seed.value == 0xFEDCBA9876543210);
  CHECK(read.state().notes == state.notes);
  CHECK(read.optimizer() == "adam");
  CHECK(read.model().metadata().at("width") == "16");

  // The model is the state dict that save_state_dict writes.
  save_state_dict(net, directory / "alone.safetensors", {{"width", "16"}});
  CHECK(bytes_of(directory / "alone.safetensors") == bytes_of(directory / "model.safetensors"));

  const auto file = safetensors_file::read(directory / "training.safetensors");
  std::set<std::string> names;
  for (const auto& [name, entry] : file.tensors()) names.insert(name);
  std::set<std::string> expected{"epoch", "batch", "seed", "updates", "adam.updates"};
  net.for_each_parameter([&](const tensor_info& info, std::span<float>, std::span<float>) {
    for (const char* moment : {"adam.first.", "adam.second."}) {
      expected.insert(moment + info.name);
      CHECK(file.at(moment + info.name).shape == info.shape);
    }
  });
  CHECK(names == expected);
  CHECK(names.contains("adam.second.conv1.weight"));
  CHECK_FALSE(names.contains("adam.second.bn1.running_var"));
  CHECK(file.values<std::int64_t>("updates") == std::vector<std::int64_t>{3});

  // Restored into another network: the same bits, and one more save gives the same files.
  tiny<float> other{seed{5}};
  load_checkpoint(other, adam{}, directory);
  CHECK(test::identical(test::tensors(other), test::tensors(net)));
  CHECK(other.updates() == 3);
  CHECK(other.updates_by<adam>() == 3);
  CHECK(everything(other, adam{}) == everything(net, adam{}));
}

TEST_CASE("training in two parts is training in one, to the last bit", "[checkpoint]") {
  const sgd momentum{.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3};
  const adam decayed{.learning_rate = 0.01, .weight_decay = 1e-3};
  SECTION("Adam, float") { check_resumed<float>(decayed); }
  SECTION("Adam, double") { check_resumed<double>(decayed); }
  SECTION("SGD, float") { check_resumed<float>(momentum); }
  SECTION("SGD, double") { check_resumed<double>(momentum); }
}

TEST_CASE("an optimizer that has taken no step has nothing to save", "[checkpoint]") {
  const fs::path directory = scratch("fresh");
  const tiny<double> fresh{seed{1}};
  save_checkpoint(fresh, adam{}, directory, {});
  CHECK(safetensors_file::read(directory / "training.safetensors").tensors().size() == 5);

  // Its next step is the first of Adam, whatever was there before.
  trainer<double> t;
  training_state here, there;
  tiny<double> whole{seed{1}}, restored{seed{2}};
  t.train(restored, adam{}, here, 1);
  here = load_checkpoint(restored, adam{}, directory);
  t.train(whole, adam{}, there, 1);
  t.train(restored, adam{}, here, 1);
  CHECK(everything(restored, adam{}) == everything(whole, adam{}));

  // Moments are those of the optimizer that is asked for; asking changes nothing.
  CHECK(whole.updates_by<sgd>() == 0);
  int visited = 0;
  whole.for_each_moment<sgd>([&](auto&&...) { ++visited; });
  CHECK(visited == 0);
  const tiny<double>& constant = whole;
  constant.for_each_moment<adam>([&](const tensor_info&, std::size_t, std::span<const double>) { ++visited; });
  CHECK(visited == 2 * 7);
  CHECK(whole.updates_by<adam>() == whole.updates());
}

TEST_CASE("a checkpoint of another training is refused", "[checkpoint]") {
  check_refused<sgd>(saved("optimizer"), "optimizer \"adam\", which sgd cannot go on with");
  check_refused<adam, tiny<float, 6>>(saved("structure"),
                                      "tensor \"adam.first.fc1.weight\" has shape [5, 48], where [6, 48] is needed");
  check_refused<adam, tiny<double>>(saved("precision"),
                                    "tensor \"adam.first.conv1.weight\" has dtype F32, where the network has F64");

  // Without moments it is the model that does not fit.
  const fs::path fresh = scratch("fresh_structure");
  save_checkpoint(tiny<float>{seed{1}}, adam{}, fresh, {});
  check_refused<adam, tiny<float, 6>>(fresh, "tensor \"fc1.weight\" has shape [5, 48], where the network has [6, 48]");
  check_refused<adam, tiny<double>>(fresh, "tensor \"conv1.weight\" has dtype F32, where the network has F64");
}

TEST_CASE("training.safetensors with what does not fit is refused", "[checkpoint]") {
  const std::string moment = "adam.second.fc2.bias";
  const auto refused = [](const std::function<void(editable&)>& change, const std::string& message) {
    check_refused(with_training(change), message);
  };
  refused([&](editable& f) { f.tensors.erase(moment); }, "tensor \"" + moment + "\" is missing");
  refused(
      [&](editable& f) {
        f.tensors.at(moment).shape = {3, 1};
      },
      "tensor \"" + moment + "\" has shape [3, 1], where [3] is needed");
  refused([&](editable& f) { f.tensors.at(moment).dtype = "F64"; }, "tensor \"" + moment + "\" has dtype F64");
  refused([&](editable& f) { f.tensors.at(moment).numbers[1] = std::numeric_limits<double>::quiet_NaN(); },
          "tensor \"" + moment + "\" holds a value that is not finite, at element 1");
  refused([&](editable& f) { f.tensors["adam.third.fc2.bias"] = f.tensors.at(moment); },
          "tensor \"adam.third.fc2.bias\" of shape [3] has no place");
  refused([&](editable& f) { f.tensors.at("adam.updates").integers = {0}; }, "has no place");
  for (const char* name : {"epoch", "batch", "seed", "updates", "adam.updates"}) {
    const std::string tensor = "tensor \"" + std::string{name} + "\" ";
    refused([&](editable& f) { f.tensors.erase(name); }, tensor + "is missing");
    refused(
        [&](editable& f) {
          f.tensors.at(name) = {{2}, "I64", {}, {1, 2}};
        },
        tensor + "has shape [2], where [] is needed");
    refused([&](editable& f) { f.tensors.at(name) = {{}, "F32", {1}, {}}; }, tensor + "has dtype F32");
    if (name != std::string{"seed"})
      refused([&](editable& f) { f.tensors.at(name).integers = {-5}; }, tensor + "is -5, less than 0");
  }
  refused([&](editable& f) { f.tensors.at("adam.updates").integers = {4}; }, "\"adam.updates\" 4, more than all");

  refused([](editable& f) { f.metadata.erase("spikenet.model_sha256"); }, "has no \"spikenet.model_sha256\"");
  refused([](editable& f) { f.metadata.erase("spikenet.training_format"); }, "has no \"spikenet.training_format\"");
  refused([](editable& f) { f.metadata["spikenet.training_format"] = "2"; }, "is of the format \"2\"");
  refused([](editable& f) { f.metadata["spikenet.optimizer"] = "adamw"; }, "the optimizer \"adamw\"");
  refused([](editable& f) { f.metadata.erase("spikenet.optimizer"); }, "the optimizer \"\"");
  refused([](editable& f) { f.metadata["spikenet.model_sha256"] = "../../" + std::string(58, 'a'); }, "is no SHA-256");
  refused([](editable& f) { f.metadata["spikenet.model_sha256"] = std::string(64, 'a'); }, "does not belong to ");
}

TEST_CASE("a model that does not fit is refused, though it belongs to the training", "[checkpoint]") {
  const auto refused = [](const std::function<void(editable&)>& change, const std::string& message) {
    check_refused(with_model(change), message);
  };
  refused([](editable& f) { f.tensors.erase("fc2.bias"); }, "tensor \"fc2.bias\" is missing");
  refused(
      [](editable& f) {
        f.tensors.at("fc2.bias").shape = {1, 3};
      },
      "tensor \"fc2.bias\" has shape [1, 3], where the network has [3]");
  refused([](editable& f) { f.tensors.at("fc2.bias").dtype = "F64"; }, "tensor \"fc2.bias\" has dtype F64");
  refused([](editable& f) { f.tensors["fc3.bias"] = f.tensors.at("fc2.bias"); },
          "\"fc3.bias\" of shape [3] has no place");
  refused([](editable& f) { f.tensors.at("bn1.running_var").numbers[0] = -1; }, "negative variance");
}

TEST_CASE("two files that do not belong together are refused", "[checkpoint]") {
  const fs::path one = saved("one", 1), two = saved("two", 2);
  fs::copy_file(two / "model.safetensors", one / "model.safetensors", fs::copy_options::overwrite_existing);
  check_refused(one, "does not belong to ");

  // One bit of a weight is enough.
  std::string bytes = bytes_of(two / "model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  std::ofstream{two / "model.safetensors", std::ios::binary} << bytes;
  check_refused(two, "does not belong to ");

  fs::remove(two / "model.safetensors");
  check_refused(two, "model.safetensors: is missing");
  fs::remove(two / "training.safetensors");
  check_refused(two, "training.safetensors: cannot be opened");
  std::ofstream{two / "training.safetensors"} << "no safetensors file";
  check_refused(two, "training.safetensors: ");
}

TEST_CASE("what cannot be saved leaves the previous checkpoint", "[checkpoint]") {
  const fs::path directory = saved("previous");
  const std::string model = bytes_of(directory / "model.safetensors"),
                    training = bytes_of(directory / "training.safetensors");
  const auto untouched = [&] {
    return names_in(directory) == the_pair && bytes_of(directory / "model.safetensors") == model &&
           bytes_of(directory / "training.safetensors") == training;
  };
  auto net = trained(4);
  CHECK_THROWS_MATCHES(save_checkpoint(net, adam{}, directory, {.notes = {{"spikenet.mine", "1"}}}), argument_error,
                       says("\"spikenet.mine\""));
  CHECK(untouched());
  CHECK_THROWS_MATCHES(save_checkpoint(net, adam{}, directory, {.notes = {{"text", "\xFF"}}}), argument_error,
                       says("UTF-8"));
  CHECK(untouched());
  net.for_each_moment<adam>([](const tensor_info& info, std::size_t moment, std::span<float> values) {
    if (info.name == "fc1.bias" && moment == 1) values[2] = std::numeric_limits<float>::infinity();
  });
  CHECK_THROWS_MATCHES(save_checkpoint(net, adam{}, directory, {}), numeric_error, says("\"adam.second.fc1.bias\""));
  CHECK(untouched());
  test::tensor_of(net, "fc1.bias")[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_MATCHES(save_checkpoint(net, adam{}, directory, {}), numeric_error, says("\"fc1.bias\""));
  CHECK(untouched());

  std::ofstream{directory / "occupied"} << "a file";
  CHECK_THROWS_MATCHES(save_checkpoint(trained(), adam{}, directory / "occupied", {}), file_error, says("occupied"));
}

TEST_CASE("a kill between any two steps of saving leaves a checkpoint that loads", "[checkpoint]") {
  const fs::path before = saved("before", 1), after = saved("after", 2), directory = scratch("killed");
  const std::string hash =
      checkpoint::read(after).state().batch == 2
          ? safetensors_file::read(after / "training.safetensors").metadata().at("spikenet.model_sha256")
          : "";
  const std::string pending = "model-" + hash + ".safetensors", half = pending + ".tmp-123-0";
  const auto put = [&](const fs::path& from, const char* name, const std::string& as) {
    fs::copy_file(from / name, directory / as, fs::copy_options::overwrite_existing);
  };
  // The state after each step; each builds on the one before.
  const std::vector<std::pair<std::function<void()>, std::uint64_t>> steps{
      {[&] {
         put(before, "model.safetensors", "model.safetensors");
         put(before, "training.safetensors", "training.safetensors");
       },
       1},
      {[&] { std::ofstream{directory / half} << "half a model"; }, 1},
      {[&] {
         fs::remove(directory / half);
         put(after, "model.safetensors", pending);
       },
       1},
      {[&] { std::ofstream{directory / "training.safetensors.tmp-123-0"} << "half a training state"; }, 1},
      {[&] {
         fs::remove(directory / "training.safetensors.tmp-123-0");
         put(after, "training.safetensors", "training.safetensors");
       },
       2},
      {[&] { fs::rename(directory / pending, directory / "model.safetensors"); }, 2}};
  for (std::size_t last = 0; last < steps.size(); ++last) {
    CAPTURE(last);
    fs::remove_all(directory);
    fs::create_directories(directory);
    for (std::size_t step = 0; step <= last; ++step) steps[step].first();
    const std::uint64_t expected = steps[last].second;
    const auto loads = [&](std::uint64_t count) {
      tiny<float> net{seed{8}};
      CHECK(load_checkpoint(net, adam{}, directory).batch == count);
      CHECK(everything(net, adam{}) == everything(trained(count), adam{}));
    };
    loads(expected);

    // The next save starts from there, and leaves nothing behind; what looks alike but is not its own stays.
    std::ofstream{directory / "model-best.safetensors"} << "the user's";
    save_checkpoint(trained(3), adam{}, directory, {.batch = 3});
    loads(3);
    CHECK(names_in(directory) ==
          std::set<std::string>{"model-best.safetensors", "model.safetensors", "training.safetensors"});
  }
}
