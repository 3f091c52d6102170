// Taking running statistics anew: tdBN's mean and variance over several batches, for parameters that stay as they are.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;
template <class Spike>
using net_of = network<cpu<double>, timesteps<2>, image<2, 6, 6>, named<"conv", conv2d<4, 3>>, named<"bn", tdbn<>>,
                       lif<Spike>, named<"block", basic_block<6, stride<2>, Spike>>, global_avg_pool,
                       named<"fc", linear<3>>>;
using net_t = net_of<heaviside>;

values images_of(std::size_t count, std::uint64_t s) { return test::normal<double>(count * 2 * 6 * 6, s); }

// All trainable tensors, or all running statistics, one after another.
values tensors_of(net_t& net, bool trainable) {
  values all;
  net.for_each_tensor([&](const tensor_info& info, std::span<double> tensor) {
    if (info.trainable == trainable) all.insert(all.end(), tensor.begin(), tensor.end());
  });
  return all;
}

}  // namespace

TEST_CASE("recalibrated statistics are the mean of those of the batches, whatever they were before", "[recalibration]") {
  net_t net{seed{1}, {.threshold = 0.3}};
  net.train_step(images_of(8, 100), test::labels(8, 3, 1), adam{});  // away from 0 and 1
  const values parameters = tensors_of(net, true);

  values mean;
  for (std::uint64_t s = 1; s <= 3; ++s) {  // batches of one size: the mean needs no weights
    net.recalibrate(images_of(5, s), 1);
    const values alone = tensors_of(net, false);
    mean.resize(alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) mean[i] += alone[i] / 3;
  }

  for (std::size_t n = 1; n <= 3; ++n) net.recalibrate(images_of(5, n), n);
  CHECK(test::error(tensors_of(net, false), mean) < 1e-14);
  CHECK(tensors_of(net, true) == parameters);
}

TEST_CASE("evaluation with the statistics of a batch gives its logits in training", "[recalibration]") {
  net_of<ramp> net{seed{2}, {.threshold = 0.3}};  // a spike would make much of a small difference
  const values images = images_of(64, 7);
  net.compute_gradients(images, test::labels(64, 3, 7));
  const values in_training(net.logits().begin(), net.logits().end());

  const auto evaluated = [&] { return test::error(net.evaluate(images), in_training); };
  CHECK(evaluated() > 0.1);  // running averages have taken in no more than a tenth of the batch
  // What is left: the running variance is the unbiased one, larger by 1 / 1151 (64 maps of 3 x 3 at 2 timesteps).
  net.recalibrate(images, 1);
  CHECK(evaluated() < 2.0 / 1151);
}

TEST_CASE("training goes its way whether or not statistics are recalibrated", "[recalibration]") {
  net_t left_alone{seed{3}}, recalibrated{seed{3}};
  for (std::uint64_t step = 0; step < 4; ++step) {
    const values images = images_of(6, step);
    const auto labels = test::labels(6, 3, step);
    left_alone.train_step(images, labels, adam{});
    recalibrated.train_step(images, labels, adam{});
    recalibrated.recalibrate(images_of(9, 50 + step), 1);
  }
  CHECK(tensors_of(left_alone, true) == tensors_of(recalibrated, true));
  CHECK(tensors_of(left_alone, false) != tensors_of(recalibrated, false));
}

TEST_CASE("what cannot be recalibrated with changes nothing", "[recalibration]") {
  net_t net{seed{4}};
  const values before = tensors_of(net, false);
  values images = images_of(3, 1);
  CHECK_THROWS_MATCHES(net.recalibrate(images, 0), error, says("counted from 1"));
  CHECK_THROWS_MATCHES(net.recalibrate(std::span(images).first(10), 1), argument_error,
                       says("1 image of 2x6x6 is 72 values, but 10 were given"));
  CHECK_THROWS_MATCHES(net.recalibrate(std::span(images).first(100), 1), argument_error,
                       says("1 image of 2x6x6 is 72 values, but 100 were given"));
  images[5] = test::nan<double>;
  CHECK_THROWS_MATCHES(net.recalibrate(images, 1), error, says("value 5 of the batch is not finite"));
  CHECK(tensors_of(net, false) == before);
}
