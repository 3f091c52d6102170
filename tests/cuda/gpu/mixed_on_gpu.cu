// Mixed precision on a GPU, against float on the CPU.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <spikenet/cuda.cuh>
#include <string>

#include "cases.hpp"
#include "checks.hpp"

namespace {

using gpu_tests::expect;

// ||a - b|| / ||b|| of all gradients together.
double gradients_apart(const gpu_tests::outcome& a, const gpu_tests::outcome& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.gradients.size(); ++i) {
    for (std::size_t j = 0; j < b.gradients[i].values.size(); ++j) {
      const double expected = b.gradients[i].values[j], apart = a.gradients[i].values[j] - expected;
      difference += apart * apart;
      norm += expected * expected;
    }
  }
  return std::sqrt(difference / norm);
}

// As near to float as spikes that rounding turns over leave it, the same in a second run, and it learns. expected_apart: by
// how much the gradients are apart where the same kernels run on the tests' stand-in for the CUDA runtime, half and bfloat16
// being software's there; over six batches that is 0.16 to 0.20 in half and 0.30 to 0.33 in bfloat16.
template <class Real>
void check(const std::string& type, double expected_apart) {
  using network = gpu_tests::small_network<spikenet::cuda<float, spikenet::mixed<Real>>>;
  const gpu_tests::batch data = gpu_tests::make_batch(40, 3);
  const gpu_tests::outcome cpu = gpu_tests::run_on_cpu(data, 1), gpu = gpu_tests::run<network>(data, 1);
  const double apart = gradients_apart(gpu, cpu);
  std::printf("%s: loss %.4f, in float on the CPU %.4f; gradients apart by %.3f\n", type.c_str(), gpu.loss, cpu.loss, apart);
  expect(std::abs(gpu.loss - cpu.loss) < 0.05 * cpu.loss, type + ": loss");
  expect(std::abs(apart - expected_apart) < 0.05, type + ": gradients");
  const gpu_tests::outcome again = gpu_tests::run<network>(data, 1);
  for (std::size_t i = 0; i < gpu.updated.size(); ++i) {
    expect(gpu.updated[i].values == again.updated[i].values,
           type + ": " + gpu.updated[i].name + " after a step is not the same in a second run");
  }

  network net{spikenet::seed{1}};
  for (std::uint64_t step = 0; step < 150; ++step) {
    const gpu_tests::batch next = gpu_tests::make_batch(50, 100 + step);
    net.train_step(next.images, next.labels, spikenet::adam{.learning_rate = 2e-3});
  }
  const gpu_tests::batch unseen = gpu_tests::make_batch(200, 5);
  const double accuracy = net.test_step(unseen.images, unseen.labels).accuracy();
  std::printf("%s: accuracy on unseen images after 150 steps: %.3f\n", type.c_str(), accuracy);
  expect(accuracy > 0.95, type + ": accuracy " + std::to_string(accuracy));
}

}  // namespace

void gpu_tests::mixed() {
  check<__half>("half", 0.173);
  if (spikenet::cuda_devices()[0].compute_capability < 80) {
    std::printf("bfloat16: not on this GPU, whose compute capability is less than 8.0\n");
  } else {
    check<__nv_bfloat16>("bfloat16", 0.327);
  }
}
