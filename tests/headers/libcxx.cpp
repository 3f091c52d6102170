// Trains a network, and saves and loads it, if there is a header for that: PROGRAM FILE. Includes every header.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <headers.hpp>
#include <vector>

namespace {

using namespace spikenet;
using net_t =
    network<cpu<float>, timesteps<2>, image<1, 6, 6>, conv2d<4, 3>, tdbn<>, lif<>, avg_pool2d<2>, flatten, linear<3>>;

bool learns(const char* path) {
  net_t net{seed{1}}, again{seed{2}};
  std::vector<float> images(4 * 36);
  random_stream random{seed{3}};
  for (float& pixel : images) pixel = static_cast<float>(random.normal());
  const std::vector<std::int32_t> labels{0, 1, 2, 0};
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    last = net.train_step(images, labels, adam{}).loss;
    if (step == 0) first = last;
  }
  std::printf("loss %g, after 20 steps %g\n", first, last);
#if __has_include(<nlohmann/json.hpp>)
  save_state_dict(net, path);
  load_state_dict(again, path);
  const auto logits = net.evaluate(images), loaded = again.evaluate(images);
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] != loaded[i]) return false;
#endif
  return std::isfinite(last) && last < first;
}

}  // namespace

int main(int argc, char** argv) try {
  return argc == 2 && learns(argv[1]) ? 0 : 1;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
