// What a network does besides computing its layers: readout, evaluation, observation, names, starting values.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;

using small = network<cpu<double>, timesteps<3>, image<2, 5, 4>, named<"conv", conv2d<3, 3, with_bias>>,
                      named<"bn", tdbn<>>, lif<>, named<"block", basic_block<4, stride<2>>>, global_avg_pool,
                      named<"out", linear<3>>, named<"spike", lif<>>>;
using with_frames = network<cpu<double>, timesteps<3>, frames<2, 5, 4>, flatten, linear<6>, lif<>, linear<3>>;

values images_of(std::size_t count, std::uint64_t s) { return test::normal<double>(count * 2 * 5 * 4, s); }

// Images first ... first + size - 1 of [T, N, image].
values slice_of_frames(const values& all, std::size_t count, std::size_t first, std::size_t size) {
  values slice;
  for (std::size_t t = 0; t < 3; ++t) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>((t * count + first) * 40);
    slice.insert(slice.end(), begin, begin + static_cast<std::ptrdiff_t>(size * 40));
  }
  return slice;
}

}  // namespace

TEST_CASE("tensors have PyTorch's names, shapes and order", "[network]") {
  small net;
  std::vector<std::pair<std::string, std::vector<std::size_t>>> listed;
  std::vector<std::string> untrained;
  std::size_t trainable = 0;
  net.for_each_tensor([&](const tensor_info& info, std::span<double> tensor) {
    listed.emplace_back(info.name, info.shape);
    std::size_t size = 1;
    for (const std::size_t extent : info.shape) size *= extent;
    CHECK(tensor.size() == size);
    if (info.trainable) {
      trainable += size;
    } else {
      untrained.push_back(info.name);
    }
  });
  const std::vector<std::pair<std::string, std::vector<std::size_t>>> expected{
      {"conv.weight", {3, 2, 3, 3}},
      {"conv.bias", {3}},
      {"bn.weight", {3}},
      {"bn.bias", {3}},
      {"bn.running_mean", {3}},
      {"bn.running_var", {3}},
      {"block.conv1.weight", {4, 3, 3, 3}},
      {"block.bn1.weight", {4}},
      {"block.bn1.bias", {4}},
      {"block.bn1.running_mean", {4}},
      {"block.bn1.running_var", {4}},
      {"block.conv2.weight", {4, 4, 3, 3}},
      {"block.bn2.weight", {4}},
      {"block.bn2.bias", {4}},
      {"block.bn2.running_mean", {4}},
      {"block.bn2.running_var", {4}},
      {"block.downsample.0.weight", {4, 3, 1, 1}},
      {"block.downsample.1.weight", {4}},
      {"block.downsample.1.bias", {4}},
      {"block.downsample.1.running_mean", {4}},
      {"block.downsample.1.running_var", {4}},
      {"out.weight", {3, 4}},
      {"out.bias", {3}}};
  CHECK(listed == expected);
  CHECK(untrained.size() == 8);
  for (const std::string& name : untrained) CHECK(name.find(".running_") != std::string::npos);
  CHECK(net.parameter_count() == trainable);

  std::vector<std::string> parameters;
  net.for_each_parameter([&](const tensor_info& info, std::span<double> tensor, std::span<double> gradient) {
    parameters.push_back(info.name);
    CHECK(tensor.size() == gradient.size());
  });
  CHECK(parameters.size() + untrained.size() == expected.size());
}

TEST_CASE("the readout is the mean of the last layer's output over the timesteps", "[network]") {
  small net{seed{2}, {.threshold = 0.1}};
  const values images = images_of(6, 1);
  values mean(6 * 3);
  const auto mean_of_last = [&](const std::string& name, const auto& tensor) {
    using signal_type = typename std::decay_t<decltype(tensor)>::signal_type;
    if (name != "spike") return;
    REQUIRE(tensor.size() == 3 * 6 * 3);
    CHECK(signal_type::holds == content::spikes);
    mean.assign(mean.size(), 0);
    for (std::size_t i = 0; i < tensor.size(); ++i) mean[i % mean.size()] += tensor.data[i] / 3;
  };
  net.compute_gradients(images, test::labels(6, 3, 1));
  net.for_each_output(mean_of_last);
  CHECK(test::error(net.logits(), mean) < 1e-15);
  CHECK(std::any_of(mean.begin(), mean.end(), [](double m) { return m > 0; }));

  net.evaluate(images, mean_of_last);
  CHECK(test::error(net.logits(), mean) < 1e-15);
}

