// The convolutions of packed spikes on one core, beside the dense ones and what the core can do at most. The figures
// are those of the dense convolution they replace: its operations over the time taken, whatever the firing rate.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

#include "common.hpp"

namespace {

using benchmarks::noise;

using spikenet::conv2d_geometry;

// One convolution over a batch of `items` maps of spikes, `percent` of all places.
template <class G>
struct problem {
  static constexpr std::size_t items = 128;  // 64 images at two timesteps
  static constexpr std::size_t window = G::group_in * G::kernel * G::kernel;
  static constexpr std::size_t pixels = items * G::in_height * G::in_width;

  spikenet::cpu<float> backend = benchmarks::backend_of(1);
  std::vector<float> x = std::vector<float>(items * G::in_size);
  std::vector<spikenet::spike_bits> packed =
      std::vector<spikenet::spike_bits>(pixels * spikenet::spike_bytes<G::in_channels>);
  std::vector<float> y = noise(items * G::out_size, 2), weight = noise(G::out_channels * window, 3), gradient = weight;

  explicit problem(benchmark::State& state) {
    spikenet::random_stream random(spikenet::seed{1});
    for (float& spike : x) spike = random.below(100) < static_cast<std::uint32_t>(state.range(0)) ? 1.0f : 0.0f;
    backend.template pack<G::in_channels>(pixels, x.data(), packed.data());
  }

  static void report(benchmark::State& state) {
    benchmarks::report_flops(state, 2.0 * static_cast<double>(items) * static_cast<double>(G::out_size * window));
  }
};

template <class G>
void dense_forward(benchmark::State& state) {
  problem<G> p(state);
  for (auto _ : state) {
    p.backend.template conv2d_forward<G>(p.items, p.x.data(), p.weight.data(), nullptr, p.y.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

template <class G>
void spike_forward(benchmark::State& state) {
  problem<G> p(state);
  for (auto _ : state) {
    p.backend.template conv2d_forward<G>(p.items, p.packed.data(), p.weight.data(), nullptr, p.y.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

template <class G>
void dense_backward_weight(benchmark::State& state) {
  problem<G> p(state);
  for (auto _ : state) {
    p.backend.template conv2d_backward_weight<G>(p.items, p.x.data(), p.y.data(), p.gradient.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

template <class G>
void spike_backward_weight(benchmark::State& state) {
  problem<G> p(state);
  for (auto _ : state) {
    p.backend.template conv2d_backward_weight<G>(p.items, p.packed.data(), p.y.data(), p.gradient.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

// In, Size: of the input map; kernel K, padding K / 2.
template <std::size_t In, std::size_t Size, std::size_t Out, std::size_t K, std::size_t Stride>
void add_convolution() {
  using G = conv2d_geometry<In, Size, Size, Out, K, Stride, K / 2, 1, 1>;
  const std::string shape = "spikes" + std::to_string(K) + "x" + std::to_string(K) + "/" + std::to_string(In) + "to" +
                            std::to_string(Out) + "at" + std::to_string(Size) +
                            (Stride > 1 ? "stride" + std::to_string(Stride) : std::string());
  benchmark::RegisterBenchmark((shape + "/dense_forward").c_str(), dense_forward<G>)->Arg(15);
  benchmark::RegisterBenchmark((shape + "/forward").c_str(), spike_forward<G>)->Arg(5)->Arg(10)->Arg(20)->Arg(30);
  benchmark::RegisterBenchmark((shape + "/dense_backward_weight").c_str(), dense_backward_weight<G>)->Arg(15);
  benchmark::RegisterBenchmark((shape + "/backward_weight").c_str(), spike_backward_weight<G>)
      ->Arg(5)
      ->Arg(10)
      ->Arg(15)
      ->Arg(20)
      ->Arg(30);
}

[[maybe_unused]] const bool added = [] {
  // The three stages of widths 16, 64 and 128; what leads from one stage to the next; a projection.
  add_convolution<16, 28, 16, 3, 1>();
  add_convolution<32, 14, 32, 3, 1>();
  add_convolution<64, 7, 64, 3, 1>();
  add_convolution<64, 28, 64, 3, 1>();
  add_convolution<128, 14, 128, 3, 1>();
  add_convolution<256, 7, 256, 3, 1>();
  add_convolution<128, 28, 128, 3, 1>();
  add_convolution<512, 7, 512, 3, 1>();
  add_convolution<16, 28, 32, 3, 2>();
  add_convolution<32, 14, 64, 3, 2>();
  add_convolution<128, 28, 256, 3, 2>();
  add_convolution<16, 28, 32, 1, 2>();
  add_convolution<128, 28, 256, 1, 2>();
  return true;
}();

}  // namespace
