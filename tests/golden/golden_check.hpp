// Holds one DSRN, in double, against golden files: whole training steps computed by an independent implementation.
//
//     golden_check_8x2s4 FILE...
//
// SPIKENET_GOLDEN_WIDTH, _TIMESTEPS and _STEM are the network's, SPIKENET_GOLDEN_VARIANTS a list of variants, below.
//
// A golden file is a safetensors file (F64; labels I64) whose metadata says what was run: timesteps, width, stem, v_th,
// surrogate_half_width, tau, reset (hard, soft), reset_gradient (through, detached), readout (mean_spikes,
// mean_current), adam_steps, lr, betas, eps, tdbn_eps, tdbn_momentum. Its keys:
//
//     input [N,1,28,28], labels [N]     the batch
//     initial.NAME                      every parameter and running statistic at the start
//     train.logits, train.loss          of the first training-mode forward pass
//     activation.NAME [T,N,...]         outputs of some layers in that pass
//     rate.NAME                         the mean of a layer's output in that pass
//     grad.NAME                         every parameter's gradient
//     after_forward.NAME                running statistics after that pass
//     after_K_adam_steps.NAME           the state after K steps of Adam on this batch
//     eval_state.NAME                   another state, and in evaluation mode with it:
//     eval.logits, eval.rate.NAME
//
// Prints the worst absolute error of each group of keys; exits with 1 where one exceeds 1e-9, or where a key of the file
// was not checked, with 2 where a file cannot be used.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <set>
#include <span>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/network/dsrn.hpp>
#include <spikenet/networks.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace golden {

constexpr std::size_t width = SPIKENET_GOLDEN_WIDTH;
constexpr std::size_t timesteps = SPIKENET_GOLDEN_TIMESTEPS;
constexpr std::size_t stem = SPIKENET_GOLDEN_STEM;
constexpr double tolerance = 1e-9;

class golden_file {
 public:
  explicit golden_file(const std::string& path) : file_{spikenet::safetensors_file::read(path)} {
    expect("width", width);
    expect("timesteps", timesteps);
    expect("stem", stem);
    expect_number("tdbn_eps", spikenet::tdbn<>::epsilon);
    expect_number("tdbn_momentum", spikenet::tdbn<>::momentum);
    for (const auto& [name, entry] : file_.tensors()) unchecked_.insert(name);
  }

  const std::string& text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) throw spikenet::file_error(file_.name() + ": the metadata lacks " + key + ".");
    return found->second;
  }
  double number(const std::string& key) const { return to_number(key, text(key)); }
  // The number before and after the comma.
  std::pair<double, double> numbers(const std::string& key) const {
    const std::string& both = text(key);
    const std::size_t comma = both.find(',');
    if (comma == std::string::npos) throw spikenet::file_error(file_.name() + ": " + key + " is not two numbers.");
    return {to_number(key, both.substr(0, comma)), to_number(key, both.substr(comma + 1))};
  }
  // The choice the file made of two.
  bool is(const std::string& key, const std::string& yes, const std::string& no) const {
    const std::string& value = text(key);
    if (value != yes && value != no) {
      throw spikenet::file_error(file_.name() + ": " + key + " is " + value + ", neither " + yes + " nor " + no + ".");
    }
    return value == yes;
  }

  bool contains(const std::string& key) const { return file_.contains(key); }
  const std::vector<std::size_t>& shape(const std::string& key) const { return file_.at(key).shape; }

  template <class T = double>
  std::vector<T> take(const std::string& key) {
    unchecked_.erase(key);
    return file_.values<T>(key);
  }

  // Compares a value of the network with the file's; the group's worst error is kept. NaN counts as infinitely wrong.
  void compare(const std::string& group, const std::string& key, std::span<const double> ours) {
    const std::vector<double> theirs = take(key);
    if (theirs.size() != ours.size()) {
      throw spikenet::file_error(file_.name() + ": " + key + " has " + std::to_string(theirs.size()) + " values, not " +
                                 std::to_string(ours.size()) + ".");
    }
    worst& w = groups_[group];
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const double error = std::abs(ours[i] - theirs[i]);
      if (!(error <= w.error)) w = {std::isnan(error) ? HUGE_VAL : error, key, w.values};
    }
    w.values += ours.size();
  }

  bool report() const {
    bool good = true;
    std::printf("%s\n", file_.name().c_str());
    for (const auto& [group, w] : groups_) {
      std::printf("  %-12s %9zu values, worst error %.2e%s%s\n", group.c_str(), w.values, w.error,
                  w.error > 0 ? " in " : "", w.key.c_str());
      good = good && w.error <= tolerance;
    }
    for (const std::string& key : unchecked_) std::printf("  not checked: %s\n", key.c_str());
    return good && unchecked_.empty();
  }

 private:
  struct worst {
    double error = 0;
    std::string key;
    std::size_t values = 0;
  };

  double to_number(const std::string& key, const std::string& value) const {
    try {
      return std::stod(value);
    } catch (const std::logic_error&) {
      throw spikenet::file_error(file_.name() + ": " + key + " is \"" + value + "\", not a number.");
    }
  }
  void expect(const std::string& key, std::size_t built) const {
    if (text(key) != std::to_string(built)) {
      throw spikenet::file_error(file_.name() + ": has " + key + " " + text(key) + ", but this program was built for " +
                                 std::to_string(built) + ".");
    }
  }
  void expect_number(const std::string& key, double built) const {
    if (std::abs(number(key) - built) > 1e-15) {
      throw spikenet::file_error(file_.name() + ": has " + key + " " + text(key) + ", but the library has " +
                                 std::to_string(built) + ".");
    }
  }

  spikenet::safetensors_file file_;
  std::set<std::string> unchecked_;
  std::map<std::string, worst> groups_;
};

