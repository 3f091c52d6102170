// A network behind the interface of model.hpp, on any backend: model.cpp makes one for the CPU and model.cu for a GPU.
#pragma once

#include <memory>
#include <spikenet/core/error.hpp>
#include <spikenet/network/dsrn.hpp>
#include <spikenet/networks.hpp>
#include <variant>

#include "model.hpp"

namespace mnist {

template <class Network>
class model_of final : public model {
  static_assert(Network::channels == 1 && Network::height == image_height && Network::width == image_width &&
                Network::classes == classes);

 public:
  model_of(const model_options& options, spikenet::seed seed)
      : net_{seed, {.threshold = options.v_th, .decay = options.tau, .surrogate = {.half_width = options.a}}} {}

  train_result train_step(std::span<const float> images, std::span<const std::int32_t> labels, const optimizer& rule,
                          const step_options& options) override {
    const spikenet::step_result step = net_.compute_gradients(images, labels);
    train_result result{.loss = step.loss, .correct = step.correct, .gradient_norm = {}};
    if (options.clip_norm > 0)
      result.gradient_norm = spikenet::clip_gradients(net_, options.clip_norm);
    else if (options.gradient_norm)
      result.gradient_norm = spikenet::gradient_norm(net_);
    std::visit([&](const auto& chosen) { net_.update(chosen); }, rule);
    return result;
  }
  void queue_step(std::span<const float> images, std::span<const std::int32_t> labels, const optimizer& rule) override {
    std::visit([&](const auto& chosen) { net_.queue_step(images, labels, chosen); }, rule);
  }
  spikenet::step_result finish_steps() override { return net_.finish_steps(); }
  void recalibrate(std::span<const float> images, std::size_t n) override { net_.recalibrate(images, n); }
  spikenet::step_result test_step(std::span<const float> images, std::span<const std::int32_t> labels) override {
    return net_.test_step(images, labels);
  }
  std::span<const float> evaluate(std::span<const float> images) override { return net_.evaluate(images); }
  std::span<const float> evaluate(std::span<const float> images, spikenet::monitor& monitor) override {
    return net_.evaluate(images, monitor);
  }
  void profile_into(spikenet::profile* times) override { net_.profile_into(times); }
  std::size_t parameter_count() const override { return net_.parameter_count(); }

  void for_each_parameter(const parameter_visitor& f) override { net_.for_each_parameter(f); }
  const spikenet::neuron& neurons() const override { return net_.neurons(); }
  std::uint64_t updates() const override { return net_.updates(); }

 private:
  void visit_tensors(const tensor_visitor& f) override { net_.for_each_tensor(f); }
  void visit_tensors(const const_tensor_visitor& f) const override { net_.for_each_tensor(f); }
  std::uint64_t updates_by(const optimizer& type) const override {
    return std::visit([&]<class Rule>(const Rule&) { return net_.template updates_by<Rule>(); }, type);
  }
  void restore_updates(const optimizer& type, std::uint64_t updates, std::uint64_t by_optimizer) override {
    std::visit([&]<class Rule>(const Rule&) { net_.template restore_updates<Rule>(updates, by_optimizer); }, type);
  }
  void visit_moments(const optimizer& type, const moment_visitor& f) override {
    std::visit([&]<class Rule>(const Rule&) { net_.template for_each_moment<Rule>(f); }, type);
  }

  Network net_;
};

}  // namespace mnist
