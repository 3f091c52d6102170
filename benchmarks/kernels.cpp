// The convolutions of the deep spiking residual network on one core: forward, the gradient by the input, the gradient
// by the weights; beside them what the core can do at most, and im2col with Eigen's matrix product.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

#include "common.hpp"
#include "fma_peak.hpp"

namespace {

using spikenet::conv2d_geometry;

using benchmarks::noise, benchmarks::report_flops;

void fma_peak(benchmark::State& state) {
  double operations = 0;
  for (auto _ : state) operations = benchmarks::multiply_add(1000);
  report_flops(state, operations);
}
BENCHMARK(fma_peak);

// One convolution over a batch of `items` maps.
template <class G>
struct problem {
  // As many maps as a training step of the small network has, fewer of the large ones.
  static constexpr std::size_t items = std::clamp<std::size_t>((1 << 21) / G::in_size, 8, 128);
  static constexpr std::size_t window = G::group_in * G::kernel * G::kernel;

  std::vector<float> x = noise(items * G::in_size, 1), y = noise(items * G::out_size, 2);
  std::vector<float> weight = noise(G::out_channels * window, 3), gradient = weight;
  spikenet::cpu<float> backend = benchmarks::backend_of(1);

  static void report(benchmark::State& state) {
    report_flops(state, 2.0 * static_cast<double>(items) * static_cast<double>(G::out_size * window));
  }
};

template <class G>
void forward(benchmark::State& state) {
  problem<G> p;
  for (auto _ : state) {
    p.backend.template conv2d_forward<G>(p.items, p.x.data(), p.weight.data(), nullptr, p.y.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

template <class G>
void backward_input(benchmark::State& state) {
  problem<G> p;
  for (auto _ : state) {
    p.backend.template conv2d_backward_input<G>(p.items, p.y.data(), p.weight.data(), p.x.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

// The kernel that is used where Winograd's method does not apply.
template <class G>
void backward_input_direct(benchmark::State& state) {
  problem<G> p;
  spikenet::cpu<float, spikenet::direct_convolution> backend;
  for (auto _ : state) {
    backend.template conv2d_backward_input<G>(p.items, p.y.data(), p.weight.data(), p.x.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

template <class G>
void backward_weight(benchmark::State& state) {
  problem<G> p;
  for (auto _ : state) {
    p.backend.template conv2d_backward_weight<G>(p.items, p.x.data(), p.y.data(), p.gradient.data());
    benchmark::ClobberMemory();
  }
  p.report(state);
}

// x [H, W, C] to patches [Ho * Wo, K * K * C].
template <class G>
void im2col(const float* x, float* patches) {
  constexpr auto pad = static_cast<std::ptrdiff_t>(G::padding);
  for (std::size_t row = 0; row < G::out_height; ++row) {
    for (std::size_t column = 0; column < G::out_width; ++column) {
      for (std::size_t k = 0; k < G::kernel; ++k) {
        const auto from_row = static_cast<std::ptrdiff_t>(row * G::stride + k) - pad;
        for (std::size_t l = 0; l < G::kernel; ++l, patches += G::in_channels) {
          const auto from_column = static_cast<std::ptrdiff_t>(column * G::stride + l) - pad;
          const bool inside = from_row >= 0 && from_row < static_cast<std::ptrdiff_t>(G::in_height) &&
                              from_column >= 0 && from_column < static_cast<std::ptrdiff_t>(G::in_width);
          if (inside) {
            const auto pixel = static_cast<std::size_t>(from_row) * G::in_width + static_cast<std::size_t>(from_column);
            std::copy_n(x + pixel * G::in_channels, G::in_channels, patches);
          } else {
            std::fill_n(patches, G::in_channels, 0.0f);
          }
        }
      }
    }
  }
}

// Eigen comes with the CPU backend; the products run on this one thread.
template <class G>
void eigen_im2col_forward(benchmark::State& state) {
  static_assert(G::groups == 1 && G::dilation == 1);
  using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  constexpr auto pixels = static_cast<Eigen::Index>(G::out_height * G::out_width);
  constexpr auto depth = static_cast<Eigen::Index>(problem<G>::window);
  constexpr auto outputs = static_cast<Eigen::Index>(G::out_channels);
  constexpr std::size_t taps = G::kernel * G::kernel;

  problem<G> p;
  matrix weight(depth, outputs), patches(pixels, depth);
  for (std::size_t out = 0; out < G::out_channels; ++out) {
    for (std::size_t in = 0; in < G::in_channels; ++in) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        weight(static_cast<Eigen::Index>(tap * G::in_channels + in), static_cast<Eigen::Index>(out)) =
            p.weight[(out * G::in_channels + in) * taps + tap];
      }
    }
  }
  for (auto _ : state) {
    for (std::size_t n = 0; n < p.items; ++n) {
      im2col<G>(p.x.data() + n * G::in_size, patches.data());
      Eigen::Map<matrix>(p.y.data() + n * G::out_size, pixels, outputs).noalias() = patches * weight;
    }
    benchmark::ClobberMemory();
  }
  p.report(state);

  std::vector<float> expected(p.y.size());
  p.backend.template conv2d_forward<G>(p.items, p.x.data(), p.weight.data(), nullptr, expected.data());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!(std::abs(p.y[i] - expected[i]) < 1e-2f)) return state.SkipWithError("differs from conv2d_forward");
  }
}

template <class G>
void add(const std::string& shape) {
  benchmark::RegisterBenchmark((shape + "/forward").c_str(), forward<G>);
  benchmark::RegisterBenchmark((shape + "/forward_eigen_im2col").c_str(), eigen_im2col_forward<G>);
  benchmark::RegisterBenchmark((shape + "/backward_input").c_str(), backward_input<G>);
  benchmark::RegisterBenchmark((shape + "/backward_input_direct").c_str(), backward_input_direct<G>);
  benchmark::RegisterBenchmark((shape + "/backward_weight").c_str(), backward_weight<G>);
}

// In, Size: of the input map; kernel K, padding K / 2.
template <std::size_t In, std::size_t Size, std::size_t Out, std::size_t K, std::size_t Stride>
void add_convolution() {
  add<conv2d_geometry<In, Size, Size, Out, K, Stride, K / 2, 1, 1>>(
      "conv" + std::to_string(K) + "x" + std::to_string(K) + "/" + std::to_string(In) + "to" + std::to_string(Out) +
      "at" + std::to_string(Size) + (Stride > 1 ? "stride" + std::to_string(Stride) : std::string()));
}

[[maybe_unused]] const bool added = [] {
  // Width 16: stem, the three stages, what leads from one to the next, and a projection.
  add_convolution<1, 28, 16, 3, 1>();
  add_convolution<16, 28, 16, 3, 1>();
  add_convolution<16, 28, 32, 3, 2>();
  add_convolution<32, 14, 32, 3, 1>();
  add_convolution<32, 14, 64, 3, 2>();
  add_convolution<64, 7, 64, 3, 1>();
  add_convolution<16, 28, 32, 1, 2>();
  // Width 64.
  add_convolution<64, 28, 64, 3, 1>();
  add_convolution<128, 14, 128, 3, 1>();
  add_convolution<256, 7, 256, 3, 1>();
  // Width 128.
  add_convolution<128, 28, 128, 3, 1>();
  add_convolution<256, 14, 256, 3, 1>();
  add_convolution<512, 7, 512, 3, 1>();
  return true;
}();

}  // namespace
