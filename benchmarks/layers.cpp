// The layers around the convolutions, on all cores: tdBN and LIF in one pass and one by one, and the linear layer. The
// operations are those that a training step calls, with the shapes of a network of width 16, 2 timesteps, 64 images.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <spikenet/spikenet.hpp>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t T = 2, batch = 64;

using dynamics = spikenet::lif<>::dynamics;

using benchmarks::noise;

// A tdBN and its neurons: maps of C channels, Size x Size.
template <std::size_t C, std::size_t Size>
struct normalised_neurons {
  static constexpr std::size_t rows_of_a_step = batch * Size * Size, rows = T * rows_of_a_step;

  spikenet::cpu<float> backend = benchmarks::backend_of(0);
  spikenet::neuron_constants<float> constants = spikenet::neuron{}.constants<float>();
  std::vector<float> x = noise(rows * C, 1), go = noise(rows * C, 2);
  std::vector<float> between = x, gx = x;
  std::vector<spikenet::spike_bits> out = std::vector<spikenet::spike_bits>(rows * spikenet::spike_bytes<C>);
  static constexpr const float* no_residual = nullptr;
  std::vector<float> scale = noise(C, 3), shift = noise(C, 4), mean = noise(C, 5), inverse_stddev = scale;
  std::vector<double> moments = std::vector<double>(2 * C), sums = moments;

  static void report(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows * C));
  }
};

template <std::size_t C, std::size_t Size>
void tdbn_lif_fused_forward(benchmark::State& state) {
  normalised_neurons<C, Size> n;
  for (auto _ : state) {
    n.backend.template channel_moments<C>(n.rows, n.x.data(), n.moments.data(), n.moments.data() + C);
    n.backend.template tdbn_lif_forward<dynamics, T, T, C>(n.rows_of_a_step, n.constants, n.x.data(), n.scale.data(),
                                                           n.shift.data(), n.no_residual, n.out.data());
  }
  n.report(state);
}

template <std::size_t C, std::size_t Size>
void tdbn_lif_one_by_one_forward(benchmark::State& state) {
  normalised_neurons<C, Size> n;
  for (auto _ : state) {
    n.backend.template channel_moments<C>(n.rows, n.x.data(), n.moments.data(), n.moments.data() + C);
    n.backend.template channel_affine<C>(n.rows, n.x.data(), nullptr, n.scale.data(), nullptr, n.shift.data(),
                                         n.between.data());
    n.backend.template lif_forward<dynamics, T, T, C>(n.rows_of_a_step, n.constants, n.between.data(), n.out.data());
  }
  n.report(state);
}

template <std::size_t C, std::size_t Size>
void tdbn_lif_fused_backward(benchmark::State& state) {
  normalised_neurons<C, Size> n;
  for (auto _ : state) {
    n.backend.template tdbn_lif_backward<dynamics, T, T, C>(
        n.rows_of_a_step, n.constants, n.x.data(), n.scale.data(), n.shift.data(), n.no_residual, n.mean.data(),
        n.inverse_stddev.data(), n.go.data(), n.gx.data(), n.sums.data());
    n.backend.template channel_affine<C>(n.rows, n.gx.data(), n.x.data(), n.scale.data(), n.mean.data(), n.shift.data(),
                                         n.gx.data());
  }
  n.report(state);
}

template <std::size_t C, std::size_t Size>
void tdbn_lif_one_by_one_backward(benchmark::State& state) {
  normalised_neurons<C, Size> n;
  for (auto _ : state) {
    n.backend.template lif_backward<dynamics, T, T>(n.rows_of_a_step * C, n.constants, n.between.data(), n.go.data(),
                                                    n.gx.data());
    n.backend.template normalisation_sums<C>(n.rows, n.x.data(), n.gx.data(), n.mean.data(), n.inverse_stddev.data(),
                                             n.sums.data());
    n.backend.template channel_affine<C>(n.rows, n.gx.data(), n.x.data(), n.scale.data(), n.mean.data(), n.shift.data(),
                                         n.gx.data());
  }
  n.report(state);
}

BENCHMARK(tdbn_lif_fused_forward<16, 28>)->UseRealTime();
BENCHMARK(tdbn_lif_one_by_one_forward<16, 28>)->UseRealTime();
BENCHMARK(tdbn_lif_fused_backward<16, 28>)->UseRealTime();
BENCHMARK(tdbn_lif_one_by_one_backward<16, 28>)->UseRealTime();
BENCHMARK(tdbn_lif_fused_forward<64, 7>)->UseRealTime();
BENCHMARK(tdbn_lif_one_by_one_forward<64, 7>)->UseRealTime();
BENCHMARK(tdbn_lif_fused_backward<64, 7>)->UseRealTime();
BENCHMARK(tdbn_lif_one_by_one_backward<64, 7>)->UseRealTime();

// forward and both gradients of In -> Out features
template <std::size_t In, std::size_t Out>
void linear(benchmark::State& state) {
  constexpr std::size_t items = T * batch;
  spikenet::cpu<float> backend = benchmarks::backend_of(0);
  std::vector<float> x = noise(items * In, 1), y = noise(items * Out, 2), weight = noise(In * Out, 3), bias(Out);
  std::vector<float> gradient(In * Out);
  for (auto _ : state) {
    backend.template linear_forward<In, Out>(items, x.data(), weight.data(), bias.data(), y.data());
    backend.template linear_backward_weight<In, Out>(items, x.data(), y.data(), gradient.data());
    backend.template linear_backward_input<In, Out>(items, y.data(), weight.data(), x.data());
    benchmark::ClobberMemory();
  }
  benchmarks::report_flops(state, 6.0 * items * In * Out);
}
BENCHMARK(linear<64, 256>)->UseRealTime();
BENCHMARK(linear<256, 10>)->UseRealTime();
BENCHMARK(linear<512, 256>)->UseRealTime();

}  // namespace
