// What the GPU's tests run, on any backend: the CPU's results by the C++ compiler (on_cpu.cpp), the GPU's by nvcc
// (on_gpu.cu).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <spikenet/core/random.hpp>
#include <spikenet/layer/conv2d.hpp>
#include <spikenet/layer/lif.hpp>
#include <spikenet/layer/linear.hpp>
#include <spikenet/layer/pooling.hpp>
#include <spikenet/layer/tdbn.hpp>
#include <spikenet/network/network.hpp>
#include <spikenet/network/residual.hpp>
#include <spikenet/training/loss.hpp>
#include <spikenet/training/optimizer.hpp>
#include <string>
#include <vector>

namespace gpu_tests {

// Every kind of layer that the residual network has, on small images: a stem, a block that keeps its shape, one that halves
// it, a classifier of two layers.
template <class Backend>
using small_network =
    spikenet::network<Backend, spikenet::timesteps<2>, spikenet::image<1, 12, 12>, spikenet::conv2d<16, 3>,
                      spikenet::tdbn<>, spikenet::lif<>, spikenet::basic_block<16>,
                      spikenet::basic_block<32, spikenet::stride<2>>, spikenet::global_avg_pool, spikenet::linear<32>,
                      spikenet::lif<>, spikenet::linear<10>>;

inline constexpr std::size_t pixels = 12 * 12, classes = 10;

struct batch {
  std::vector<float> images;         // [N, 1, 12, 12]
  std::vector<std::int32_t> labels;  // [N]
};

// Images that a network can learn: a bright bar whose place is the label, and noise.
inline batch make_batch(std::size_t size, std::uint64_t seed) {
  spikenet::random_stream random(spikenet::seed{seed}, 0);
  batch made{std::vector<float>(size * pixels), std::vector<std::int32_t>(size)};
  for (std::size_t n = 0; n < size; ++n) {
    const std::size_t label = n % classes;
    made.labels[n] = static_cast<std::int32_t>(label);
    for (std::size_t i = 0; i < pixels; ++i) {
      const float bar = i / 12 == label + 1 ? 1.0f : 0.0f;
      made.images[n * pixels + i] = bar + 0.2f * static_cast<float>(random.uniform());
    }
  }
  return made;
}

// What a network did with a batch.
struct outcome {
  std::vector<float> logits;
  double loss = 0;
  std::vector<std::string> names;                // of the parameters
  std::vector<std::vector<float>> gradients;     // of each, of the batch
  std::vector<std::vector<float>> updated;       // each after `steps` steps of training
  std::vector<double> losses;                    // of each of those
};

template <class Network>
outcome run(const batch& data, std::size_t steps) {
  Network net{spikenet::seed{7}};
  outcome result;
  result.loss = net.compute_gradients(data.images, data.labels).loss;
  const auto logits = net.logits();
  result.logits.assign(logits.begin(), logits.end());
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<float>, std::span<float> gradient) {
    result.names.push_back(info.name);
    result.gradients.emplace_back(gradient.begin(), gradient.end());
  });
  const spikenet::adam optimizer{.learning_rate = 2e-3f};
  for (std::size_t i = 0; i < steps; ++i) {
    result.losses.push_back(net.train_step(data.images, data.labels, optimizer).loss);
  }
  net.for_each_parameter([&](const spikenet::tensor_info&, std::span<float> values, std::span<float>) {
    result.updated.emplace_back(values.begin(), values.end());
  });
  return result;
}

outcome run_on_cpu(const batch& data, std::size_t steps);

}  // namespace gpu_tests
