// A user's file as the compiler sees it: one network, trained and evaluated.
#include <cstdint>
#include <cstdio>
#include <spikenet/dsrn.hpp>
#include <vector>

using net_t = spikenet::dsrn<spikenet::cpu<float>, 16, 2>;

int main() {
  net_t net{spikenet::seed{1}};
  spikenet::adam optimizer{.learning_rate = 1e-3};
  const std::vector<std::int32_t> labels{0, 1, 2, 3};
  const std::vector<float> images(labels.size() * net_t::channels * net_t::height * net_t::width, 0.5f);
  for (int step = 0; step < 3; ++step) std::printf("loss %f\n", net.train_step(images, labels, optimizer).loss);
  std::printf("first logit %f\n", static_cast<double>(net.evaluate(images)[0]));
}
