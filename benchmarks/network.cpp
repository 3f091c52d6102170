// The deep spiking residual network as a whole, on all cores: a training step (forward, backward, Adam) of 64 images
// and the evaluation of 200.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <spikenet/dsrn.hpp>
#include <vector>

namespace {

template <class Net>
struct experiment {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
  Net net;

  explicit experiment(std::size_t size) : images(size * Net::channels * Net::height * Net::width), net{all_cores()} {
    spikenet::random_stream random{spikenet::seed{2}};
    for (float& value : images) value = static_cast<float>(random.normal());
    for (std::size_t n = 0; n < size; ++n) labels.push_back(static_cast<std::int32_t>(n % Net::classes));
  }

  static spikenet::seed all_cores() {
    spikenet::set_cpu_threads(0);
    return spikenet::seed{1};
  }
};

template <std::size_t Width, std::size_t Timesteps>
void train_step(benchmark::State& state) {
  experiment<spikenet::dsrn<spikenet::cpu<float>, Width, Timesteps>> e(64);
  const spikenet::adam optimizer{.learning_rate = 1e-3};
  e.net.train_step(e.images, e.labels, optimizer);  // takes the memory
  for (auto _ : state) benchmark::DoNotOptimize(e.net.train_step(e.images, e.labels, optimizer).loss);
  state.SetItemsProcessed(state.iterations() * 64);
}

template <std::size_t Width, std::size_t Timesteps>
void evaluate(benchmark::State& state) {
  experiment<spikenet::dsrn<spikenet::cpu<float>, Width, Timesteps>> e(200);
  e.net.evaluate(e.images);
  for (auto _ : state) benchmark::DoNotOptimize(e.net.evaluate(e.images).data());
  state.SetItemsProcessed(state.iterations() * 200);
}

BENCHMARK(train_step<16, 2>)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(evaluate<16, 2>)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(train_step<16, 4>)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(evaluate<16, 4>)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
