// Bad input: what is thrown, what it says, and that the network is as before.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
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
      net, [](net_t& n) { n.train_step(images_of(1), {}, adam{}); },
      says("batch is empty: there are no labels, and 16 values of images"));
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
  const auto refuses_images = [](auto& own, std::size_t given, const std::string& message) {
    check_refused<argument_error>(
        own, [&](auto& n) { n.evaluate(values(given)); }, says(message));
    check_refused<argument_error>(
        own, [&](auto& n) { n.recalibrate(values(given), 1); }, says(message));
  };
  refuses_images(net, 63, "3 images of 1x4x4 are 48 values, but 63 were given");
  refuses_images(net, 15, "1 image of 1x4x4 is 16 values, but 15 were given");
  refuses_images(net, 4, "1 image of 1x4x4 is 16 values, but 4 were given");  // 2x2
  refuses_images(net, 0, "the batch is empty");

  moving of_frames = trained_network<moving>();
  check_refused<argument_error>(
      of_frames, [](moving& n) { n.train_step(images_of(4), four, adam{}); },
      says("4 images of 1x4x4 at 2 timesteps are 128 values, but 64 were given"));
  refuses_images(of_frames, 16, "1 image of 1x4x4 at 2 timesteps is 32 values, but 16 were given");  // one frame
}

TEST_CASE("a tdBN refuses to be trained on a batch that leaves it one value per channel", "[errors]") {
  using of_vectors = network<cpu<double>, timesteps<2>, image<1, 4, 4>, flatten, named<"fc1", linear<4>>,
                             named<"bn1", tdbn<>>, lif<>, linear<3>>;
  using of_small_maps = network<cpu<double, one_by_one>, timesteps<2>, image<1, 4, 4>,
                                named<"layer1", sequence<conv2d<2, 4, padding<0>>, named<"bn1", tdbn<>>>>, lif<>, flatten,
                                linear<3>>;
  const auto check = []<class Network>(Network net, const std::string& layer) {
    const auto message = says(layer +
                              ": batch normalisation cannot be trained on a batch of 1 image, which has only 1 value per "
                              "channel here; at least 2 are needed");
    check_refused<argument_error>(
        net, [](Network& n) { n.train_step(images_of(1), labels_type{0}, adam{}); }, message);
    check_refused<argument_error>(
        net, [](Network& n) { n.queue_step(images_of(1), labels_type{0}, adam{}); }, message);
    check_refused<argument_error>(
        net, [](Network& n) { n.recalibrate(images_of(1), 1); }, message);
    CHECK_NOTHROW(net.evaluate(images_of(1)));
    CHECK_NOTHROW(net.train_step(images_of(4), four, adam{}));
  };
  check(of_vectors{seed{1}}, "bn1");
  check(of_small_maps{seed{1}}, "layer1.bn1");
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
  using bad_value = std::pair<double, std::string>;
  for (const auto& [bad, text] :
       {bad_value{0.0, "0"}, bad_value{-1e-9, "-1e-09"}, bad_value{not_a_number, "nan"}, bad_value{infinity, "inf"}}) {
    CAPTURE(bad);
    refuses({.threshold = bad}, "the threshold must be positive and finite, not " + text);
    refuses({.surrogate = {.half_width = bad, .height = 1}}, "half width must be positive and finite, not " + text);
    refuses({.surrogate = {.half_width = 1, .height = bad}}, "height must be positive and finite, not " + text);
  }
  for (const auto& [bad, text] : {bad_value{-0.01, "-0.01"}, bad_value{1.0000001, "1.0000001"},
                                  bad_value{not_a_number, "nan"}, bad_value{infinity, "inf"}}) {
    refuses({.decay = bad}, "the decay must lie in [0, 1], not " + text);
  }
  CHECK_NOTHROW(moving(seed{}, neuron{.decay = 0}));
  CHECK_NOTHROW(moving(seed{}, neuron{.decay = 1}));
}

TEST_CASE("values must be in their ranges as the network holds them", "[errors]") {
  using in_float = network<cpu<float>, timesteps<2>, image<1, 4, 4>, flatten, linear<3>, lif<>>;
  using bad_value = std::pair<double, std::string>;
  for (const auto& [bad, text] :
       {bad_value{1e39, "not 1e+39, which is inf in 32 bits"}, bad_value{1e-50, "not 1e-50, which is 0 in 32 bits"}}) {
    for (const neuron& n : {neuron{.threshold = bad}, neuron{.surrogate = {.half_width = bad, .height = 1}},
                            neuron{.surrogate = {.half_width = 1, .height = bad}}}) {
      CHECK_THROWS_MATCHES(in_float(seed{}, n), argument_error, says("must be positive and finite, " + text));
      CHECK_NOTHROW(moving(seed{}, n));
    }
  }

  in_float net{seed{1}};
  const std::vector<float> images(4 * 16, 1.0f);
  const auto refuses = [&](const auto& optimizer, const std::string& message) {
    check_refused<argument_error>(
        net, [&](in_float& n) { n.train_step(images, four, optimizer); }, says(message));
    check_refused<argument_error>(
        net, [&](in_float& n) { n.queue_step(images, four, optimizer); }, says(message));
    check_refused<argument_error>(
        net, [&](in_float& n) { n.update(optimizer); }, says(message));
    CHECK_NOTHROW(optimizer.validate());
  };
  const std::string is_infinite = " must be finite and not negative, not 1e+39, which is inf in 32 bits",
                    is_one = " must lie in [0, 1), not 0.999999999, which is 1 in 32 bits";
  refuses(adam{.learning_rate = 1e39}, "learning_rate" + is_infinite);
  refuses(adam{.learning_rate = 1e38}, "learning_rate / (1 - beta1) must be finite");
  refuses(adam{.beta1 = 0.999999999}, "beta1" + is_one);
  refuses(adam{.beta2 = 0.999999999}, "beta2" + is_one);
  refuses(adam{.epsilon = 1e-50}, "epsilon other than 0 must be positive and finite, not 1e-50, which is 0 in 32 bits");
  refuses(adam{.weight_decay = 1e39}, "weight_decay" + is_infinite);
  refuses(sgd{.learning_rate = 1e39}, "learning_rate" + is_infinite);
  refuses(sgd{.momentum = 0.999999999}, "momentum" + is_one);
  refuses(sgd{.weight_decay = 1e39}, "weight_decay" + is_infinite);
  // The end of a schedule may leave a rate of 0.
  CHECK_NOTHROW(net.train_step(images, four, adam{.learning_rate = 1e-50}));
}

// An optimizer that knows of no precision.
struct halving {
  static constexpr std::size_t moments = 0;
  double factor = 0.5;
  void validate() const {
    if (factor != 0.5) throw argument_error("halving: the factor is " + std::to_string(factor));
  }
  template <class Backend, class Scalar>
  void operator()(Backend& backend, const optimizer_step<Scalar>& step) const {
    backend.for_each(step.count, [=](std::size_t i) { step.values[i] /= 2; });
  }
};

TEST_CASE("an optimizer of one's own checks itself", "[errors]") {
  net_t net = trained_network();
  check_refused<argument_error>(
      net, [](net_t& n) { n.train_step(images_of(4), four, halving{.factor = 2}); }, says("halving: the factor is"));
  const double before = test::tensor_of(net, "fc.bias")[0];
  net.train_step(images_of(4), four, halving{});
  CHECK(test::tensor_of(net, "fc.bias")[0] == before / 2);
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
