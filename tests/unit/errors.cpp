// Bad input: what is thrown, what it says, and that the network is as before.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;
using labels_type = std::vector<std::int32_t>;

constexpr double not_a_number = test::nan<double>, infinity = std::numeric_limits<double>::infinity();

template <class Backend>
using blocks = network<Backend, timesteps<2>, image<1, 4, 4>, named<"conv1", conv2d<2, 3>>, named<"bn1", tdbn<>>, lif<>,
                       named<"layer1", sequence<basic_block<2>, basic_block<3, stride<2>>>>, global_avg_pool,
                       named<"fc", linear<3>>>;
using net_t = blocks<cpu<double>>;
using moving = network<cpu<double>, timesteps<2>, frames<1, 4, 4>, flatten, linear<3>>;

// The labels of a batch of 4 images.
const labels_type four{0, 1, 2, 1};

values images_of(std::size_t count) { return test::normal<double>(count * 16, 1); }

// f(net) throws Error with these words in its message, and leaves all tensors as they were.
template <class Error, class Network, class F, class Matcher>
void check_refused(Network& net, F f, const Matcher& message) {
  const auto before = test::tensors(net);
  const auto updates = net.updates();
  CHECK_THROWS_MATCHES(f(net), Error, message);
  CHECK(test::identical(before, test::tensors(net)));
  CHECK(net.updates() == updates);
}

// After one good step, so that there are moments and statistics to spoil.
template <class Network = net_t>
Network trained_network() {
  Network net{seed{1}};
  net.train_step(images_of(4 * Network::input::steps), four, adam{});
  return net;
}

// A finite loss with a gradient of this.
struct bad_gradient {
  double gradient;
  double operator()(std::size_t, std::span<const double>, std::span<const std::int32_t>, std::span<double> out) const {
    for (double& g : out) g = gradient;
    return 1;
  }
};
struct bad_loss {
  double operator()(std::size_t, std::span<const double>, std::span<const std::int32_t>, std::span<double> out) const {
    for (double& g : out) g = 0;
    return infinity;
  }
};

}  // namespace

TEST_CASE("a batch must not be empty", "[errors]") {
  net_t net = trained_network();
  const auto message = says("batch is empty");
  check_refused<argument_error>(
      net, [](net_t& n) { n.train_step({}, {}, adam{}); }, message);
  check_refused<argument_error>(
      net, [](net_t& n) { n.compute_gradients({}, {}); }, message);
  check_refused<argument_error>(
      net, [](net_t& n) { n.test_step({}, {}); }, message);
  check_refused<argument_error>(
      net, [](net_t& n) { n.evaluate({}); }, message);
  check_refused<argument_error>(
      net, [](net_t& n) { n.train_step(images_of(1), {}, adam{}); }, message);
}

TEST_CASE("there must be an image for every label, whole images only", "[errors]") {
  net_t net = trained_network();
  for (const std::size_t given : {std::size_t{0}, std::size_t{48}, std::size_t{63}, std::size_t{65}, std::size_t{80}}) {
    CAPTURE(given);
    const auto message = says("4 images of 1x4x4 are 64 values, but " + std::to_string(given) + " were given");
    check_refused<argument_error>(
        net, [&](net_t& n) { n.train_step(values(given), four, adam{}); }, message);
    check_refused<argument_error>(
        net, [&](net_t& n) { n.test_step(values(given), four); }, message);
  }
  check_refused<argument_error>(
      net, [](net_t& n) { n.evaluate(values(63)); }, says("but 63 were given"));
  check_refused<argument_error>(
      net, [](net_t& n) { n.evaluate(values(15)); }, says("batch is empty"));

  moving of_frames = trained_network<moving>();
  check_refused<argument_error>(
      of_frames, [](moving& n) { n.train_step(images_of(4), four, adam{}); },
      says("4 images of 1x4x4 at 2 timesteps are 128 values, but 64 were given"));
}

TEST_CASE("a label must be one of the classes", "[errors]") {
  net_t net = trained_network();
  for (const std::int32_t bad : {-1, 3, 255, std::numeric_limits<std::int32_t>::min()}) {
    CAPTURE(bad);
    labels_type labels = four;
    labels[2] = bad;
    const auto message = says("label 2 of the batch is " + std::to_string(bad) + ", but there are 3 classes");
    check_refused<argument_error>(
        net, [&](net_t& n) { n.train_step(images_of(4), labels, adam{}); }, message);
    check_refused<argument_error>(
        net, [&](net_t& n) { n.test_step(images_of(4), labels); }, message);
  }
}

TEST_CASE("images must be finite", "[errors]") {
  net_t net = trained_network();
  for (const double bad : {not_a_number, infinity, -infinity}) {
    CAPTURE(bad);
    values images = images_of(4);
    images[37] = bad;
    const auto message = says("input: value 37 of the batch is not finite");
    check_refused<numeric_error>(
        net, [&](net_t& n) { n.train_step(images, four, adam{}); }, message);
    check_refused<numeric_error>(
        net, [&](net_t& n) { n.evaluate(images); }, message);
    check_refused<numeric_error>(
        net, [&](net_t& n) { n.test_step(images, four); }, message);
  }
  // Beyond the first slice of an evaluation.
  values many = images_of(100);
  many[99 * 16 + 5] = not_a_number;
  check_refused<numeric_error>(
      net, [&](net_t& n) { n.evaluate(many); }, says("value 1589 of the batch"));
}

