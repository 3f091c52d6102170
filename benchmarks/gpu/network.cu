// The deep spiking residual network as a whole on an NVIDIA GPU, in one precision: a training step (forward, backward,
// Adam), its kernels started one by one or as a CUDA graph, asked for its loss at once or every 20 steps, with the engines
// that are the fastest where they are tried; and evaluation.
//
// Wall time of a step, which ends when the host has the loss or the logits; upload and all else included.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <spikenet/cuda.cuh>
#include <type_traits>
#include <vector>

#include "gpu.hpp"

namespace {

using gpu_benchmark::precision;

constexpr std::size_t width = SPIKENET_GPU_BENCHMARK_WIDTH, timesteps = SPIKENET_GPU_BENCHMARK_TIMESTEPS;
#define SPIKENET_GPU_BENCHMARK_TEXT_OF(x) #x
#define SPIKENET_GPU_BENCHMARK_TEXT(x) SPIKENET_GPU_BENCHMARK_TEXT_OF(x)
constexpr precision chosen = precision::SPIKENET_GPU_BENCHMARK_PRECISION;
constexpr const char* name_of_chosen = SPIKENET_GPU_BENCHMARK_TEXT(SPIKENET_GPU_BENCHMARK_PRECISION);

// Runs f, which takes so many steps, often enough, after some calls that make plans and take memory, and prints how long a
// step takes.
template <class F>
void report(const char* name, std::size_t batch, F f, std::size_t steps = 1) {
  using clock = std::chrono::steady_clock;
  constexpr int warm_up = 5;
  constexpr std::size_t least = 10, most = 1000;
  constexpr double seconds = 1;
  for (int i = 0; i < warm_up; ++i) f();
  std::vector<double> times;
  double total = 0;
  while (times.size() < least || (total < seconds && times.size() < most)) {
    const auto start = clock::now();
    f();
    const double seconds_of_call = std::chrono::duration<double>(clock::now() - start).count();
    times.push_back(seconds_of_call / static_cast<double>(steps));
    total += seconds_of_call;
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf("%-9s %-28s %6zu %10.3f %10.3f %10.3f %12.0f\n", name_of_chosen, name, batch, 1e3 * median,
              1e3 * times.front(), 1e3 * times.back(), static_cast<double>(batch) / median);
  std::fflush(stdout);
}

template <precision, class... Options>
struct policy;
template <class... Options>
struct policy<precision::float32, Options...> : std::type_identity<spikenet::cuda<float, Options...>> {};
template <class... Options>
struct policy<precision::tf32, Options...>
    : std::type_identity<spikenet::cuda<float, spikenet::allow_tf32, Options...>> {};
template <class... Options>
struct policy<precision::float16, Options...>
    : std::type_identity<spikenet::cuda<float, spikenet::mixed<__half>, Options...>> {};
template <class... Options>
struct policy<precision::bfloat16, Options...>
    : std::type_identity<spikenet::cuda<float, spikenet::mixed<__nv_bfloat16>, Options...>> {};

template <class... Options>
using network = spikenet::dsrn<typename policy<chosen, Options...>::type, width, timesteps>;

}  // namespace

template <>
void gpu_benchmark::measure<chosen>(std::size_t batch) {
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
  constexpr std::size_t queued = 20;
  const auto queue_steps = [&](auto& net) {
    for (std::size_t i = 0; i < queued; ++i) net.queue_step(images, labels, optimizer);
    net.finish_steps();
  };
  {
    network<spikenet::step_graphs> net{spikenet::seed{1}};
    report("training step, step_graphs", batch, [&] { net.train_step(images, labels, optimizer); });
    report("the same, queued", batch, [&] { queue_steps(net); }, queued);
  }
  network<spikenet::step_graphs, spikenet::autotune> net{spikenet::seed{1}};
  report("the same, autotune", batch, [&] { queue_steps(net); }, queued);
}
