// Losses against their formulae, and their gradients against central differences.
#include "spikenet/training/loss.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using values = std::vector<double>;
constexpr std::size_t classes = 7, batch = 5;

template <class Loss>
double loss_of(const values& logits, const std::vector<std::int32_t>& labels, values& gradient) {
  gradient.assign(logits.size(), test::nan<double>);
  return Loss{}(logits.size() / labels.size(), std::span<const double>(logits), std::span<const std::int32_t>(labels),
                std::span<double>(gradient));
}

template <class Loss>
void check_gradient() {
  values logits = test::normal<double>(batch * classes, 1, 0, 2), gradient, ignored;
  const auto labels = test::labels(batch, classes, 2);
  loss_of<Loss>(logits, labels, gradient);
  constexpr double h = 1e-5;
  values differences;
  for (double& logit : logits) {
    const double middle = logit;
    logit = middle + h;
    const double above = loss_of<Loss>(logits, labels, ignored);
    logit = middle - h;
    const double below = loss_of<Loss>(logits, labels, ignored);
    logit = middle;
    differences.push_back((above - below) / (2 * h));
  }
  CHECK(test::error(gradient, differences) < 1e-9);
}

}  // namespace

TEST_CASE("softmax cross-entropy is the mean of -log softmax", "[loss]") {
  const values logits = test::normal<double>(batch * classes, 1, 0, 2);
  const auto labels = test::labels(batch, classes, 2);
  values gradient, expected_gradient;
  double expected = 0;
  for (std::size_t n = 0; n < batch; ++n) {
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(logits[n * classes + c]);
    for (std::size_t c = 0; c < classes; ++c) {
      const double p = std::exp(logits[n * classes + c]) / sum;
      const bool is_label = labels[n] == static_cast<std::int32_t>(c);
      if (is_label) expected -= std::log(p) / batch;
      expected_gradient.push_back((is_label ? p - 1 : p) / batch);
    }
  }
  CHECK(loss_of<softmax_cross_entropy>(logits, labels, gradient) == Approx(expected).epsilon(1e-14));
  CHECK(test::error(gradient, expected_gradient) < 1e-14);
  check_gradient<softmax_cross_entropy>();
}

TEST_CASE("softmax cross-entropy of equal logits is log(classes), of mean spikes at best 1.46", "[loss]") {
  values gradient;
  CHECK(loss_of<softmax_cross_entropy>(values(10, 3.0), {4}, gradient) == Approx(std::log(10)).epsilon(1e-14));
  values spikes(10);
  spikes[4] = 1;
  CHECK(loss_of<softmax_cross_entropy>(spikes, {4}, gradient) == Approx(std::log(std::exp(1) + 9) - 1).epsilon(1e-14));
}

TEST_CASE("softmax cross-entropy stays finite for logits whose exponentials do not", "[loss]") {
  values gradient;
  CHECK(loss_of<softmax_cross_entropy>({1000, 0, -1000}, {0}, gradient) == Approx(0).margin(1e-300));
  CHECK(gradient == values{0, 0, 0});
  CHECK(loss_of<softmax_cross_entropy>({1000, 0, -1000}, {2}, gradient) == Approx(2000));
  CHECK(gradient == values{1, 0, -1});
  CHECK(loss_of<softmax_cross_entropy>({-5000, -5000}, {1}, gradient) == Approx(std::log(2)));
}

TEST_CASE("the mean squared error is over classes and batch", "[loss]") {
  const values logits = test::normal<double>(batch * classes, 1, 0, 2);
  const auto labels = test::labels(batch, classes, 2);
  values gradient, expected_gradient;
  double expected = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double target = labels[i / classes] == static_cast<std::int32_t>(i % classes) ? 1 : 0;
    expected += (logits[i] - target) * (logits[i] - target) / (batch * classes);
    expected_gradient.push_back(2 * (logits[i] - target) / (batch * classes));
  }
  CHECK(loss_of<mean_squared_error>(logits, labels, gradient) == Approx(expected).epsilon(1e-14));
  CHECK(test::error(gradient, expected_gradient) < 1e-14);
  check_gradient<mean_squared_error>();
}

TEST_CASE("a loss refuses sizes that do not fit each other", "[loss]") {
  const auto refuses = []<class Loss>(Loss loss, std::size_t logits, std::size_t labels, std::size_t gradient,
                                      const std::string& message) {
    values given(logits), to(gradient);
    const std::vector<std::int32_t> of(labels, 0);
    CHECK_THROWS_MATCHES(loss(classes, std::span<const double>(given), std::span(of), std::span(to)), argument_error,
                         says(message));
  };
  const auto both = [&](auto... arguments) {
    refuses(softmax_cross_entropy{}, arguments...);
    refuses(mean_squared_error{}, arguments...);
  };
  both(std::size_t{0}, std::size_t{0}, std::size_t{0}, "loss: the batch is empty");
  const std::string need = "loss: 2 labels of 7 classes need 14 logits and as many gradients, but there are ";
  both(std::size_t{13}, std::size_t{2}, std::size_t{14}, need + "13 logits and 14 gradients");
  both(std::size_t{14}, std::size_t{2}, std::size_t{0}, need + "14 logits and 0 gradients");
}

TEST_CASE("losses in single precision", "[loss]") {
  const auto logits = test::normal<float>(batch * classes, 1);
  const auto labels = test::labels(batch, classes, 2);
  const values exact(logits.begin(), logits.end());
  values gradient;
  std::vector<float> single(logits.size());
  const auto both = [&]<class Loss>(Loss loss) {
    const double expected = loss_of<Loss>(exact, labels, gradient);
    CHECK(loss(classes, std::span<const float>(logits), std::span<const std::int32_t>(labels), std::span(single)) ==
          Approx(expected).epsilon(1e-12));
    CHECK(test::error(single, gradient) < 1e-7);
  };
  both(softmax_cross_entropy{});
  both(mean_squared_error{});
}
