// Backward passes against central differences, in double. The neurons emit a ramp instead of a step (see
// neuron/surrogate.hpp): its derivative is the rectangular surrogate, so that time, reset and surrogate are checked at
// once. Where a neuron's ramp changes side between the two evaluations of a difference, the difference means nothing:
// such coordinates are left out, counted, and must be few.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <spikenet/dsrn.hpp>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace spikenet;

struct outcome {
  double worst_error = 0;       // |difference quotient - gradient|, over all coordinates that count
  double largest_gradient = 0;  // over all coordinates that count
  std::size_t coordinates = 0, left_out = 0;
};

// Which of its three sides each neuron's ramp is on, for all neurons and timesteps of the last training-mode pass.
template <class Network>
std::vector<signed char> sides(Network& net) {
  std::vector<signed char> all;
  net.for_each_output([&](const std::string& name, const auto& y) {
    if (name.find("spike") == std::string::npos) return;
    for (std::size_t i = 0; i < y.size(); ++i) all.push_back(y.data[i] <= 0 ? -1 : y.data[i] >= 1 ? 1 : 0);
  });
  return all;
}

// Checks at most `most` coordinates of each tensor, chosen at random.
template <class Network, class Loss = softmax_cross_entropy>
outcome compare_with_differences(std::size_t batch, std::size_t most, std::size_t neuron_layers,
                                 const Loss& loss = {}) {
  Network net{seed{7}, neuron{.threshold = 0.4, .decay = 0.6, .surrogate = {.half_width = 0.7}}};
  random_stream random(seed{11});
  std::vector<double> images(batch * Network::input::steps * Network::input::size);
  for (double& v : images) v = random.normal();
  std::vector<std::int32_t> labels(batch);
  for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(Network::classes));
  // Off their defaults, so that every parameter matters.
  net.for_each_parameter([&](const tensor_info& info, std::span<double> values, std::span<double>) {
    if (info.shape.size() == 1) {
      for (double& v : values) v += random.uniform(-0.3, 0.3);
    }
  });

  net.compute_gradients(images, labels, loss);
  std::map<std::string, std::vector<double>> gradients;
  net.for_each_parameter([&](const tensor_info& info, std::span<double>, std::span<double> g) {
    gradients[info.name].assign(g.begin(), g.end());
  });
  std::size_t found = 0;
  net.for_each_output([&](const std::string& name, const auto&) { found += name.find("spike") != std::string::npos; });
  REQUIRE(found == neuron_layers);  // or the sides of some would not be watched

  constexpr double step = 1e-6;
  outcome result;
  std::vector<std::pair<std::string, std::size_t>> coordinates;
  for (const auto& [name, g] : gradients) {
    std::vector<std::uint32_t> order(g.size());
    std::iota(order.begin(), order.end(), 0u);
    random.shuffle(std::span<std::uint32_t>(order));
    order.resize(std::min(most, order.size()));
    for (const std::uint32_t i : order) coordinates.emplace_back(name, i);
  }
  for (const auto& [tensor_name, index] : coordinates) {
    double* coordinate = nullptr;
    const std::string& wanted = tensor_name;
    const std::size_t at = index;
    net.for_each_parameter([&](const tensor_info& info, std::span<double> values, std::span<double>) {
      if (info.name == wanted) coordinate = &values[at];
    });
    REQUIRE(coordinate != nullptr);
    const double before = *coordinate;
    *coordinate = before + step;
    const double above = net.compute_gradients(images, labels, loss).loss;
    const auto sides_above = sides(net);
    *coordinate = before - step;
    const double below = net.compute_gradients(images, labels, loss).loss;
    const auto sides_below = sides(net);
    *coordinate = before;

    ++result.coordinates;
    if (sides_above != sides_below) {
      ++result.left_out;
      continue;
    }
    const double gradient = gradients[tensor_name][index];
    const double error = std::abs((above - below) / (2 * step) - gradient);
    result.largest_gradient = std::max(result.largest_gradient, std::abs(gradient));
    if (!(error <= result.worst_error)) result.worst_error = std::isnan(error) ? HUGE_VAL : error;
  }
  return result;
}

inline void require_agreement(const outcome& o) {
  CAPTURE(o.worst_error, o.largest_gradient, o.coordinates, o.left_out);
  REQUIRE(o.largest_gradient > 1e-4);
  CHECK(o.worst_error <= 1e-6 * o.largest_gradient);
  CHECK(o.left_out * 20 < o.coordinates);
}

template <class Backend, std::size_t T, class Input, class... Layers>
using net_of = network<Backend, timesteps<T>, Input, Layers...>;
using fused = cpu<double>;
using unfused = cpu<double, one_by_one>;
