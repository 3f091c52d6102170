// In single precision the fast kernels add up in another order than the plain ones. Where that makes any difference
// beyond rounding, it must begin with a neuron that is at its threshold but for rounding.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/neuron_recorder.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using test::neuron_recorder;

template <class Backend>
using net_t = network<Backend, timesteps<3>, image<1, 12, 12>, conv2d<16, 3>, tdbn<>, lif<>, basic_block<16>,
                      basic_block<32, stride<2>>, basic_block<32>, global_avg_pool, linear<20>, lif<>, linear<10>>;
using fast = net_t<cpu<float>>;
using plain = net_t<cpu<float, one_by_one, real_spikes, direct_convolution>>;

struct comparison {
  std::size_t same = 0, different = 0;  // images whose neurons all fired alike, and others
  double distance = 0;                  // from the threshold, of what differed first
  double logits = 0;                    // largest difference of an image whose neurons all fired alike
};

comparison compare(const neuron_recorder& a, const neuron_recorder& b, const std::vector<float>& logits_a,
                   const std::vector<float>& logits_b, std::size_t images, double threshold) {
  comparison result;
  REQUIRE(a.layers.size() == b.layers.size());
  for (std::size_t n = 0; n < images; ++n) {
    bool differs = false;
    for (std::size_t l = 0; l < a.layers.size() && !differs; ++l) {
      const auto &la = a.layers[l], &lb = b.layers[l];
      REQUIRE(la.name == lb.name);
      const std::size_t steps = la.spikes.size() / (images * la.size);
      for (std::size_t t = 0; t < steps && !differs; ++t) {
        for (std::size_t i = 0; i < la.size; ++i) {
          const std::size_t at = (t * images + n) * la.size + i;
          if (la.spikes[at] == lb.spikes[at]) continue;
          differs = true;
          result.distance = std::max(result.distance, std::abs(static_cast<double>(lb.membranes[at]) - threshold));
        }
      }
    }
    ++(differs ? result.different : result.same);
    if (differs) continue;
    for (std::size_t k = 0; k < 10; ++k)
      result.logits = std::max(result.logits, std::abs(static_cast<double>(logits_a[n * 10 + k]) -
                                                       static_cast<double>(logits_b[n * 10 + k])));
  }
  return result;
}

template <class Net>
std::vector<float> watched(Net& net, const std::vector<float>& images, neuron_recorder& seen) {
  const auto logits = net.evaluate(images, seen);
  return {logits.begin(), logits.end()};
}

}  // namespace

TEST_CASE("in float, fast kernels differ by rounding, or from a neuron at its threshold on", "[parity]") {
  constexpr std::size_t batch = 24;
  const neuron neurons{.threshold = 0.5, .decay = 0.25};
  fast a{seed{3}, neurons};
  plain b{seed{3}, neurons};
  std::size_t alike = 0, gradients_compared = 0;
  for (std::uint64_t round = 0; round < 6; ++round) {
    CAPTURE(round);
    const auto images = test::normal<float>(batch * 144, round + 1);
    const auto labels = test::labels(batch, 10, round + 1);
    test::copy_tensors(b, a);
    a.compute_gradients(images, labels);
    b.compute_gradients(images, labels);
    neuron_recorder in_training_a, in_training_b;
    a.for_each_output(in_training_a);
    b.for_each_output(in_training_b);
    const std::vector<float> logits_a(a.logits().begin(), a.logits().end()),
        logits_b(b.logits().begin(), b.logits().end());
    const comparison training = compare(in_training_a, in_training_b, logits_a, logits_b, batch, neurons.threshold);
    if (training.different == 0) {  // one spike more changes the statistics, and so the gradients, of all
      ++gradients_compared;
      CHECK(training.logits < 1e-5);
      const auto ga = test::gradients(a), gb = test::gradients(b);
      for (std::size_t i = 0; i < ga.size(); ++i) {
        CAPTURE(ga[i].name);
        CHECK(test::error(ga[i].values, gb[i].values) < 1e-4);
      }
    }

    test::copy_tensors(b, a);
    neuron_recorder seen_a, seen_b;
    const auto evaluated_a = watched(a, images, seen_a), evaluated_b = watched(b, images, seen_b);
    const comparison evaluation = compare(seen_a, seen_b, evaluated_a, evaluated_b, batch, neurons.threshold);
    CHECK(evaluation.distance < 1e-5);
    CHECK(evaluation.logits < 1e-5);
    alike += evaluation.same;

    b.update(adam{.learning_rate = 1e-3});
  }
  CHECK(alike > 3 * batch);
  CHECK(gradients_compared > 0);
}
