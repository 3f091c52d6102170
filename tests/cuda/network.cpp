// Whole training steps on the CUDA backend, kernels, memory, copies and all, against the CPU backend.
#include "spikenet/network/network.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "cuda/reference.hpp"
#include "spikenet/io/checkpoint.hpp"
#include "spikenet/io/state_dict.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/same_training.hpp"
#include "unit/scratch.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Every layer, and a residual block of either kind.
template <class Backend>
using net_t = network<Backend, timesteps<3>, image<2, 9, 7>, named<"conv1", conv2d<5, 3>>,
                      named<"bn1", tdbn<>>, named<"spike1", lif<>>, named<"block1", basic_block<5>>,
                      named<"block2", basic_block<6, stride<2>, soft_reset>>,
                      named<"conv2", conv2d<8, 3, with_bias, groups<2>>>, lif<>, avg_pool2d<2>, flatten,
                      named<"fc1", linear<24>>, lif<detached_reset>, named<"fc2", linear<4>>>;

template <class Backend>
std::vector<double> images(std::size_t batch, std::uint64_t seed) {
  return test::normal<double>(batch * net_t<Backend>::input::size, seed);
}

using host = cpu<double>;
template <class... Options>
using device = test::host_cuda_backend<double, Options...>;

// A small one, for all else.
template <class Backend>
using small_t =
    network<Backend, timesteps<2>, image<1, 4, 4>, named<"conv1", conv2d<3, 3>>, named<"bn1", tdbn<>>,
            named<"spike", lif<>>, named<"block", basic_block<3>>, global_avg_pool, named<"fc", linear<3>>>;
using small = small_t<device<>>;
using with_graphs = small_t<device<step_graphs>>;

const std::vector<std::int32_t> four{0, 1, 2, 1};
std::vector<double> small_images(std::size_t count = 4, std::uint64_t seed = 1) {
  return test::normal<double>(count * 16, seed);
}

// A loss that only the host can compute.
struct squares_on_the_host {
  double operator()(std::size_t, std::span<const double> logits, std::span<const std::int32_t>,
                    std::span<double> gradient) const {
    double sum = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      sum += logits[i] * logits[i];
      gradient[i] = 2 * logits[i];
    }
    return sum;
  }
};

// A loss with a number of its own.
struct scaled_error {
  double factor;
  template <class Scalar>
  SPIKENET_HOST_DEVICE double of_item(std::size_t classes, const Scalar* logits, std::size_t label, double share,
                                      Scalar* gradient) const {
    return factor * mean_squared_error{}.of_item(classes, logits, label, factor * share, gradient);
  }
  template <class Scalar>
  double operator()(std::size_t classes, std::span<const Scalar> logits, std::span<const std::int32_t> labels,
                    std::span<Scalar> gradient) const {
    return detail::mean_loss(*this, classes, logits, labels, gradient);
  }
};

// The names of the layers that an observer is shown, and the sum of what they put out.
struct sums_of_outputs {
  std::map<std::string, double> sums;
  template <class Module, class In, class Scalar>
  void operator()(const observation<Module, In, Scalar>& seen) {
    double sum = 0;
    for (std::size_t i = 0; i < seen.output.size(); ++i) sum += static_cast<double>(seen.output.data[i]);
    for (std::size_t i = 0; i < seen.input.size(); ++i) sum += 2 * static_cast<double>(seen.input.data[i]);
    sums[seen.name] += sum;
  }
};

}  // namespace

TEST_CASE("training on the device is training on the CPU", "[cuda]") {
  test::check_same_training<net_t<host>, net_t<device<>>>(images<host>, images<host>);
}

TEST_CASE("training on the device with nothing fused, too", "[cuda]") {
  test::check_same_training<net_t<host>, net_t<device<one_by_one>>>(images<host>, images<host>);
}

