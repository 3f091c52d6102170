// spikenet's side of the comparison: the residual network of one size in a process that takes turns with others. It
// obeys commands on its standard input, a line each, and answers each with a line of JSON; worker.py does the same.
//
//     ours WEIGHTS INPUTS THREADS
//
// WEIGHTS: a state dict, or - for the network as it is initialised. INPUTS: compare.py's batches, a safetensors file
// with images [M,1,28,28] and labels [M] to train with, test_images and test_labels to evaluate.
//
//     train BATCH SECONDS     training steps from WEIGHTS on, until so many seconds have passed
//     evaluate BATCH SECONDS  batches of the test images
//     infer NUMBER BATCH SECONDS  the same by the network's inference, in float or int8
//     agree NUMBER            how well inference and network agree on the test images
//     memory BATCH            what a training step takes
//     record BATCH PATH       writes what it computes, for check of worker.py: logits and spikes of test images; loss,
//                             spikes and gradients of a training step
//     prepare STEPS PATH      trains that many steps from initialisation, and writes the weights
//     peak SECONDS            fp32 operations a second that all threads do at most, in registers
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <spikenet/dsrn.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/inference.hpp>
#include <spikenet/inference/parallel.hpp>
#include <spikenet/inference/quantise.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/training/monitor.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../fma_peak.hpp"

namespace {

using net_t = spikenet::dsrn<spikenet::cpu<float>, SPIKENET_PEER_WIDTH, SPIKENET_PEER_TIMESTEPS>;
constexpr std::size_t image_size = net_t::channels * net_t::height * net_t::width;

class stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(clock::now() - start_).count(); }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point start_ = clock::now();
};

// Labelled images that are gone through in batches, again and again.
struct batches {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  std::size_t next = 0;

  batches(const spikenet::safetensors_file& file, const std::string& prefix)
      : images{file.values<float>(prefix + "images")} {
    for (const std::int64_t label : file.values<std::int64_t>(prefix + "labels"))
      labels.push_back(static_cast<std::int32_t>(label));
  }

  struct batch {
    std::span<const float> images;
    std::span<const std::int32_t> labels;
  };
  batch take(std::size_t size) {
    if (size == 0 || size > labels.size())
      throw spikenet::argument_error("There are " + std::to_string(labels.size()) + " images, not " +
                                     std::to_string(size) + " for a batch.");
    if (next + size > labels.size()) next = 0;
    const batch taken{std::span{images}.subspan(next * image_size, size * image_size),
                      std::span{labels}.subspan(next, size)};
    next += size;
    return taken;
  }
};

// In kB, of this process: VmRSS, what it has in memory, or VmHWM, the most it has had.
std::size_t memory_in_use(const std::string& which) {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(which + ":")) return std::stoul(line.substr(which.size() + 1));
  }
  throw spikenet::error("/proc/self/status has no " + which + ".");
}

// The value of a neuron that the file's metadata has, where it has one.
double neuron_value(const spikenet::safetensors_file& file, const char* name, double otherwise) {
  const auto found = file.metadata().find(name);
  return found == file.metadata().end() ? otherwise : std::stod(found->second);
}

double mean_firing_rate(const spikenet::monitor& seen) {
  double spikes = 0, chances = 0;
  for (const spikenet::neuron_statistics& layer : seen.neurons()) {
    spikes += static_cast<double>(layer.spikes());
    chances += static_cast<double>(layer.neurons * layer.timesteps * layer.images);
  }
  return spikes / chances;
}

// The inference of a network as it is now, by all threads.
template <class Number>
class deployed {
  using one_image = spikenet::parallel_inference<net_t::architecture, Number, 1>;
  using many_images = spikenet::parallel_inference<net_t::architecture, Number>;
  using parameters = typename one_image::parameters;

 public:
  using logit = typename one_image::logit;

  // images: what values they have.
  deployed(const net_t& net, std::span<const float> images)
      : parameters_{made_of(net, images)},
        one_{std::make_unique<one_image>(*parameters_)},
        many_{std::make_unique<many_images>(*parameters_)} {}

  // Valid until the next call.
  std::span<const logit> logits(std::span<const float> images) {
    logits_.resize(images.size() / image_size * net_t::classes);
    if (images.size() == image_size)
      one_->logits(images, logits_);
    else
      many_->logits(images, logits_);
    return logits_;
  }

  // What 1 is as a logit of the network.
  double logit_unit() const {
    if constexpr (std::is_floating_point_v<Number>)
      return 1;
    else
      return parameters_->constants.logit_unit;
  }

 private:
  static std::unique_ptr<parameters> made_of(const net_t& net, std::span<const float> images) {
    if constexpr (std::is_floating_point_v<Number>)
      return spikenet::fold<one_image>(net);
    else
      return spikenet::quantise<one_image>(net, images);
  }

  std::unique_ptr<parameters> parameters_;
  std::unique_ptr<one_image> one_;
  std::unique_ptr<many_images> many_;
  std::vector<logit> logits_;
};

