// Tests that need a GPU: cuda_gpu CASE. Where there is none, one line says so, and the status is 77 (CTest: skipped).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <spikenet/cuda.cuh>
#include <string>

#include "cases.hpp"
#include "checks.hpp"

namespace {

using gpu_tests::expect, gpu_tests::named_values;
using network = gpu_tests::small_network<spikenet::cuda<float>>;

// The largest difference, in parts of the largest value.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    apart = std::max(apart, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest > 0 ? apart / largest : apart;
}

// The share of values that are further apart than rounding carries them: spikes that turned over, and what they reach.
double share_apart(const std::vector<float>& a, const std::vector<float>& b) {
  const auto magnitude = [](float value) { return std::abs(value); };
  float largest = 0;
  for (const float value : a) largest = std::max(largest, magnitude(value));
  std::size_t apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) apart += magnitude(a[i] - b[i]) > 1e-4f * largest ? 1 : 0;
  return static_cast<double>(apart) / static_cast<double>(a.size());
}

void expect_same_bits(const std::vector<named_values>& a, const std::vector<named_values>& b, const std::string& what) {
  expect(a.size() == b.size(), what + ": their number");
  for (std::size_t i = 0; i < a.size(); ++i) {
    expect(a[i].name == b[i].name && a[i].values == b[i].values, a[i].name + ": " + what);
  }
}

// float rounds differently where sums are taken in another order, and a spike that turns over for it moves the rest: the
// bounds are for that. Which batch it is was chosen before there was a GPU to run it on.
void parity() {
  const gpu_tests::batch data = gpu_tests::make_batch(40, 3);
  const gpu_tests::outcome cpu = gpu_tests::run_on_cpu(data, 3), gpu = gpu_tests::run<network>(data, 3);
  const gpu_tests::outcome again = gpu_tests::run<network>(data, 3);
  expect(cpu.layers.size() == gpu.layers.size(), "the number of layers");
  for (std::size_t i = 0; i < cpu.layers.size(); ++i) {
    const double apart = share_apart(cpu.layers[i].values, gpu.layers[i].values);
    expect(cpu.layers[i].name == gpu.layers[i].name && cpu.layers[i].values.size() == gpu.layers[i].values.size(),
           cpu.layers[i].name + ": its name and size");
    expect(apart < (i == 0 ? 1e-9 : 1e-2), cpu.layers[i].name + ": apart in a share of " + std::to_string(apart));
  }
  expect(difference(cpu.logits, gpu.logits) < 1e-2, "logits: " + std::to_string(difference(cpu.logits, gpu.logits)));
  for (std::size_t i = 0; i < cpu.gradients.size(); ++i) {
    const double apart = difference(cpu.gradients[i].values, gpu.gradients[i].values);
    expect(apart < 5e-2, cpu.gradients[i].name + ": its gradient: " + std::to_string(apart));
  }
  expect_same_bits(gpu.layers, again.layers, "its output is not the same in a second run");
  expect_same_bits(gpu.gradients, again.gradients, "its gradient is not the same in a second run");
  expect_same_bits(gpu.updated, again.updated, "after 3 steps it is not the same in a second run");
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    expect(std::abs(cpu.losses[i] - gpu.losses[i]) < 2e-2 * cpu.losses[i],
           "loss " + std::to_string(i) + ": " + std::to_string(gpu.losses[i]) + ", on the CPU " +
               std::to_string(cpu.losses[i]));
  }
}

// Steps that are started as a graph compute what those do whose kernels are started one by one; so do steps that are queued.
void graphs() {
  using with_graphs = gpu_tests::small_network<spikenet::cuda<float, spikenet::step_graphs>>;
  const gpu_tests::batch data = gpu_tests::make_batch(40, 3);
  const gpu_tests::outcome plain = gpu_tests::run<network>(data, 6), recorded = gpu_tests::run<with_graphs>(data, 6);
  expect_same_bits(plain.gradients, recorded.gradients, "its gradient");
  expect_same_bits(plain.updated, recorded.updated, "after 6 steps");
  expect(plain.losses == recorded.losses, "the losses");

  with_graphs net{spikenet::seed{7}};
  net.compute_gradients(data.images, data.labels);
  for (int step = 0; step < 6; ++step) net.queue_step(data.images, data.labels, spikenet::adam{.learning_rate = 2e-3});
  const double loss = net.finish_steps().loss, mean = std::accumulate(plain.losses.begin(), plain.losses.end(), 0.0) / 6;
  expect(std::abs(loss - mean) < 1e-9 * mean,
         "the loss of queued steps: " + std::to_string(loss) + ", not " + std::to_string(mean));
  expect_same_bits(plain.updated, gpu_tests::parameters_of(net), "after 6 queued steps");
}

// It learns, and what it has learned holds for images it has not seen.
void training() {
  network net{spikenet::seed{1}};
  const spikenet::adam optimizer{.learning_rate = 2e-3};
  for (std::uint64_t step = 0; step < 150; ++step) {
    const gpu_tests::batch data = gpu_tests::make_batch(50, 100 + step);
    net.train_step(data.images, data.labels, optimizer);
  }
  const gpu_tests::batch unseen = gpu_tests::make_batch(200, 5);
  const double accuracy = net.test_step(unseen.images, unseen.labels).accuracy();
  std::printf("accuracy on unseen images after 150 steps: %.3f\n", accuracy);
  expect(accuracy > 0.95, "accuracy " + std::to_string(accuracy));
}

std::size_t free_memory() {
  std::size_t free = 0, total = 0;
  spikenet::detail::check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

// Memory is taken in the first step, and given back with the network.
void memory() {
  const gpu_tests::batch data = gpu_tests::make_batch(40, 3), smaller = gpu_tests::make_batch(10, 4);
  const spikenet::adam optimizer{.learning_rate = 2e-3};
  {
    network first{spikenet::seed{1}};  // the context and the libraries keep what they take
    first.train_step(data.images, data.labels, optimizer);
  }
  const std::size_t before = free_memory();
  {
    network net{spikenet::seed{1}};
    net.train_step(data.images, data.labels, optimizer);
    net.evaluate(data.images);
    const std::size_t taken = free_memory();
    for (int i = 0; i < 20; ++i) net.train_step(data.images, data.labels, optimizer);
    net.evaluate(data.images);
    expect(free_memory() == taken, "later steps take memory of the device");
    net.train_step(smaller.images, smaller.labels, optimizer);
  }
  expect(free_memory() >= before, "a network does not give back " + std::to_string(before - free_memory()) + " bytes");
}

struct test_case {
  const char* name;
  void (*run)();
};
constexpr test_case cases[] = {
    {"parity", parity}, {"graphs", graphs}, {"training", training}, {"mixed", gpu_tests::mixed}, {"mnist", gpu_tests::mnist},
    {"memory", memory}};

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  const auto* const chosen =
      std::find_if(std::begin(cases), std::end(cases), [&](const test_case& c) { return name == c.name; });
  if (chosen == std::end(cases)) {
    std::fprintf(stderr, "usage: cuda_gpu parity|graphs|training|mixed|mnist|memory\n");
    return 2;
  }
  if (const auto reason = spikenet::why_no_cuda_device()) {
    std::printf("Skipped: %s\n", reason->c_str());
    return 77;
  }
  try {
    chosen->run();
  } catch (const std::exception& e) {
    expect(false, e.what());
  }
  return gpu_tests::failures ? 1 : 0;
}