TEST_CASE("on the device, work that is put off gives the same bits", "[cuda]") {
  const auto train = [] {
    small net{seed{3}};
    for (std::uint64_t step = 0; step < 4; ++step) net.train_step(small_images(4, step), four, adam{});
    return test::tensors(net);
  };
  const auto at_once = train();
  host_cuda::set_deferred(true);
  const auto later = train();
  host_cuda::set_deferred(false);
  CHECK(test::identical(at_once, later));
  host_cuda::set_order(host_cuda::order::descending);
  CHECK(test::identical(at_once, train()));
  host_cuda::set_order(host_cuda::order::ascending);
}

TEST_CASE("a training step on the device waits for it to read the loss, and takes no memory", "[cuda]") {
  small net{seed{3}};
  const auto images = small_images();
  net.train_step(images, four, adam{});
  const std::size_t memory = host_cuda::allocations(), waits = host_cuda::synchronisations();
  net.train_step(images, four, adam{});
  CHECK(host_cuda::allocations() == memory);
  CHECK(host_cuda::synchronisations() == waits + 2);  // for what is not finite, and for the logits
}

TEST_CASE("a loss that only the host knows trains the device", "[cuda]") {
  small_t<host> expected{seed{3}};
  small net{seed{3}};
  for (std::uint64_t step = 0; step < 2; ++step) {
    const auto a = expected.train_step(small_images(4, step), four, sgd{}, squares_on_the_host{});
    const auto b = net.train_step(small_images(4, step), four, sgd{}, squares_on_the_host{});
    CHECK(b.loss == Approx(a.loss).epsilon(1e-12));
    CHECK(b.correct == a.correct);
  }
  test::check_same(test::tensors(net), test::tensors(expected), "tensors");
  const auto a = expected.test_step(small_images(), four), b = net.test_step(small_images(), four);
  CHECK(b.loss == Approx(a.loss).epsilon(1e-12));
}

TEST_CASE("gradients on the device are clipped as on the CPU", "[cuda]") {
  small_t<host> expected{seed{3}};
  small net{seed{3}};
  expected.compute_gradients(small_images(), four);
  net.compute_gradients(small_images(), four);
  const double norm = gradient_norm(expected);
  CHECK(clip_gradients(net, 2 * norm) == Approx(norm).epsilon(1e-12));
  test::check_same(test::gradients(net), test::gradients(expected), "gradients");
  CHECK(clip_gradients(net, norm / 3) == Approx(norm).epsilon(1e-12));
  CHECK(clip_gradients(expected, norm / 3) == Approx(norm).epsilon(1e-12));
  test::check_same(test::gradients(net), test::gradients(expected), "gradients");
  CHECK(gradient_norm(net) == Approx(norm / 3).epsilon(1e-12));
}

TEST_CASE("observers see what the device computes", "[cuda]") {
  small_t<host> expected{seed{3}};
  small net{seed{3}};
  sums_of_outputs a, b;
  expected.evaluate(small_images(70, 5), a);  // several slices
  net.evaluate(small_images(70, 5), b);
  REQUIRE(a.sums.size() == b.sums.size());
  for (const auto& [name, sum] : a.sums) {
    CAPTURE(name);
    CHECK(b.sums[name] == Approx(sum).epsilon(1e-12));
  }
}

TEST_CASE("moments, recalibration and a network that moves, on the device", "[cuda]") {
  small_t<host> expected{seed{3}};
  small first{seed{3}};
  const auto train = [](auto& net) {
    net.train_step(small_images(), four, adam{});
    net.recalibrate(small_images(6, 7), 1);
    net.recalibrate(small_images(6, 8), 2);
  };
  train(expected);
  train(first);
  small net{std::move(first)};
  test::check_same(test::tensors(net), test::tensors(expected), "tensors");
  std::map<std::string, double> sums;
  const auto add = [&](double sign) {
    return [&sums, sign](const tensor_info& info, std::size_t moment, std::span<const double> values) {
      for (std::size_t i = 0; i < values.size(); ++i)
        sums[info.name + std::to_string(moment)] += sign * values[i] * static_cast<double>(i + 1);
    };
  };
  expected.for_each_moment<adam>(add(1));
  net.for_each_moment<adam>(add(-1));
  CHECK(sums.size() == 2 * 11);  // two moments of each parameter
  for (const auto& [name, difference] : sums) {
    CAPTURE(name);
    CHECK(std::abs(difference) < 1e-12);
  }
}