TEST_CASE("NaN or infinity in a weight is reported by the layer that notices", "[errors]") {
  const auto check = []<class Network>(Network net) {
    struct place {
      const char *tensor, *message;
    };
    for (const auto& [tensor, message] :
         {place{"conv1.weight", "bn1: the batch statistics of channel"},
          place{"layer1.0.conv1.weight", "layer1.0.bn1: the batch statistics of channel"},
          place{"layer1.0.conv2.weight", "layer1.0.bn2: the batch statistics of channel"},
          place{"layer1.1.conv1.weight", "layer1.1.bn1: the batch statistics of channel"},
          place{"layer1.1.downsample.0.weight", "layer1.1.downsample.1: the batch statistics of channel"},
          place{"fc.weight", "output: the logits are not finite"},
          place{"fc.bias", "output: the logits are not finite"}}) {
      for (const double bad : {not_a_number, infinity}) {
        CAPTURE(tensor, bad);
        double& weight = test::tensor_of(net, tensor)[1];
        const double good = weight;
        weight = bad;
        check_refused<numeric_error>(
            net, [](Network& n) { n.train_step(images_of(4), four, adam{}); }, says(message));
        weight = good;
      }
    }
    // And once all is well again, training goes on.
    CHECK(std::isfinite(net.train_step(images_of(4), four, adam{}).loss));
  };
  check(trained_network());
  check(trained_network<blocks<cpu<double, one_by_one>>>());
}

TEST_CASE("NaN in a running statistic is reported in evaluation", "[errors]") {
  net_t net = trained_network();
  for (const char* tensor : {"layer1.1.bn2.running_mean", "layer1.1.bn2.running_var"}) {
    double& statistic = test::tensor_of(net, tensor)[2];
    const double good = statistic;
    statistic = not_a_number;
    check_refused<numeric_error>(
        net, [](net_t& n) { n.evaluate(images_of(4)); },
        says("layer1.1.bn2: the running statistics of channel 2 are not finite"));
    statistic = good;
  }
}

TEST_CASE("loss and gradients must be finite", "[errors]") {
  net_t net = trained_network();
  check_refused<numeric_error>(
      net, [](net_t& n) { n.train_step(images_of(4), four, adam{}, bad_loss{}); }, says("the loss is not finite"));
  check_refused<numeric_error>(
      net, [](net_t& n) { n.test_step(images_of(4), four, bad_loss{}); }, says("the loss is not finite"));
  for (const double bad : {not_a_number, infinity}) {
    check_refused<numeric_error>(
        net, [&](net_t& n) { n.train_step(images_of(4), four, adam{}, bad_gradient{bad}); },
        says("its gradient is not finite"));
  }
}

TEST_CASE("the values of a neuron must be in their ranges", "[errors]") {
  const auto refuses = [](const neuron& neurons, const std::string& message) {
    CHECK_THROWS_MATCHES(moving(seed{}, neurons), argument_error, says(message));
  };
  for (const double bad : {0.0, -0.5, not_a_number, infinity}) {
    CAPTURE(bad);
    refuses({.threshold = bad}, "the threshold must be positive and finite, not " + std::to_string(bad));
    refuses({.surrogate = {.half_width = bad, .height = 1}},
            "half width must be positive and finite, not " + std::to_string(bad));
    refuses({.surrogate = {.half_width = 1, .height = bad}},
            "height must be positive and finite, not " + std::to_string(bad));
  }
  for (const double bad : {-0.01, 1.01, not_a_number, infinity}) {
    refuses({.decay = bad}, "the decay must lie in [0, 1], not " + std::to_string(bad));
  }
  CHECK_NOTHROW(moving(seed{}, neuron{.decay = 0}));
  CHECK_NOTHROW(moving(seed{}, neuron{.decay = 1}));
}

TEST_CASE("the values of an optimizer must be in their ranges", "[errors]") {
  net_t net = trained_network();
  const auto refuses = [&](const auto& optimizer, const std::string& name) {
    CAPTURE(name);
    check_refused<argument_error>(
        net, [&](net_t& n) { n.train_step(images_of(4), four, optimizer); }, says(name));
    check_refused<argument_error>(
        net, [&](net_t& n) { n.update(optimizer); }, says(name));
  };
  for (const double bad : {-0.1, not_a_number, infinity}) {
    CAPTURE(bad);
    refuses(adam{.learning_rate = bad}, "learning_rate");
    refuses(adam{.epsilon = bad}, "epsilon");
    refuses(adam{.weight_decay = bad}, "weight_decay");
    refuses(sgd{.learning_rate = bad}, "learning_rate");
    refuses(sgd{.weight_decay = bad}, "weight_decay");
  }
  for (const double bad : {-0.1, 1.0, not_a_number}) {
    CAPTURE(bad);
    refuses(adam{.beta1 = bad}, "beta1");
    refuses(adam{.beta2 = bad}, "beta2");
    refuses(sgd{.momentum = bad}, "momentum");
  }
}
