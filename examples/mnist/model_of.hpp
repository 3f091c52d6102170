// A network behind the interface of model.hpp, on any backend: what model.cpp makes of it for the CPU and model.cu for a GPU.
#pragma once

#include <memory>
#include <spikenet/core/error.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/network/dsrn.hpp>
#include <spikenet/networks.hpp>

#include "model.hpp"

namespace mnist {

// All but what is done with a network after its training.
template <class Network>
class model_of : public model {
  static_assert(Network::channels == 1 && Network::height == image_height && Network::width == image_width &&
                Network::classes == classes);

 public:
  model_of(const model_options& options, spikenet::seed seed)
      : net_{seed, {.threshold = options.v_th, .decay = options.tau, .surrogate = {.half_width = options.a}}} {}

  train_result train_step(std::span<const float> images, std::span<const std::int32_t> labels, const optimizer& rule,
                          const step_options& options) override {
    train_result result{net_.compute_gradients(images, labels), {}};
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
  void save(const std::filesystem::path& path, const spikenet::safetensors_metadata& metadata) override {
    spikenet::save_state_dict(net_, path, metadata);
  }
  void load(const spikenet::safetensors_file& file, std::optional<spikenet::library> from) override {
    from ? spikenet::import_state_dict(net_, file, *from) : spikenet::load_state_dict(net_, file);
  }
  void save_checkpoint(const std::filesystem::path& directory, const optimizer& rule,
                       const spikenet::training_state& state, const spikenet::safetensors_metadata& metadata) override {
    std::visit([&](const auto& chosen) { spikenet::save_checkpoint(net_, chosen, directory, state, metadata); }, rule);
  }
  void restore(const spikenet::checkpoint& from, const optimizer& rule) override {
    std::visit([&](const auto& chosen) { from.restore(net_, chosen); }, rule);
  }
  void profile_into(spikenet::profile* times) override { net_.profile_into(times); }
  void for_each_parameter(const parameter_visitor& f) override {
    net_.for_each_parameter([&](const spikenet::tensor_info& info, std::span<float> values,
                                std::span<float> gradients) { f(info.name, values, gradients); });
  }
  std::size_t parameter_count() const override { return net_.parameter_count(); }

 protected:
  Network net_;
};

// Model: model_of, or what adds the rest to it.
template <template <class Network> class Model, class Backend, std::size_t Width, std::size_t Timesteps>
std::unique_ptr<model> make_model_on(const model_options& options, spikenet::seed seed) {
  if (options.readout == "mean_current")
    return std::make_unique<Model<spikenet::dsrn<Backend, Width, Timesteps, spikenet::mean_current>>>(options, seed);
  if (options.readout == "mean_spikes")
    return std::make_unique<Model<spikenet::dsrn<Backend, Width, Timesteps, spikenet::mean_spikes>>>(options, seed);
  throw spikenet::argument_error("There is no readout \"" + options.readout + "\": it is mean_current or mean_spikes.");
}

}  // namespace mnist