TEST_CASE("what is not finite on the device is reported as on the CPU, and changes nothing", "[cuda]") {
  const double nan = test::nan<double>, infinity = std::numeric_limits<double>::infinity();
  small net{seed{3}};
  net.train_step(small_images(), four, adam{});
  const auto before = test::tensors(net);
  auto images = small_images();
  images[5] = nan;
  CHECK_THROWS_WITH(net.train_step(images, four, adam{}), "input: value 5 of the batch is not finite");
  images[5] = 1e200;  // its square is not
  CHECK_THROWS_WITH(net.train_step(images, four, adam{}), Catch::Matchers::StartsWith("bn1: the batch statistics of"));
  CHECK(test::identical(before, test::tensors(net)));

  const auto spoil = [&](const std::string& name, double value) {
    bool found = false;
    net.for_each_tensor([&](const tensor_info& info, std::span<double> values) {
      if (info.name != name) return;
      values[0] = value;
      found = true;
    });
    REQUIRE(found);
  };
  spoil("block.bn1.running_mean", nan);
  CHECK_NOTHROW(net.compute_gradients(small_images(), four));
  CHECK_THROWS_WITH(net.evaluate(small_images()), "block.bn1: the running statistics of channel 0 are not finite");
  const auto restore = [&] {
    std::size_t i = 0;
    net.for_each_tensor([&](const tensor_info&, std::span<double> values) {
      std::copy(before[i].values.begin(), before[i].values.end(), values.begin());
      ++i;
    });
  };
  restore();
  spoil("fc.bias", infinity);
  CHECK_THROWS_WITH(net.evaluate(small_images()), "output: the logits are not finite");
  CHECK_THROWS_WITH(net.train_step(small_images(), four, adam{}), "output: the logits are not finite");
  restore();
  CHECK(std::isfinite(net.train_step(small_images(), four, adam{}).loss));
}

TEST_CASE("memory that is too small is reported with the layer and the bytes", "[cuda]") {
  small net{seed{3}};
  net.train_step(small_images(), four, adam{});
  const auto before = test::tensors(net);
  const auto images = small_images(2000);
  const std::vector<std::int32_t> labels(2000, 1);
  host_cuda::set_memory(700000);  // enough for the input, too little for 2000 * 48 doubles more
  CHECK_THROWS_WITH(net.train_step(images, labels, adam{}),
                    Catch::Matchers::StartsWith("conv1: cudaMalloc (768000 bytes, where"));
  host_cuda::set_memory(std::size_t{4} << 30);
  CHECK(test::identical(before, test::tensors(net)));
  CHECK(std::isfinite(net.train_step(images, labels, adam{}).loss));
}

TEST_CASE("a step that is recorded as a graph gives the same bits, whatever comes between", "[cuda]") {
  const auto train = [](auto& net) {
    std::vector<double> losses;
    const auto step = [&]<class Loss = softmax_cross_entropy>(std::span<const std::int32_t> labels, const Loss& loss = {}) {
      const std::size_t n = losses.size() + 1;
      const adam optimizer{.learning_rate = 1e-3 * static_cast<double>(n)};
      losses.push_back(net.train_step(small_images(labels.size(), n), labels, optimizer, loss).loss);
    };
    const std::span<const std::int32_t> all(four);
    for (int i = 0; i < 4; ++i) step(all);
    step(all.first(2));
    step(all);
    profile times;
    net.profile_into(&times);
    step(all);
    net.profile_into(nullptr);
    CHECK(times.layers().size() > 5);
    step(all);
    net.evaluate(small_images(50, 9));  // takes memory, so that what was recorded is of no use
    for (int i = 0; i < 3; ++i) step(all);
    for (int i = 0; i < 2; ++i) step(all, mean_squared_error{});
    for (int i = 0; i < 3; ++i) step(all, scaled_error{1.0 + i});
    return losses;
  };
  const std::size_t none = host_cuda::graph_launches();
  small plain{seed{3}};
  const auto losses = train(plain);
  CHECK(host_cuda::graph_launches() == none);
  for (const bool deferred : {false, true}) {
    CAPTURE(deferred);
    const std::size_t graphs = host_cuda::graph_launches();
    host_cuda::set_deferred(deferred);
    with_graphs net{seed{3}};
    CHECK(train(net) == losses);
    CHECK(test::identical(test::tensors(plain), test::tensors(net)));
    host_cuda::set_deferred(false);
    // Where no memory was taken since the one before (as the optimizer does, once), the second of a kind is recorded; what
    // comes between two of a kind leaves their graph.
    CHECK(host_cuda::graph_launches() == graphs + (2 + 1 + 1) + 2 + 1);
  }
}