class worker {
 public:
  worker(const std::string& weights, const std::string& inputs, std::size_t threads)
      : worker{weights == "-" ? std::nullopt : std::optional{spikenet::safetensors_file::read(weights)},
               spikenet::safetensors_file::read(inputs), threads} {}

  std::string obey(const std::string& line) {
    std::istringstream words{line};
    std::string command, number, path;
    std::size_t count = 0;
    double seconds = 0;
    words >> command;
    if (command == "train" && words >> count >> seconds) return train(count, seconds);
    if (command == "evaluate" && words >> count >> seconds) return evaluate(count, seconds);
    if (command == "infer" && words >> number >> count >> seconds)
      return with_number(number, [&](auto model) { return infer(model, count, seconds); });
    if (command == "agree" && words >> number)
      return with_number(number, [&](auto model) { return agree(model); });
    if (command == "memory" && words >> count) return memory(count);
    if (command == "record" && words >> count >> path) return record(count, path);
    if (command == "prepare" && words >> count >> path) return prepare(count, path);
    if (command == "peak" && words >> seconds) return peak(seconds);
    throw spikenet::argument_error("\"" + line + "\" is no command.");
  }

 private:
  worker(std::optional<spikenet::safetensors_file> weights, const spikenet::safetensors_file& inputs,
         std::size_t threads)
      : weights_{std::move(weights)},
        training_{inputs, ""},
        test_{inputs, "test_"},
        threads_{threads},
        net_{with_threads(threads), weights_ ? neurons_of(*weights_) : spikenet::neuron{}} {
    start_again();
  }

  static spikenet::seed with_threads(std::size_t threads) {
    spikenet::set_cpu_threads(threads);
    return spikenet::seed{1};
  }
  static spikenet::neuron neurons_of(const spikenet::safetensors_file& file) {
    const spikenet::neuron otherwise;
    return {.threshold = neuron_value(file, "v_th", otherwise.threshold),
            .decay = neuron_value(file, "tau", otherwise.decay),
            .surrogate = {.half_width = neuron_value(file, "surrogate_half_width", otherwise.surrogate.half_width)}};
  }

  // Every turn takes the same steps from the same weights.
  void start_again() {
    if (weights_) spikenet::load_state_dict(net_, *weights_);
    net_.restore_updates<spikenet::adam>(0, 0);
    training_.next = test_.next = 0;
  }

  void train_step(std::size_t batch) {
    const auto [images, labels] = training_.take(batch);
    net_.train_step(images, labels, spikenet::adam{.learning_rate = 1e-4});
  }

  // The first step is not timed: it takes the memory.
  std::string train(std::size_t batch, double seconds) {
    start_again();
    train_step(batch);
    std::size_t steps = 0;
    const stopwatch watch;
    do {
      train_step(batch);
      ++steps;
    } while (watch.seconds() < seconds);
    const double taken = watch.seconds();
    spikenet::monitor monitor;
    net_.for_each_output(monitor);
    return turn(steps, taken, mean_firing_rate(monitor));
  }

  std::string evaluate(std::size_t batch, double seconds) {
    start_again();
    net_.evaluate(test_.take(batch).images);
    std::size_t steps = 0;
    const stopwatch watch;
    do {
      net_.evaluate(test_.take(batch).images);
      ++steps;
    } while (watch.seconds() < seconds);
    const double taken = watch.seconds();
    spikenet::monitor monitor;
    net_.evaluate(test_.take(batch).images, monitor);
    return turn(steps, taken, mean_firing_rate(monitor));
  }

  // f(the network's inference in numbers of that name).
  template <class F>
  std::string with_number(const std::string& number, F&& f) {
    start_again();
    if (number == "float") return f(deployed<float>{net_, training_.images});
    if (number == "int8") return f(deployed<spikenet::quantised<float>>{net_, training_.images});
    throw spikenet::argument_error("\"" + number + "\" is no kind of number.");
  }

  template <class Model>
  std::string infer(Model& model, std::size_t batch, double seconds) {
    model.logits(test_.take(batch).images);
    std::size_t steps = 0;
    const stopwatch watch;
    do {
      model.logits(test_.take(batch).images);
      ++steps;
    } while (watch.seconds() < seconds);
    const double taken = watch.seconds();
    return "{\"steps\": " + std::to_string(steps) + ", \"seconds\": " + std::to_string(taken) + "}";
  }

  template <class Model>
  std::string agree(Model& model) {
    std::size_t same = 0;
    std::vector<double> differences;  // the largest of each image
    constexpr std::size_t batch = 100;
    const std::size_t images = test_.labels.size() / batch * batch;
    for (std::size_t done = 0; done < images; done += batch) {
      const auto [pixels, labels] = test_.take(batch);
      const std::span<const float> expected = net_.evaluate(pixels);
      const auto logits = model.logits(pixels);
      for (std::size_t n = 0; n < batch; ++n) {
        const auto ours = logits.subspan(n * net_t::classes, net_t::classes);
        const auto theirs = expected.subspan(n * net_t::classes, net_t::classes);
        same += std::max_element(ours.begin(), ours.end()) - ours.begin() ==
                        std::max_element(theirs.begin(), theirs.end()) - theirs.begin()
                    ? 1
                    : 0;
        double& difference = differences.emplace_back(0);
        for (std::size_t k = 0; k < net_t::classes; ++k)
          difference = std::max(difference, std::abs(model.logit_unit() * static_cast<double>(ours[k]) - theirs[k]));
      }
    }
    std::nth_element(differences.begin(), differences.begin() + images / 2, differences.end());
    std::ostringstream answer;
    answer << "{\"images\": " << images << ", \"same_class\": " << same
           << ", \"median_difference\": " << differences[images / 2] << "}";
    return answer.str();
  }

