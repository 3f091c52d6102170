#include "spikenet/network/profile.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

template <class Backend>
using net_t = network<Backend, timesteps<2>, image<1, 6, 6>, named<"conv1", conv2d<3, 3>>, named<"bn1", tdbn<>>,
                      named<"spike1", lif<>>, named<"block", basic_block<4>>, global_avg_pool, named<"fc", linear<5>>>;

template <class Backend>
void check_names(const std::vector<std::string>& expected) {
  constexpr std::size_t batch = 3, runs = 2;
  const auto images = test::normal<double>(batch * 36, 1);
  const auto labels = test::labels(batch, 5, 2);
  net_t<Backend> net{seed{1}}, alone{seed{1}};
  profile times;
  net.profile_into(&times);
  for (std::size_t run = 0; run < runs; ++run) {
    net.train_step(images, labels, adam{});
    alone.train_step(images, labels, adam{});
  }
  net.profile_into(nullptr);
  net.evaluate(images);

  std::vector<std::string> names;
  double total = 0;
  for (const auto& layer : times.layers()) {
    CAPTURE(layer.name);
    names.push_back(layer.name);
    CHECK(layer.forward >= 0);
    CHECK(layer.backward >= 0);
    total += layer.forward + layer.backward;
    if (layer.name == "input") {
      CHECK(layer.forwards == runs);
    } else if (layer.name == "loss") {
      CHECK(layer.backwards == runs);
    } else if (layer.name == "block.sum") {  // the gradients of both branches; forward only where nothing is fused
      CHECK(layer.backwards == runs);
      CHECK(layer.forwards == (Backend::fuses_stages ? 0 : runs));
    } else if (layer.name == "update") {
      CHECK(layer.backwards == 2 * runs);  // the check of the gradients, and the optimizer
    } else {
      CHECK(layer.forwards == runs);
      CHECK(layer.backwards == runs);
    }
  }
  CHECK(names == expected);
  CHECK(times.total() == total);
  CHECK(total > 0);
  CHECK(std::equal(net.logits().begin(), net.logits().end(), alone.evaluate(images).begin()));
  times.clear();
  CHECK(times.layers().empty());
}

}  // namespace

TEST_CASE("a profile has every layer by its name, stages together", "[profile]") {
  check_names<cpu<double>>({"input", "conv1", "bn1 + spike1", "block.conv1", "block.bn1 + spike1", "block.conv2",
                            "block.downsample.0", "block.downsample.1", "block.bn2 + spike2", "4", "fc", "loss",
                            "block.sum", "update"});
  check_names<cpu<double, one_by_one>>({"input", "conv1", "bn1", "spike1", "block.conv1", "block.bn1", "block.spike1",
                                        "block.conv2", "block.bn2", "block.downsample.0", "block.downsample.1",
                                        "block.sum", "block.spike2", "4", "fc", "loss", "update"});
}