TEST_CASE("a step that is a graph takes no memory, waits as any other, and says what is not finite", "[cuda]") {
  small expected{seed{3}};
  for (int i = 0; i < 4; ++i) expected.train_step(small_images(), four, adam{});
  with_graphs net{seed{3}};
  for (int i = 0; i < 2; ++i) net.train_step(small_images(), four, adam{});
  const std::size_t memory = host_cuda::allocations(), waits = host_cuda::synchronisations();
  const std::size_t graphs = host_cuda::graph_launches();
  net.train_step(small_images(), four, adam{});
  CHECK(host_cuda::allocations() == memory);
  CHECK(host_cuda::synchronisations() == waits + 2);
  const auto before = test::tensors(net);
  auto images = small_images();
  images[5] = 1e200;
  CHECK_THROWS_WITH(net.train_step(images, four, adam{}), Catch::Matchers::StartsWith("bn1: the batch statistics of"));
  CHECK(test::identical(before, test::tensors(net)));
  CHECK(host_cuda::graph_launches() == graphs + 2);

  with_graphs moved{std::move(net)};
  moved.train_step(small_images(), four, adam{});
  CHECK(test::identical(test::tensors(expected), test::tensors(moved)));
  CHECK(host_cuda::graph_launches() == graphs + 3);
}

TEST_CASE("steps that are queued are the steps of a training, and the host waits for none", "[cuda]") {
  const auto check = []<class Net>(Net net) {
    Net expected{seed{3}};
    step_result sum;
    for (std::uint64_t step = 0; step < 6; ++step) {
      const step_result result = expected.train_step(small_images(4, step), four, adam{});
      sum.loss += result.loss / 6;
      sum.correct += result.correct;
    }
    for (std::uint64_t step = 0; step < 3; ++step) net.queue_step(small_images(4, step), four, adam{});
    const std::size_t memory = host_cuda::allocations(), waits = host_cuda::synchronisations();
    for (std::uint64_t step = 3; step < 6; ++step) net.queue_step(small_images(4, step), four, adam{});
    CHECK(host_cuda::allocations() == memory);
    CHECK(host_cuda::synchronisations() == waits);
    const step_result all = net.finish_steps();
    CHECK(all.loss == Approx(sum.loss).epsilon(1e-14));
    CHECK(all.correct == sum.correct);
    CHECK(all.size == 24);
    CHECK(net.updates() == 6);
    CHECK(test::identical(test::tensors(expected), test::tensors(net)));
    CHECK(net.finish_steps().size == 0);

    // Steps of either kind, in turns.
    const step_result one = net.train_step(small_images(4, 7), four, adam{});
    net.queue_step(small_images(4, 8), four, adam{});
    CHECK(one.loss == expected.train_step(small_images(4, 7), four, adam{}).loss);
    const double loss = expected.train_step(small_images(4, 8), four, adam{}).loss;
    CHECK(net.finish_steps().loss == Approx(loss).epsilon(1e-14));
    CHECK(test::identical(test::tensors(expected), test::tensors(net)));
  };
  check(small{seed{3}});
  check(with_graphs{seed{3}});
  host_cuda::set_deferred(true);
  check(small{seed{3}});
  host_cuda::set_deferred(false);
}

