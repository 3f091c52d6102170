// Saves and loads the network that spikenet-nir to-cpp has made of data/names.nir (names.hpp): PROGRAM FILE. Two
// tensors of one name could not be saved.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <names.hpp>
#include <spikenet/io/state_dict.hpp>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) return 1;
  auto net = model::make();
  spikenet::save_state_dict(net, argv[1]);
  model::network<> again{spikenet::seed{1}, model::neurons};
  spikenet::load_state_dict(again, argv[1]);
  const std::vector<float> frames(model::network<>::timesteps * 4, 1.5f);
  const auto logits = net.evaluate(frames), loaded = again.evaluate(frames);
  return std::equal(logits.begin(), logits.end(), loaded.begin(), loaded.end()) ? 0 : 1;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
