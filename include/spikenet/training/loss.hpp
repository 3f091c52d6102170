// Losses: what training makes small. Each takes logits [batch, classes] and labels [batch], writes the gradient
// [batch, classes] of the mean over the batch, and returns that mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace spikenet {

// -log softmax(logits)[label], averaged over the batch (PyTorch's CrossEntropyLoss). With a readout of mean spikes,
// which lies in [0, 1], it cannot go under ln(e + classes - 1) - 1.
struct softmax_cross_entropy {
  template <class Scalar>
  double operator()(std::size_t classes, std::span<const Scalar> logits, std::span<const std::int32_t> labels,
                    std::span<Scalar> gradient) const {
    double total = 0;
    const double share = 1.0 / static_cast<double>(labels.size());
    for (std::size_t n = 0; n < labels.size(); ++n) {
      const auto row = logits.subspan(n * classes, classes);
      const auto label = static_cast<std::size_t>(labels[n]);
      const double largest = static_cast<double>(*std::max_element(row.begin(), row.end()));
      double sum = 0;
      for (const Scalar logit : row) sum += std::exp(static_cast<double>(logit) - largest);
      total += std::log(sum) + largest - static_cast<double>(row[label]);
      for (std::size_t c = 0; c < classes; ++c) {
        const double probability = std::exp(static_cast<double>(row[c]) - largest) / sum;
        gradient[n * classes + c] = static_cast<Scalar>((probability - (c == label ? 1.0 : 0.0)) * share);
      }
    }
    return total * share;
  }
};

// (logits - one_hot(label))^2, averaged over classes and batch (PyTorch's MSELoss; the loss of the STBP paper).
struct mean_squared_error {
  template <class Scalar>
  double operator()(std::size_t classes, std::span<const Scalar> logits, std::span<const std::int32_t> labels,
                    std::span<Scalar> gradient) const {
    double total = 0;
    const double share = 1.0 / static_cast<double>(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const bool is_label = i % classes == static_cast<std::size_t>(labels[i / classes]);
      const double difference = static_cast<double>(logits[i]) - (is_label ? 1.0 : 0.0);
      total += difference * difference;
      gradient[i] = static_cast<Scalar>(2.0 * difference * share);
    }
    return total * share;
  }
};

}  // namespace spikenet