TEST_CASE("a queued step that is not finite is told of later, and nothing moves from it on", "[cuda]") {
  const auto check = []<class Net>(Net net) {
    Net expected{seed{3}};
    for (int i = 0; i < 3; ++i) {
      expected.train_step(small_images(), four, adam{});
      net.queue_step(small_images(), four, adam{});
    }
    auto images = small_images();
    images[5] = 1e200;
    net.queue_step(images, four, adam{});
    for (int i = 0; i < 2; ++i) net.queue_step(small_images(4, 2), four, adam{});
    CHECK_THROWS_WITH(net.finish_steps(), "bn1: the batch statistics are not finite");
    CHECK(net.updates() == 3);
    CHECK(test::identical(test::tensors(expected), test::tensors(net)));

    expected.train_step(small_images(4, 2), four, adam{});
    net.queue_step(small_images(4, 2), four, adam{});
    net.finish_steps();
    CHECK(test::identical(test::tensors(expected), test::tensors(net)));
    CHECK_THROWS_AS(net.queue_step(small_images(3), four, adam{}), argument_error);
    CHECK_THROWS_AS(net.queue_step(small_images(), four, adam{.learning_rate = -1}), argument_error);
  };
  check(small{seed{3}});
  check(with_graphs{seed{3}});
}

TEST_CASE("what a network on the device has learned is saved, and loaded into another", "[cuda]") {
  const std::filesystem::path scratch = test::scratch("cuda_network");
  with_graphs net{seed{3}}, other{seed{4}};
  small_t<host> on_host{seed{5}};
  for (std::uint64_t step = 0; step < 4; ++step) {
    net.queue_step(small_images(4, step), four, adam{});
    other.train_step(small_images(4, step), four, adam{});
  }
  net.finish_steps();
  save_state_dict(net, scratch / "model.safetensors");
  load_state_dict(other, scratch / "model.safetensors");
  load_state_dict(on_host, scratch / "model.safetensors");
  CHECK(test::identical(test::tensors(net), test::tensors(other)));
  CHECK(test::identical(test::tensors(net), test::tensors(on_host)));
  CHECK(other.test_step(small_images(), four).loss == net.test_step(small_images(), four).loss);

  save_checkpoint(net, adam{}, scratch / "checkpoint", {.epoch = 1, .batch = 2});
  with_graphs resumed{seed{6}};
  checkpoint::read(scratch / "checkpoint").restore(resumed, adam{});
  CHECK(resumed.updates() == 4);
  resumed.train_step(small_images(4, 9), four, adam{});
  net.train_step(small_images(4, 9), four, adam{});
  CHECK(test::identical(test::tensors(net), test::tensors(resumed)));
}

TEST_CASE("where a loss is the host's, queued steps are ordinary ones", "[cuda]") {
  small expected{seed{3}}, net{seed{3}};
  const auto a = expected.train_step(small_images(), four, sgd{}, squares_on_the_host{});
  net.queue_step(small_images(), four, sgd{}, squares_on_the_host{});
  CHECK(net.finish_steps().loss == Approx(a.loss).epsilon(1e-14));
  CHECK(test::identical(test::tensors(expected), test::tensors(net)));
}

TEST_CASE("evaluation on the device waits for it at its end alone", "[cuda]") {
  small net{seed{3}};
  const auto images = small_images(200, 6);  // several slices
  const auto logits = net.evaluate(images);
  const std::vector<double> at_once(logits.begin(), logits.end());
  host_cuda::set_deferred(true);
  const std::size_t memory = host_cuda::allocations(), waits = host_cuda::synchronisations();
  const auto later = net.evaluate(images);
  CHECK(std::equal(at_once.begin(), at_once.end(), later.begin(), later.end()));
  CHECK(host_cuda::allocations() == memory);
  CHECK(host_cuda::synchronisations() == waits + 2);  // for what is not finite, and for the logits
  host_cuda::set_deferred(false);
}
