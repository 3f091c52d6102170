// Tests that need a GPU: cuda_gpu CASE. Where there is none, one line says so, and the status is 77 (CTest: skipped).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <spikenet/cuda.cuh>
#include <string>

#include "cases.hpp"

namespace {

using network = gpu_tests::small_network<spikenet::cuda<float>>;

int failures = 0;
void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

// The largest difference, in parts of the largest value.
double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    apart = std::max(apart, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest > 0 ? apart / largest : apart;
}

// float rounds differently where sums are taken in another order, and a spike that turns over for it moves the rest: the
// bounds are for that. Which batch it is was chosen before there was a GPU to run it on.
void parity() {
  const gpu_tests::batch data = gpu_tests::make_batch(40, 3);
  const gpu_tests::outcome cpu = gpu_tests::run_on_cpu(data, 3), gpu = gpu_tests::run<network>(data, 3);
  const gpu_tests::outcome again = gpu_tests::run<network>(data, 3);
  expect(difference(cpu.logits, gpu.logits) < 1e-2, "logits: " + std::to_string(difference(cpu.logits, gpu.logits)));
  for (std::size_t i = 0; i < cpu.names.size(); ++i) {
    const double apart = difference(cpu.gradients[i], gpu.gradients[i]);
    expect(apart < 5e-2, cpu.names[i] + ": its gradient: " + std::to_string(apart));
    expect(gpu.gradients[i] == again.gradients[i], cpu.names[i] + ": its gradient is not the same in a second run");
    expect(gpu.updated[i] == again.updated[i], cpu.names[i] + " after 3 steps is not the same in a second run");
  }
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    expect(std::abs(cpu.losses[i] - gpu.losses[i]) < 2e-2 * cpu.losses[i],
           "loss " + std::to_string(i) + ": " + std::to_string(gpu.losses[i]) + ", on the CPU " +
               std::to_string(cpu.losses[i]));
  }
}

// It learns, and what it has learned holds for images it has not seen.
void training() {
  network net{spikenet::seed{1}};
  const spikenet::adam optimizer{.learning_rate = 2e-3f};
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
  const spikenet::adam optimizer{.learning_rate = 2e-3f};
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

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  void (*const test)() = name == "parity" ? parity : name == "training" ? training : name == "memory" ? memory : nullptr;
  if (!test) {
    std::fprintf(stderr, "usage: cuda_gpu parity|training|memory\n");
    return 2;
  }
  if (const auto reason = spikenet::why_no_cuda_device()) {
    std::printf("Skipped: %s\n", reason->c_str());
    return 77;
  }
  try {
    test();
  } catch (const std::exception& e) {
    expect(false, e.what());
  }
  return failures ? 1 : 0;
}
