// Losses: what training makes small. Each takes logits [batch, classes] and labels [batch], writes the gradient
// [batch, classes] of the mean over the batch, and returns that mean. One that looks at one item at a time may say so by a
// member of_item, which a device then computes the gradient with; any other is computed on the host.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "spikenet/core/compiler.hpp"
#include "spikenet/core/error.hpp"

namespace spikenet {

namespace detail {
// The mean over a batch of a loss that looks at one item at a time. Throws argument_error if the batch is empty, or if
// the sizes do not fit each other.
template <class Loss, class Scalar>
double mean_loss(const Loss& loss, std::size_t classes, std::span<const Scalar> logits,
                 std::span<const std::int32_t> labels, std::span<Scalar> gradient) {
  if (labels.empty()) throw argument_error("loss: the batch is empty");
  const std::size_t values = labels.size() * classes;
  if (logits.size() != values || gradient.size() != values) {
    throw argument_error("loss: " + std::to_string(labels.size()) + " labels of " + std::to_string(classes) +
                         " classes need " + std::to_string(values) + " logits and as many gradients, but there are " +
                         std::to_string(logits.size()) + " logits and " + std::to_string(gradient.size()) +
                         " gradients");
  }
  double total = 0;
  const double share = 1.0 / static_cast<double>(labels.size());
  for (std::size_t n = 0; n < labels.size(); ++n) {
    total += loss.of_item(classes, logits.data() + n * classes, static_cast<std::size_t>(labels[n]), share,
                          gradient.data() + n * classes);
  }
  return total * share;
}
}  // namespace detail

// -log softmax(logits)[label], averaged over the batch (PyTorch's CrossEntropyLoss). With a readout of mean spikes,
// which lies in [0, 1], it cannot go under ln(e + classes - 1) - 1.
struct softmax_cross_entropy {
  // The loss of one item; writes its gradient [classes] times `share`.
  template <class Scalar>
  SPIKENET_HOST_DEVICE double of_item(std::size_t classes, const Scalar* logits, std::size_t label, double share,
                                      Scalar* gradient) const {
    double largest = static_cast<double>(logits[0]);
    for (std::size_t c = 1; c < classes; ++c) {
      if (static_cast<double>(logits[c]) > largest) largest = static_cast<double>(logits[c]);
    }
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
    for (std::size_t c = 0; c < classes; ++c) {
      const double probability = std::exp(static_cast<double>(logits[c]) - largest) / sum;
      gradient[c] = static_cast<Scalar>((probability - (c == label ? 1.0 : 0.0)) * share);
    }
    return std::log(sum) + largest - static_cast<double>(logits[label]);
  }

  template <class Scalar>
  double operator()(std::size_t classes, std::span<const Scalar> logits, std::span<const std::int32_t> labels,
                    std::span<Scalar> gradient) const {
    return detail::mean_loss(*this, classes, logits, labels, gradient);
  }
};

// (logits - one_hot(label))^2, averaged over classes and batch (PyTorch's MSELoss; the loss of the STBP paper).
struct mean_squared_error {
  // The loss of one item; writes its gradient [classes] times `share`.
  template <class Scalar>
  SPIKENET_HOST_DEVICE double of_item(std::size_t classes, const Scalar* logits, std::size_t label, double share,
                                      Scalar* gradient) const {
    double total = 0;
    const double of_class = 1.0 / static_cast<double>(classes);
    for (std::size_t c = 0; c < classes; ++c) {
      const double difference = static_cast<double>(logits[c]) - (c == label ? 1.0 : 0.0);
      total += difference * difference;
      gradient[c] = static_cast<Scalar>(2.0 * difference * of_class * share);
    }
    return total * of_class;
  }

  template <class Scalar>
  double operator()(std::size_t classes, std::span<const Scalar> logits, std::span<const std::int32_t> labels,
                    std::span<Scalar> gradient) const {
    return detail::mean_loss(*this, classes, logits, labels, gradient);
  }
};

}  // namespace spikenet