TEST_CASE("layers are observed in order, with their names", "[network]") {
  small net;
  std::vector<std::string> names;
  const auto note = [&](const std::string& name, const auto&) { names.push_back(name); };
  net.evaluate(images_of(2, 1), note);
  // Fused stages have no output of the normalisation.
  CHECK(names == std::vector<std::string>{"conv", "2", "block.conv1", "block.spike1", "block.conv2",
                                          "block.downsample.0", "block.downsample.1", "block.spike2", "4", "out",
                                          "spike"});
  // In slices: each with all layers.
  net.evaluate(images_of(65, 1), note);
  CHECK(names.size() == 3 * 11);
}

TEST_CASE("evaluation in slices is evaluation of each image by itself", "[network]") {
  constexpr std::size_t count = 150;
  small net{seed{2}, {.threshold = 0.2}};
  const values images = images_of(count, 3);
  const auto logits = net.evaluate(images);
  const values together(logits.begin(), logits.end());
  REQUIRE(together.size() == count * 3);
  CHECK(test::error(net.logits(), together) == 0);
  values apart;
  for (std::size_t n = 0; n < count; ++n) {
    const auto one = net.evaluate(std::span(images).subspan(n * 40, 40));
    apart.insert(apart.end(), one.begin(), one.end());
  }
  CHECK(test::error(together, apart) < 1e-14);

  with_frames moving{seed{2}};
  const values all = test::normal<double>(3 * count * 40, 4);
  const auto moving_logits = moving.evaluate(all);
  const values moving_together(moving_logits.begin(), moving_logits.end());
  apart.clear();
  for (std::size_t n = 0; n < count; ++n) {
    const auto one = moving.evaluate(slice_of_frames(all, count, n, 1));
    apart.insert(apart.end(), one.begin(), one.end());
  }
  CHECK(test::error(moving_together, apart) < 1e-13);
}

TEST_CASE("evaluation changes nothing, a training step everything that it should", "[network]") {
  small net{seed{2}};
  const values images = images_of(5, 3);
  const auto labels = test::labels(5, 3, 3);
  const auto before = test::tensors(net);
  net.evaluate(images);
  const step_result tested = net.test_step(images, labels);
  CHECK(test::identical(before, test::tensors(net)));
  CHECK(net.updates() == 0);

  // test_step by hand
  double loss = 0;
  std::size_t correct = 0;
  for (std::size_t n = 0; n < 5; ++n) {
    const auto row = net.logits().subspan(n * 3, 3);
    double sum = 0;
    std::size_t best = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      sum += std::exp(row[c]);
      if (row[c] > row[best]) best = c;
    }
    const auto label = static_cast<std::size_t>(labels[n]);
    loss += (std::log(sum) - row[label]) / 5;
    correct += best == label ? 1 : 0;
  }
  CHECK(tested.loss == Approx(loss).epsilon(1e-14));
  CHECK(tested.correct == correct);
  CHECK(tested.size == 5);
  CHECK(tested.accuracy() == Approx(static_cast<double>(correct) / 5));

  net.compute_gradients(images, labels);
  CHECK(net.updates() == 0);
  const auto after_gradients = test::tensors(net);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CAPTURE(before[i].name);
    const bool running = before[i].name.find(".running_") != std::string::npos;
    CHECK((before[i].values == after_gradients[i].values) != running);
  }
  net.train_step(images, labels, adam{});
  CHECK(net.updates() == 1);
  const auto after_step = test::tensors(net);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CAPTURE(before[i].name);
    CHECK(before[i].values != after_step[i].values);
  }
}

TEST_CASE("queued steps are the steps of a training, told of all together", "[network]") {
  const std::vector<std::int32_t> labels{0, 2, 1, 2};
  small expected{seed{1}}, net{seed{1}};
  double loss = 0;
  std::size_t correct = 0;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const std::size_t size = step == 2 ? 2 : 4;  // the last batch of an epoch is smaller
    const std::span<const std::int32_t> of_step = std::span(labels).first(size);
    const step_result result = expected.train_step(images_of(size, step), of_step, adam{});
    loss += result.loss * static_cast<double>(size) / 10;
    correct += result.correct;
    net.queue_step(images_of(size, step), of_step, adam{});
  }
  const step_result all = net.finish_steps();
  CHECK(all.size == 10);
  CHECK(all.loss == Approx(loss).epsilon(1e-14));
  CHECK(all.correct == correct);
  CHECK(test::identical(test::tensors(expected), test::tensors(net)));
  const step_result none = net.finish_steps();
  CHECK(none.size == 0);
  CHECK(none.loss == 0);
  CHECK(none.accuracy() == 0);
}

