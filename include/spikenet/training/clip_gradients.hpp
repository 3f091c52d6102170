// Gradient clipping by the global norm: between the two halves of a training step,
//
//   const auto result = net.compute_gradients(images, labels);
//   const double norm = spikenet::clip_gradients(net, 1.0);
//   net.update(optimizer);
//
// A network here is anything whose `gradients()` is a std::span of all its gradients, or, where those are in a device's
// memory, that has `sum_of_squared_gradients()` and `scale_gradients(factor)`.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <spikenet/core/error.hpp>
#include <spikenet/core/setting.hpp>

namespace spikenet {

namespace detail {

template <class Gradients>
double sum_of_squares(const Gradients& gradients) {
  // Several sums: the additions need not wait for each other.
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  const std::size_t whole = gradients.size() - gradients.size() % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const double g = static_cast<double>(gradients[i + lane]);
      sums[lane] += g * g;
    }
  }
  for (std::size_t i = whole; i < gradients.size(); ++i) {
    const double g = static_cast<double>(gradients[i]);
    sums[i - whole] += g * g;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace detail

// The Euclidean norm of all gradients together. Summed in double and in an order of its own, so the bits are the same
// at any number of threads. Throws numeric_error where it is not finite: squares overflow beyond 1e154.
template <class Network>
double gradient_norm(Network& net) {
  double total = 0;
  if constexpr (requires { net.gradients(); }) {
    total = detail::sum_of_squares(net.gradients());
  } else {
    total = net.sum_of_squared_gradients();
  }
  if (!std::isfinite(total)) throw numeric_error("the norm of the gradients is not finite");
  return std::sqrt(total);
}

// Scales all gradients by the same factor where their norm is beyond max_norm, so that it becomes max_norm (Pascanu,
// Mikolov, Bengio: "On the difficulty of training recurrent neural networks", ICML 2013; PyTorch's clip_grad_norm_).
// Returns the norm before that. Throws argument_error unless max_norm is finite and above 0, in the network's precision
// too, or else all gradients would become 0; and as gradient_norm does.
template <class Network>
double clip_gradients(Network& net, double max_norm) {
  using scalar = typename Network::scalar;
  constexpr const char* rule = "clip_gradients: max_norm must be positive and finite";
  detail::require_setting<double>(detail::is_positive, rule, max_norm);
  detail::require_setting<scalar>([](double held) { return held > 0; }, rule, max_norm);
  const double norm = gradient_norm(net);
  if (norm > max_norm) {
    const double factor = max_norm / norm;
    if constexpr (requires { net.gradients(); }) {
      for (auto& gradient : net.gradients())
        gradient = static_cast<scalar>(static_cast<double>(gradient) * factor);
    } else {
      net.scale_gradients(factor);
    }
  }
  return norm;
}

}  // namespace spikenet
