// What the GPU's tests run, on any backend: the CPU's results by the C++ compiler (*on_cpu.cpp), the GPU's by nvcc
// (*on_gpu.cu).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <spikenet/core/random.hpp>
#include <spikenet/layer/conv2d.hpp>
#include <spikenet/layer/lif.hpp>
#include <spikenet/layer/linear.hpp>
#include <spikenet/layer/pooling.hpp>
#include <spikenet/layer/tdbn.hpp>
#include <spikenet/network/dsrn.hpp>
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
  std::vector<float> images;         // [N, 1, H, W]
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

struct named_values {
  std::string name;
  std::vector<float> values;
};

// What a network did with a batch.
struct outcome {
  std::vector<float> logits;
  double loss = 0;
  std::vector<named_values> layers;     // what each put out, in their order
  std::vector<named_values> gradients;  // of each parameter
  std::vector<named_values> updated;    // each parameter after `steps` steps of training
  std::vector<double> losses;           // of each of those
};

template <class Network>
std::vector<named_values> parameters_of(Network& net) {
  std::vector<named_values> all;
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<float> values, std::span<float>) {
    all.push_back({info.name, {values.begin(), values.end()}});
  });
  return all;
}

template <class Network>
outcome run(const batch& data, std::size_t steps) {
  Network net{spikenet::seed{7}};
  outcome result;
  result.loss = net.compute_gradients(data.images, data.labels).loss;
  const auto logits = net.logits();
  result.logits.assign(logits.begin(), logits.end());
  net.for_each_output([&](const std::string& name, const auto& output) {
    result.layers.push_back({name, {output.data, output.data + output.size()}});
  });
  net.for_each_parameter([&](const spikenet::tensor_info& info, std::span<float>, std::span<float> gradient) {
    result.gradients.push_back({info.name, {gradient.begin(), gradient.end()}});
  });
  const spikenet::adam optimizer{.learning_rate = 2e-3};
  for (std::size_t i = 0; i < steps; ++i) {
    result.losses.push_back(net.train_step(data.images, data.labels, optimizer).loss);
  }
  result.updated = parameters_of(net);
  return result;
}

outcome run_on_cpu(const batch& data, std::size_t steps);

// The residual network of 19 layers on images of MNIST.
template <class Backend>
using mnist_network = spikenet::dsrn<Backend, 8, 2>;

// Of the bundled files: the first images of the training files, or of the test files.
batch mnist_images(const std::string& files, std::size_t count);

// What a network has learned.
struct training_record {
  std::vector<double> losses;     // of each step
  double loss = 0, accuracy = 0;  // of the unseen images, running statistics taken anew from the training images
};

// The last two epochs take a tenth of the steps' length, so that how it ends is less a matter of the last batches.
template <class Network>
training_record train(const batch& data, const batch& unseen, std::size_t epochs, std::size_t batch_size) {
  Network net{spikenet::seed{11}};
  const std::span<const float> images(data.images);
  const std::span<const std::int32_t> labels(data.labels);
  const std::size_t image_size = images.size() / labels.size();
  training_record record;
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    const spikenet::adam optimizer{.learning_rate = epoch + 2 < epochs ? 2e-3 : 2e-4};
    for (std::size_t first = 0; first < labels.size(); first += batch_size) {
      const std::size_t size = std::min(batch_size, labels.size() - first);
      record.losses.push_back(net.train_step(images.subspan(first * image_size, size * image_size),
                                             labels.subspan(first, size), optimizer).loss);
    }
  }
  net.recalibrate(images, 1);
  const auto result = net.test_step(unseen.images, unseen.labels);
  record.loss = result.loss;
  record.accuracy = result.accuracy();
  return record;
}

training_record train_on_cpu(const batch& data, const batch& unseen, std::size_t epochs, std::size_t batch_size);

}  // namespace gpu_tests
