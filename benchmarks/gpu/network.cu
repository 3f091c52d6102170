// The deep spiking residual network as a whole on an NVIDIA GPU: a training step (forward, backward, Adam), its kernels
// started one by one or as a CUDA graph, and evaluation. spikenet_gpu_benchmark [BATCH...]
//
// Wall time of each call, which ends when the host has the loss or the logits; upload and all else included.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <spikenet/cuda.cuh>
#include <vector>

namespace {

constexpr std::size_t width = SPIKENET_GPU_BENCHMARK_WIDTH, timesteps = SPIKENET_GPU_BENCHMARK_TIMESTEPS;

// Runs f often enough, after some calls that make plans and take memory, and prints how long a call takes.
template <class F>
void report(const char* name, std::size_t batch, F f) {
  using clock = std::chrono::steady_clock;
  constexpr int warm_up = 5;
  constexpr std::size_t least = 10, most = 1000;
  constexpr double seconds = 2;
  for (int i = 0; i < warm_up; ++i) f();
  std::vector<double> times;
  double total = 0;
  while (times.size() < least || (total < seconds && times.size() < most)) {
    const auto start = clock::now();
    f();
    times.push_back(std::chrono::duration<double>(clock::now() - start).count());
    total += times.back();
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf("%-26s %6zu %10.3f %10.3f %10.3f %12.0f\n", name, batch, 1e3 * median, 1e3 * times.front(),
              1e3 * times.back(), static_cast<double>(batch) / median);
  std::fflush(stdout);
}

template <class... Options>
using network = spikenet::dsrn<spikenet::cuda<float, Options...>, width, timesteps>;

void measure(std::size_t batch) {
  std::vector<float> images(batch * network<>::input::size);
  std::vector<std::int32_t> labels(batch);
  spikenet::random_stream random{spikenet::seed{2}};
  for (float& value : images) value = static_cast<float>(random.normal());
  for (std::size_t n = 0; n < batch; ++n) labels[n] = static_cast<std::int32_t>(n % network<>::classes);
  const spikenet::adam optimizer{.learning_rate = 1e-3};
  {
    network<> net{spikenet::seed{1}};
    report("training step", batch, [&] { net.train_step(images, labels, optimizer); });
    report("evaluation", batch, [&] { net.evaluate(images); });
  }
  network<spikenet::step_graphs> net{spikenet::seed{1}};
  report("training step, step_graphs", batch, [&] { net.train_step(images, labels, optimizer); });
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto reason = spikenet::why_no_cuda_device()) {
    std::printf("Skipped: %s\n", reason->c_str());
    return 0;
  }
  std::vector<std::size_t> batches;
  for (int i = 1; i < argc; ++i) {
    const long batch = std::strtol(argv[i], nullptr, 10);
    if (batch < 1) {
      std::fprintf(stderr, "%s: \"%s\" is no size of a batch. Usage: %s [BATCH...]\n", argv[0], argv[i], argv[0]);
      return 2;
    }
    batches.push_back(static_cast<std::size_t>(batch));
  }
  if (batches.empty()) batches = {64, 256};
  try {
    std::printf("%s, width %zu, %zu timesteps, float\n%-26s %6s %10s %10s %10s %12s\n",
                spikenet::cuda_devices().front().name.c_str(), width, timesteps, "", "batch", "median ms", "least",
                "most", "images/s");
    for (const std::size_t batch : batches) measure(batch);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}
