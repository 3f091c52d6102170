// Holds the residual network against PyTorch's, weights going both ways, in double.
//
//     dsrn_interop write DIRECTORY
//     dsrn_interop check DIRECTORY
//     dsrn_interop import LIBRARY DIRECTORY
//
// For each readout DIRECTORY/READOUT has model.safetensors, a state dict, and what its writer has computed with it, in
// expected.safetensors: images [N,1,28,28] and labels [N]; logits, in evaluation mode; loss and grad.NAME of a training
// step; after.NAME, parameters and running statistics after one step of Adam. `check` computes the same and compares to
// 1e-9: exit status 1 where that does not hold. dsrn_interop.py has the same two commands.
//
// `import` compares the logits of another library's network to 1e-10: see import_interop.py, which writes it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <span>
#include <spikenet/dsrn.hpp>
#include <spikenet/io/import.hpp>
#include <spikenet/io/state_dict.hpp>
#include <string>
#include <vector>

namespace {

using namespace spikenet;
namespace fs = std::filesystem;

constexpr double tolerance = 1e-9;
constexpr std::size_t image_size = 28 * 28;

template <class Readout>
using net_t = dsrn<cpu<double>, 4, 2, stem<2>, Readout>;
constexpr neuron neurons{.threshold = 0.4, .decay = 0.3, .surrogate = {.half_width = 0.6}};

struct tensor_values {
  std::vector<std::size_t> shape;
  std::vector<double> values;
};

// All that is expected of a network, but for the labels. Takes one step of Adam.
template <class Network>
std::map<std::string, tensor_values> run(Network& net, const std::vector<double>& images,
                                         const std::vector<std::int32_t>& labels) {
  std::map<std::string, tensor_values> result;
  const std::size_t batch = labels.size();
  result["images"] = {{batch, 1, 28, 28}, images};
  const auto logits = net.evaluate(images);
  result["logits"] = {{batch, Network::classes}, {logits.begin(), logits.end()}};
  result["loss"] = {{}, {net.compute_gradients(images, labels).loss}};
  net.for_each_parameter([&](const tensor_info& info, std::span<double>, std::span<double> gradient) {
    result["grad." + info.name] = {info.shape, {gradient.begin(), gradient.end()}};
  });
  net.update(adam{.learning_rate = 0.01});
  net.for_each_tensor([&](const tensor_info& info, std::span<double> values) {
    result["after." + info.name] = {info.shape, {values.begin(), values.end()}};
  });
  return result;
}

std::vector<double> noise(std::size_t count, std::uint64_t s) {
  random_stream random{seed{s}};
  std::vector<double> values(count);
  for (double& value : values) value = random.normal();
  return values;
}

template <class Readout>
void write(const fs::path& folder) {
  fs::create_directories(folder);
  net_t<Readout> net{seed{1}, neurons};
  // So small a network would be silent with the starting values. Running statistics that are not these, either.
  std::uint64_t number = 100;
  net.for_each_parameter([&](const tensor_info& info, std::span<double> values, std::span<double>) {
    if (info.name.find("bn") == std::string::npos && info.name.find("downsample.1") == std::string::npos) return;
    const bool weight = info.name.ends_with(".weight");
    const auto random = noise(values.size(), ++number);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = (weight ? 2 : 0.1) + (weight ? 0.2 : 0.1) * random[i];
  });
  for (std::uint64_t step = 1; step <= 3; ++step)
    net.train_step(noise(4 * image_size, step), std::vector<std::int32_t>{1, 2, 3, 4}, sgd{.learning_rate = 0.1});
  save_state_dict(net, folder / "model.safetensors");

  const std::vector<std::int32_t> labels{7, 0, 9};
  safetensors_writer writer;
  for (const auto& [name, tensor] : run(net, noise(labels.size() * image_size, 4), labels))
    writer.add<double>(name, tensor.shape, tensor.values);
  const std::vector<std::int64_t> wide(labels.begin(), labels.end());
  writer.add<std::int64_t>("labels", {labels.size()}, wide);
  writer.write(folder / "expected.safetensors");
}

template <class Readout>
bool check(const fs::path& folder) {
  net_t<Readout> net{seed{2}, neurons};
  load_state_dict(net, folder / "model.safetensors");
  const auto expected = safetensors_file::read(folder / "expected.safetensors");
  const auto wide = expected.values<std::int64_t>("labels");
  const std::vector<std::int32_t> labels(wide.begin(), wide.end());
  const auto actual = run(net, expected.values<double>("images"), labels);
  if (expected.tensors().size() != actual.size() + 1)
    throw file_error(expected.name() + ": has " + std::to_string(expected.tensors().size()) + " tensors, not " +
                     std::to_string(actual.size() + 1) + ".");

  std::map<std::string, double> worst;
  for (const auto& [name, tensor] : actual) {
    if (expected.at(name).shape != tensor.shape)
      throw file_error(expected.name() + ": " + name + " has another shape.");
    const auto values = expected.values<double>(name);
    if (name.starts_with("grad.") && std::ranges::all_of(tensor.values, [](double g) { return g == 0; }))
      throw file_error(expected.name() + ": nothing is compared where the gradient is 0: " + name + ".");
    double& group = worst[name.substr(0, name.find('.'))];
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double error = std::abs(values[i] - tensor.values[i]);
      group = std::isfinite(error) ? std::max(group, error) : HUGE_VAL;
    }
  }
  std::printf("%s: worst errors", folder.c_str());
  bool good = true;
  for (const auto& [group, error] : worst) {
    std::printf(" %s %.1e", group.c_str(), error);
    good = good && error <= tolerance;
  }
  std::printf(good ? "\n" : ": more than %.0e\n", tolerance);
  return good;
}

bool import_weights(const std::string& name, const fs::path& folder) {
  const library from = name == "stbp_simple" ? library::stbp_simple : library::spikingjelly;
  const neuron theirs = from == library::stbp_simple
                            ? neuron{.threshold = 0.4, .decay = 0.3}
                            : lif_node{.tau = 1 / 0.7, .threshold = 0.4}.neurons<double>();
  net_t<mean_current> net{seed{1}, theirs};
  import_state_dict(net, folder / "theirs.safetensors", from);
  export_state_dict(net, folder / "back.safetensors", from);

  const auto expected = safetensors_file::read(folder / "expected.safetensors");
  const auto logits = expected.values<double>("logits");
  const auto actual = net.evaluate(expected.values<double>("images"));
  double worst = actual.size() == logits.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < actual.size() && worst < HUGE_VAL; ++i) {
    const double error = std::abs(actual[i] - logits[i]);
    worst = std::isfinite(error) ? std::max(worst, error) : HUGE_VAL;
  }
  std::printf("%s: worst error of a logit %.1e\n", name.c_str(), worst);
  return worst <= 1e-10;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const bool imports = command == "import";
  if (argc != (imports ? 4 : 3) || (!imports && command != "write" && command != "check")) {
    std::fprintf(stderr, "usage: %s write|check DIRECTORY\n       %s import LIBRARY DIRECTORY\n", argv[0], argv[0]);
    return 2;
  }
  try {
    if (imports) return import_weights(argv[2], argv[3]) ? 0 : 1;
    const fs::path current = fs::path{argv[2]} / "mean_current", spikes = fs::path{argv[2]} / "mean_spikes";
    if (command == "check") {
      const bool good = check<mean_current>(current);
      return check<mean_spikes>(spikes) && good ? 0 : 1;
    }
    write<mean_current>(current);
    write<mean_spikes>(spikes);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
