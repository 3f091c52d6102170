#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "consumer.hpp"

std::size_t count_correct(net_t& net, std::span<const float> images, std::span<const std::int32_t> labels) {
  const std::span<const float> logits = net.evaluate(images);
  std::size_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * net_t::classes, net_t::classes);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
      throw std::runtime_error{"a logit is not finite"};
    if (std::max_element(row.begin(), row.end()) - row.begin() == labels[i]) ++correct;
  }
  return correct;
}