// [steps, N, H, W, C] to the file's [steps, N, C, H, W].
template <class Signal>
std::vector<double> channels_first(const spikenet::tensor<Signal, const double>& y) {
  constexpr std::size_t channels = Signal::channels, pixels = Signal::size / channels;
  std::vector<double> values(y.size());
  for (std::size_t item = 0; item < y.items(); ++item) {
    for (std::size_t p = 0; p < pixels; ++p) {
      for (std::size_t c = 0; c < channels; ++c) {
        values[item * Signal::size + c * pixels + p] = y.data[item * Signal::size + p * channels + c];
      }
    }
  }
  return values;
}

template <class Network>
void set_state(Network& net, golden_file& file, const std::string& prefix) {
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<double> values) {
    const std::vector<double> from = file.take(prefix + info.name);
    if (from.size() != values.size()) throw spikenet::file_error(prefix + info.name + " has another size.");
    std::copy(from.begin(), from.end(), values.begin());
  });
}

// Means and, where the file has them, values of the outputs of layers.
inline auto output_checker(golden_file& file, const std::string& rates, const std::string& activations) {
  return [&file, rates, activations](const std::string& name, const auto& y) {
    const std::vector<double> values = channels_first(y);
    double sum = 0;
    for (const double v : values) sum += v;
    const double mean = sum / static_cast<double>(values.size());
    if (file.contains(rates + name)) file.compare(rates + "*", rates + name, {&mean, 1});
    if (!activations.empty() && file.contains(activations + name)) {
      file.compare(activations + "*", activations + name, values);
    }
  };
}

template <class Backend, class... Options>
void check(golden_file& file) {
  using net_t = spikenet::dsrn<Backend, width, timesteps, spikenet::stem<stem>, Options...>;
  net_t net{spikenet::seed{1}, spikenet::neuron{.threshold = file.number("v_th"),
                                                .decay = file.number("tau"),
                                                .surrogate = {.half_width = file.number("surrogate_half_width")}}};
  const auto [beta1, beta2] = file.numbers("betas");
  const spikenet::adam adam{
      .learning_rate = file.number("lr"), .beta1 = beta1, .beta2 = beta2, .epsilon = file.number("eps")};
  const std::vector<double> images = file.take("input");
  const auto labels64 = file.take<std::int64_t>("labels");
  const std::vector<std::int32_t> labels(labels64.begin(), labels64.end());

  set_state(net, file, "initial.");
  const double loss = net.compute_gradients(images, labels).loss;
  file.compare("train.logits", "train.logits", net.logits());
  file.compare("train.loss", "train.loss", {&loss, 1});
  net.for_each_output(output_checker(file, "rate.", "activation."));
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<double>, std::span<double> gradient) {
    file.compare("grad.*", "grad." + info.name, gradient);
  });
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<double> values) {
    if (!info.trainable) file.compare("after_forward.*", "after_forward." + info.name, values);
  });

  const auto steps = static_cast<int>(file.number("adam_steps"));
  const std::string after = "after_" + std::to_string(steps) + "_adam_steps.";
  net.update(adam);
  for (int i = 1; i < steps; ++i) net.train_step(images, labels, adam);
  net.for_each_tensor([&](const spikenet::tensor_info& info, std::span<double> values) {
    file.compare(after + "*", after + info.name, values);
  });

  set_state(net, file, "eval_state.");
  file.compare("eval.logits", "eval.logits", net.evaluate(images, output_checker(file, "eval.rate.", "")));
}

// A file's choices as compile-time options of the network.
template <class Reset, class ResetGradient, class Readout>
struct variant {
  static bool is_that_of(const golden_file& file) {
    return file.is("reset", "hard", "soft") == std::is_same_v<Reset, spikenet::hard_reset> &&
           file.is("reset_gradient", "through", "detached") == std::is_same_v<ResetGradient, spikenet::through_reset> &&
           file.is("readout", "mean_spikes", "mean_current") == std::is_same_v<Readout, spikenet::mean_spikes>;
  }
  template <class Backend>
  static void check(golden_file& file) {
    golden::check<Backend, Reset, ResetGradient, Readout>(file);
  }
};

// Checks a file of one of these variants.
template <class Backend, class... Variants>
bool check_file(const std::string& path) {
  golden_file file(path);
  const bool known = ((Variants::is_that_of(file) ? (Variants::template check<Backend>(file), true) : false) || ...);
  if (!known) throw spikenet::file_error(path + ": is of a variant that this program was not built for.");
  return file.report();
}

template <class Backend, class... Variants>
int run(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s GOLDEN_FILE...\n", argv[0]);
    return 2;
  }
  bool good = true;
  try {
    for (int i = 1; i < argc; ++i) good = check_file<Backend, Variants...>(argv[i]) && good;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  std::printf(good ? "All within %.0e.\n" : "Worse than %.0e, or not all checked.\n", tolerance);
  return good ? 0 : 1;
}

}  // namespace golden
