#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "catch.hpp"
#include "spikenet/dsrn.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Sizes that leave gaps between tensors.
template <class Scalar>
using small = network<cpu<Scalar>, timesteps<2>, image<1, 3, 3>, flatten, linear<5>, tdbn<>, lif<>, linear<3>>;

template <class Network>
void compute(Network& net) {
  using scalar = typename Network::scalar;
  net.compute_gradients(test::normal<scalar>(6 * Network::input::size, 1),
                        test::labels(6, static_cast<std::uint32_t>(Network::classes), 1));
}

// Tensor by tensor.
template <class Network>
double norm_of(Network& net) {
  long double sum = 0;
  for (const auto& tensor : test::gradients(net))
    for (const auto g : tensor.values) sum += static_cast<long double>(g) * static_cast<long double>(g);
  return static_cast<double>(std::sqrt(sum));
}

}  // namespace

TEMPLATE_TEST_CASE("the global norm is that of all gradients together", "[clip_gradients]", float, double) {
  small<TestType> net{seed{1}};
  compute(net);
  CHECK(gradient_norm(net) == Approx(norm_of(net)).epsilon(1e-14));
  CHECK(gradient_norm(net) > 0.1);
}

TEMPLATE_TEST_CASE("gradients beyond the norm are scaled to it, others are left", "[clip_gradients]", float, double) {
  small<TestType> net{seed{1}};
  compute(net);
  const auto before = test::gradients(net);
  const double norm = norm_of(net);

  CHECK(clip_gradients(net, 2 * norm) == Approx(norm).epsilon(1e-14));
  CHECK(test::identical(test::gradients(net), before));

  // The norm before is what is returned.
  CHECK(clip_gradients(net, norm / 4) == Approx(norm).epsilon(1e-14));
  const double rounding = std::numeric_limits<TestType>::epsilon();
  CHECK(norm_of(net) == Approx(norm / 4).epsilon(rounding));
  const auto after = test::gradients(net);
  for (std::size_t i = 0; i < before.size(); ++i) {
    std::vector<double> quarter;
    for (const TestType g : before[i].values) quarter.push_back(static_cast<double>(g) / 4);
    CHECK(test::error(after[i].values, quarter) <= 2 * rounding);
  }

  // The step uses what is left.
  const auto values = test::tensors(net);
  net.update(sgd{.learning_rate = 1});
  std::size_t parameter = 0;
  for (const auto& tensor : values) {
    if (parameter == after.size() || after[parameter].name != tensor.name) continue;
    std::vector<double> expected;
    for (std::size_t k = 0; k < tensor.values.size(); ++k)
      expected.push_back(static_cast<double>(tensor.values[k]) - static_cast<double>(after[parameter].values[k]));
    CHECK(test::error(test::tensor_of(net, tensor.name), expected) <= 2 * rounding);
    ++parameter;
  }
  CHECK(parameter == after.size());
}

TEST_CASE("clipping gives the same bits at any number of threads", "[clip_gradients]") {
  const auto clipped = [](std::size_t threads) {
    set_cpu_threads(threads);
    dsrn<cpu<float>, 4, 1> net{seed{1}};
    compute(net);
    const double norm = clip_gradients(net, 0.01);
    return std::pair{norm, test::gradients(net)};
  };
  const auto one = clipped(1), four = clipped(4);
  set_cpu_threads(0);
  CHECK(one.first == four.first);
  CHECK(one.first > 0.01);
  CHECK(test::identical(one.second, four.second));
}

TEST_CASE("clipping refuses norms that make no sense", "[clip_gradients]") {
  small<double> net{seed{1}};
  compute(net);
  const auto before = test::gradients(net);
  for (const double norm : {0.0, -1.0, test::nan<double>, std::numeric_limits<double>::infinity()})
    CHECK_THROWS_MATCHES(clip_gradients(net, norm), argument_error, says("max_norm must be positive and finite, not "));
  small<float> in_float{seed{1}};
  compute(in_float);
  CHECK_THROWS_MATCHES(clip_gradients(in_float, 1e-50), argument_error, says("not 1e-50, which is 0 in 32 bits"));
  CHECK_NOTHROW(clip_gradients(in_float, std::numeric_limits<double>::max()));  // never clips
  CHECK_NOTHROW(clip_gradients(net, 1e-50));
  compute(net);
  CHECK(test::identical(test::gradients(net), before));
  for (double& g : net.gradients()) g = 1e200;
  CHECK_THROWS_MATCHES(clip_gradients(net, 1.0), numeric_error, says("norm of the gradients"));
  // All 0 stay so: nothing is divided by the norm.
  for (double& g : net.gradients()) g = 0;
  CHECK(clip_gradients(net, 1.0) == 0);
  for (const double g : net.gradients()) CHECK(g == 0);
}
