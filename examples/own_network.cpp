// A network of your own from the library's layers: its tensors, its training with a schedule of the learning rate, and
// how often the neurons of each layer fire.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numbers>
#include <span>
#include <spikenet/spikenet.hpp>
#include <string>
#include <vector>

using namespace spikenet;

// Layers name what they produce; what they receive is deduced. A name is optional (a layer without one goes by its
// index) and turns up in checkpoints and error messages.
using net_t = network<cpu<float>, timesteps<4>, image<1, 28, 28>,                   //
                      named<"conv1", conv2d<8, 3>>, tdbn<>, lif<>,                  // [8, 28, 28]
                      named<"block1", basic_block<16, stride<2>>>,                  // [16, 14, 14]
                      named<"block2", residual<sequence<conv2d<16, 3>, tdbn<2>>>>,  // identity shortcut, then lif
                      avg_pool2d<2>,                                                // [16, 7, 7]
                      conv2d<32, 3, stride<2>>, tdbn<>, lif<soft_reset>,            // [32, 4, 4]
                      global_avg_pool, named<"fc", linear<10>>>;                    // mean of its 4 outputs: the logits

struct batch {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
};

// Noisy stripes; their number is the label plus 1.
batch stripes(std::size_t size, random_stream& random) {
  batch b;
  for (std::size_t n = 0; n < size; ++n) {
    const std::uint32_t label = random.below(10);
    const double phase = random.uniform(0, 2 * std::numbers::pi);
    for (std::size_t i = 0; i < net_t::height * net_t::width; ++i) {
      const double across = static_cast<double>(i % net_t::width) / net_t::width;
      const double wave = std::sin(2 * std::numbers::pi * (label + 1) * across + phase);
      b.images.push_back(static_cast<float>((wave > 0 ? 1.0 : 0.0) + 0.2 * random.normal()));
    }
    b.labels.push_back(static_cast<std::int32_t>(label));
  }
  return b;
}

int main() {
  net_t net{seed{1}, neuron{.threshold = 0.5, .decay = 0.25, .surrogate = {.half_width = 0.5}}};

  std::printf("%zu parameters:\n", net.parameter_count());
  net.for_each_tensor([](const tensor_info& info, std::span<const float>) {
    std::string shape;
    for (const std::size_t extent : info.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
    std::printf("  %-32s [%s]%s\n", info.name.c_str(), shape.c_str(), info.trainable ? "" : "  running statistic");
  });

  const double base = 0.1;
  const int steps = 100;
  const cosine schedule{.epochs = steps};
  sgd optimizer{.learning_rate = base, .momentum = 0.9, .weight_decay = 1e-4};
  random_stream random{seed{2}};
  for (int step = 0; step < steps; ++step) {
    const batch b = stripes(32, random);
    optimizer.learning_rate = base * schedule(step);
    const step_result result = net.train_step(b.images, b.labels, optimizer);
    if (step % 25 == 24) std::printf("step %3d  loss %.3f  accuracy %.2f\n", step + 1, result.loss, result.accuracy());
  }

  const batch unseen = stripes(64, random);
  const double accuracy = net.test_step(unseen.images, unseen.labels).accuracy();
  std::printf("accuracy on new images: %.3f\n", accuracy);

  std::printf("firing rates:\n");
  net.evaluate(unseen.images, [](const std::string& name, auto output) {
    if constexpr (decltype(output)::signal_type::holds == content::spikes) {
      const auto fired = std::count(output.data, output.data + output.size(), 1.0f);
      std::printf("  %-16s %.3f\n", name.c_str(), static_cast<double>(fired) / static_cast<double>(output.size()));
    }
  });
  return accuracy > 0.7 ? 0 : 1;
}