  static std::string turn(std::size_t steps, double seconds, double rate) {
    std::ostringstream answer;
    answer << "{\"steps\": " << steps << ", \"seconds\": " << seconds << ", \"rate\": " << rate << "}";
    return answer.str();
  }

  // A step with two images first, so that what the library takes once is there.
  std::string memory(std::size_t batch) {
    start_again();
    train_step(2);
    std::ofstream{"/proc/self/clear_refs"} << 5;  // the most starts again from what there is
    const std::size_t before = memory_in_use("VmRSS");
    train_step(batch);
    return "{\"before\": " + std::to_string(before) + ", \"peak\": " + std::to_string(memory_in_use("VmHWM")) + "}";
  }

  std::string record(std::size_t batch, const std::string& path) {
    start_again();
    spikenet::safetensors_writer file;
    std::string prefix = "spikes.";
    std::size_t number = 0;
    const auto write_spikes = [&]<class Signal>(const std::string& name, spikenet::tensor<Signal, const float> output) {
      // A residual block shows its last neurons again, under its own name.
      if constexpr (Signal::holds == spikenet::content::spikes) {
        if (name.find("spike") == std::string::npos) return;
        const std::vector<std::int64_t> bits = packed(std::span{output.data, output.size()});
        file.add<std::int64_t>(prefix + std::to_string(number++), {bits.size()}, bits);
      }
    };
    const std::size_t count = std::min(batch, std::size_t{64});  // an observer is shown no more at once
    const auto logits = net_.evaluate(test_.take(count).images, write_spikes);
    file.add<float>("logits", {count, net_t::classes}, logits);

    // Where a trained network is right, its gradients are small differences of large numbers; so let it be wrong.
    const auto [images, labels] = training_.take(batch);
    std::vector<std::int32_t> others;
    for (const std::int32_t label : labels) others.push_back((label + 1) % static_cast<std::int32_t>(net_t::classes));
    const double loss = net_.compute_gradients(images, others).loss;
    file.add<std::int64_t>("labels", {batch}, std::vector<std::int64_t>(others.begin(), others.end()));
    file.add<double>("loss", {}, std::span{&loss, 1});
    number = 0;
    prefix = "training_spikes.";
    net_.for_each_output(write_spikes);
    net_.for_each_parameter([&](const spikenet::tensor_info& info, std::span<float>, std::span<float> gradient) {
      file.add<float>("gradient." + info.name, info.shape, gradient);
    });
    file.write(path);
    return "{}";
  }

  // A bit for each value, the first in the lowest.
  static std::vector<std::int64_t> packed(std::span<const float> spikes) {
    std::vector<std::uint64_t> words((spikes.size() + 63) / 64);
    for (std::size_t i = 0; i < spikes.size(); ++i) words[i / 64] |= std::uint64_t{spikes[i] != 0} << (i % 64);
    return {words.begin(), words.end()};
  }

  std::string prepare(std::size_t steps, const std::string& path) {
    start_again();
    constexpr std::size_t batch = 64;
    for (std::size_t step = 0; step < steps; ++step) {
      const auto [images, labels] = training_.take(batch);
      net_.train_step(images, labels, spikenet::adam{.learning_rate = 1e-3});
    }
    for (std::size_t n = 1; n <= 10; ++n) net_.recalibrate(training_.take(batch).images, n);
    spikenet::save_state_dict(net_, path, {{"steps", std::to_string(steps)}});
    return "{}";
  }

  std::string peak(double seconds) const {
    std::vector<double> rates(threads_);
    const auto measure = [seconds](double& rate) {
      double operations = 0, taken = 0;
      const stopwatch watch;
      do {
        operations += benchmarks::multiply_add(100'000);
        taken = watch.seconds();
      } while (taken < seconds);
      rate = operations / taken;
    };
    std::vector<std::thread> threads;
    for (double& rate : rates) threads.emplace_back([&measure, &rate] { measure(rate); });
    double sum = 0;
    for (std::size_t i = 0; i < threads_; ++i) {
      threads[i].join();
      sum += rates[i];
    }
    return "{\"flops\": " + std::to_string(sum) + "}";
  }

  std::optional<spikenet::safetensors_file> weights_;
  batches training_, test_;
  std::size_t threads_;
  net_t net_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s WEIGHTS INPUTS THREADS\n", argv[0]);
    return 2;
  }
  try {
    worker w{argv[1], argv[2], std::stoul(argv[3])};
    std::cout << "{}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) std::cout << w.obey(line) << std::endl;
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
