// The smallest program: a deep spiking residual network learns in which direction the stripes of an image run.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <spikenet/dsrn.hpp>
#include <vector>

using net_t = spikenet::dsrn<spikenet::cpu<float>, /*width*/ 8, /*timesteps*/ 2, spikenet::image<1, 28, 28>,
                             spikenet::classes<4>>;

struct batch {
  std::vector<float> images;         // [N, C, H, W]
  std::vector<std::int32_t> labels;  // [N]
};

// Noisy stripes: across, down, and along the two diagonals.
batch stripes(std::size_t size, spikenet::random_stream& random) {
  batch b;
  for (std::size_t n = 0; n < size; ++n) {
    const std::uint32_t direction = random.below(4), phase = random.below(6);
    for (std::uint32_t y = 0; y < net_t::height; ++y) {
      for (std::uint32_t x = 0; x < net_t::width; ++x) {
        const std::uint32_t along[]{x, y, x + y, x + 30 - y};
        const bool bright = (along[direction] + phase) % 6 < 3;
        b.images.push_back((bright ? 1.0f : 0.0f) + 0.3f * static_cast<float>(random.normal()));
      }
    }
    b.labels.push_back(static_cast<std::int32_t>(direction));
  }
  return b;
}

int main() {
  net_t net{spikenet::seed{1}};
  const spikenet::adam optimizer{.learning_rate = 5e-3};
  spikenet::random_stream random{spikenet::seed{2}};

  for (int step = 1; step <= 50; ++step) {
    const batch b = stripes(32, random);
    const auto result = net.train_step(b.images, b.labels, optimizer);
    if (step % 5 == 0) std::printf("step %2d  loss %.3f  accuracy %.2f\n", step, result.loss, result.accuracy());
  }

  const batch unseen = stripes(100, random);
  const double accuracy = net.test_step(unseen.images, unseen.labels).accuracy();
  std::printf("accuracy on new images: %.2f\n", accuracy);
  return accuracy > 0.7 ? 0 : 1;
}
