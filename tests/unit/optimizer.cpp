// Optimizers against their papers' formulae, one number at a time.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Sizes that leave gaps between tensors: nothing may leak from one to the next.
using small = network<cpu<double>, timesteps<1>, image<1, 3, 3>, flatten, linear<5>, tdbn<>, linear<3>>;

// Runs five steps on gradients of real batches and compares with by_hand(value, gradient, memory, step), where memory
// are two numbers of each parameter's own, 0 at first.
template <class Optimizer, class ByHand>
void check(small& net, const Optimizer& optimizer, ByHand by_hand, double tolerance = 1e-13) {
  std::map<std::string, std::vector<std::array<double, 2>>> memory;
  for (std::uint64_t step = 1; step <= 5; ++step) {
    net.compute_gradients(test::normal<double>(4 * 9, step), test::labels(4, 3, step));
    const auto gradients = test::gradients(net);
    auto expected = gradients;  // of the same names
    std::size_t i = 0;
    net.for_each_parameter([&](const tensor_info& info, std::span<double> values, std::span<double>) {
      auto& own = memory[info.name];
      own.resize(values.size());
      for (std::size_t k = 0; k < values.size(); ++k) {
        expected[i].values[k] = by_hand(values[k], gradients[i].values[k], own[k], static_cast<double>(step));
      }
      ++i;
    });
    net.update(optimizer);
    for (const auto& [name, values] : expected) {
      CAPTURE(name, step);
      CHECK(test::error(test::tensor_of(net, name), values) < tolerance);
    }
  }
}

}  // namespace

TEST_CASE("Adam, with and without weight decay", "[optimizer]") {
  for (const double weight_decay : {0.0, 0.1}) {
    CAPTURE(weight_decay);
    small net{seed{1}};
    const adam optimizer{
        .learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = weight_decay};
    check(net, optimizer, [&](double value, double gradient, std::array<double, 2>& moment, double t) {
      const double g = gradient + weight_decay * value;
      moment[0] = 0.8 * moment[0] + 0.2 * g;
      moment[1] = 0.95 * moment[1] + 0.05 * g * g;
      const double first = moment[0] / (1 - std::pow(0.8, t)), second = moment[1] / (1 - std::pow(0.95, t));
      return value - 0.02 * first / (std::sqrt(second) + 1e-3);
    });
    CHECK(net.updates() == 5);
  }
}

TEST_CASE("Adam's defaults are those of its paper", "[optimizer]") {
  const adam optimizer;
  CHECK(optimizer.learning_rate == 1e-3);
  CHECK(optimizer.beta1 == 0.9);
  CHECK(optimizer.beta2 == 0.999);
  CHECK(optimizer.epsilon == 1e-8);
  CHECK(optimizer.weight_decay == 0);
}

TEST_CASE("stochastic gradient descent, with momentum and weight decay", "[optimizer]") {
  for (const double momentum : {0.0, 0.9}) {
    for (const double weight_decay : {0.0, 0.1}) {
      CAPTURE(momentum, weight_decay);
      small net{seed{1}};
      const sgd optimizer{.learning_rate = 0.05, .momentum = momentum, .weight_decay = weight_decay};
      check(net, optimizer, [&](double value, double gradient, std::array<double, 2>& memory, double) {
        memory[0] = momentum * memory[0] + gradient + weight_decay * value;
        return value - 0.05 * memory[0];
      });
    }
  }
}

TEST_CASE("a new learning rate keeps the moments, another kind of optimizer starts anew", "[optimizer]") {
  small net{seed{1}};
  const auto adam_at = [](double rate) {
    return [rate](double value, double g, std::array<double, 2>& moment, double t) {
      moment[0] = 0.9 * moment[0] + 0.1 * g;
      moment[1] = 0.999 * moment[1] + 0.001 * g * g;
      const double second = std::sqrt(moment[1] / (1 - std::pow(0.999, t)));
      return value - rate * moment[0] / (1 - std::pow(0.9, t)) / (second + 1e-8);
    };
  };
  // Twice over: the second time finds neither moments nor step numbers of the first.
  for (int i = 0; i < 2; ++i) {
    check(net, adam{.learning_rate = 0.01}, adam_at(0.01), 1e-10);
    check(net, sgd{.learning_rate = 0.1, .momentum = 0.5},
          [](double value, double g, std::array<double, 2>& memory, double) {
            memory[0] = 0.5 * memory[0] + g;
            return value - 0.1 * memory[0];
          });
  }
  CHECK(net.updates() == 20);

  // Momentum from before the change of rate: two steps along the same gradient.
  small other{seed{1}};
  const auto images = test::normal<double>(4 * 9, 1);
  const auto labels = test::labels(4, 3, 1);
  other.compute_gradients(images, labels);
  const auto gradient = test::gradients(other)[0].values;
  other.update(sgd{.learning_rate = 0.1, .momentum = 0.5});
  const auto between = test::tensors(other)[0].values;
  other.update(sgd{.learning_rate = 0.01, .momentum = 0.5});
  std::vector<double> expected;
  for (std::size_t i = 0; i < gradient.size(); ++i) expected.push_back(between[i] - 0.01 * (1 + 0.5) * gradient[i]);
  CHECK(test::error(test::tensors(other)[0].values, expected) < 1e-14);
}

TEST_CASE("a learning rate of 0 moves nothing", "[optimizer]") {
  small net{seed{1}};
  net.compute_gradients(test::normal<double>(4 * 9, 1), test::labels(4, 3, 1));
  const auto before = test::tensors(net);
  net.update(adam{.learning_rate = 0});
  net.update(sgd{.learning_rate = 0});
  CHECK(test::identical(before, test::tensors(net)));
}