TEST_CASE("a network that was moved goes on where it was", "[network]") {
  const values images = images_of(4, 3);
  const auto labels = test::labels(4, 3, 3);
  small stays{seed{2}}, moves{seed{2}};
  for (small* net : {&stays, &moves}) net->train_step(images, labels, adam{});
  small moved{std::move(moves)};
  small assigned{seed{3}};
  assigned = std::move(moved);
  for (small* net : {&stays, &assigned}) net->train_step(images, labels, adam{});
  CHECK(test::identical(test::tensors(stays), test::tensors(assigned)));
  CHECK(assigned.updates() == 2);
}

TEST_CASE("the same seed gives the same weights, another seed others, and no two tensors share theirs", "[network]") {
  using twins = network<cpu<double>, timesteps<1>, image<1, 2, 2>, flatten, linear<4>, linear<4>, linear<4>>;
  twins one{seed{1}}, again{seed{1}}, other{seed{2}};
  CHECK(test::identical(test::tensors(one), test::tensors(again)));
  const auto a = test::tensors(one), b = test::tensors(other);
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].values != b[i].values);
    for (std::size_t j = 0; j < i; ++j) CHECK(a[i].values != a[j].values);
  }
}

namespace {

struct moments {
  double mean = 0, variance = 0, largest = 0;
};
moments moments_of(std::span<const double> tensor) {
  moments m;
  const auto n = static_cast<double>(tensor.size());
  for (const double v : tensor) m.mean += v / n, m.largest = std::max(m.largest, std::abs(v));
  for (const double v : tensor) m.variance += (v - m.mean) * (v - m.mean) / n;
  return m;
}

// 8 input channels in 2 groups: 4 * 9 inputs for each output, and 32 * 9 outputs for each input.
using wide = network<cpu<double>, timesteps<1>, image<8, 4, 4>, named<"conv", conv2d<64, 3, groups<2>, with_bias>>,
                     named<"bn", tdbn<>>, flatten, named<"fc", linear<50>>>;

}  // namespace

TEST_CASE("PyTorch's starting values: uniform within 1 / sqrt(inputs)", "[network][initialization]") {
  wide net{seed{4}};
  const auto check = [&](const std::string& name, double inputs) {
    CAPTURE(name);
    const auto tensor = test::tensor_of(net, name);
    const auto n = static_cast<double>(tensor.size());
    const double bound = 1 / std::sqrt(inputs);
    const moments m = moments_of(tensor);
    CHECK(m.largest <= bound);
    CHECK(m.largest > bound * (1 - 10 / n));  // misses with probability e^-10
    // Five standard errors; the variance of u^2 for u uniform in [-1, 1] is 4/45.
    CHECK(std::abs(m.mean) < 5 * bound / std::sqrt(3 * n));
    CHECK(std::abs(m.variance / (bound * bound) - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n) + 2 / n);
  };
  check("conv.weight", 4 * 9);
  check("conv.bias", 4 * 9);
  check("fc.weight", 64 * 16);
  check("fc.bias", 64 * 16);
}

TEST_CASE("Kaiming's starting values: normal of variance 2 / outputs, biases 0", "[network][initialization]") {
  wide net{seed{4}, {}, initialization::kaiming};
  const auto check = [&](const std::string& name, double outputs) {
    CAPTURE(name);
    const auto tensor = test::tensor_of(net, name);
    const auto n = static_cast<double>(tensor.size());
    const moments m = moments_of(tensor);
    CHECK(std::abs(m.mean) < 5 * std::sqrt(2 / outputs / n));
    CHECK(std::abs(m.variance * outputs / 2 - 1) < 5 * std::sqrt(2 / n));
    CHECK(m.largest > 3 * std::sqrt(2 / outputs));  // no uniform distribution
  };
  check("conv.weight", 32 * 9);
  check("fc.weight", 50);
  for (const char* name : {"conv.bias", "fc.bias"}) CHECK(moments_of(test::tensor_of(net, name)).largest == 0);
}

TEST_CASE("normalisations start as the identity with unit statistics", "[network][initialization]") {
  for (const initialization how : {initialization::pytorch, initialization::kaiming}) {
    wide net{seed{4}, {}, how};
    for (const double v : test::tensor_of(net, "bn.weight")) CHECK(v == 1);
    for (const double v : test::tensor_of(net, "bn.bias")) CHECK(v == 0);
    for (const double v : test::tensor_of(net, "bn.running_mean")) CHECK(v == 0);
    for (const double v : test::tensor_of(net, "bn.running_var")) CHECK(v == 1);
  }
}
