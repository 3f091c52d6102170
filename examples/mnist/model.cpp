// Compiled once for each size: SPIKENET_MNIST_WIDTH and SPIKENET_MNIST_TIMESTEPS come from CMakeLists.txt.
#include "model.hpp"

#include <spikenet/core/error.hpp>
#include <spikenet/dsrn.hpp>
#include <spikenet/export/header.hpp>
#include <spikenet/inference/fold.hpp>
#include <spikenet/inference/inference.hpp>
#include <spikenet/inference/quantise.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/nir/export.hpp>

#include "deployed.hpp"

namespace mnist {

namespace {

template <class Network>
class model_of final : public model {
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
  spikenet::nir::graph nir_graph(double dt) const override { return spikenet::nir::to_graph(net_, dt); }
  std::size_t parameter_count() const override { return net_.parameter_count(); }
  std::unique_ptr<deployed> deploy(const std::string& number, const spikenet::normalise& normalisation) const override {
    if (number == "int8")
      return std::make_unique<deployed_as<Network, spikenet::quantised<std::uint8_t>>>(net_, normalisation);
    if (number == "float") return std::make_unique<deployed_as<Network, float>>(net_, normalisation);
    if (number == "double") return std::make_unique<deployed_as<Network, double>>(net_, normalisation);
    throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float, double or int8.");
  }
  void write_header(const std::filesystem::path& path, const std::string& number,
                    const spikenet::normalise& normalisation, spikenet::header_options options) const override {
    using in_float = spikenet::inference<typename Network::architecture, float>;
    using of_bytes = spikenet::inference<typename Network::architecture, spikenet::quantised<std::uint8_t>>;
    if (number == "int8") {
      spikenet::write_header<of_bytes>(*spikenet::quantise<of_bytes>(net_, normalisation), path, options);
    } else if (number == "float") {
      for (unsigned byte = 0; byte < 256; ++byte)
        options.values_of_bytes.push_back(normalisation(static_cast<std::uint8_t>(byte), 0));
      spikenet::write_header<in_float>(*spikenet::fold<in_float>(net_), path, options);
    } else {
      throw spikenet::argument_error("There is no inference in \"" + number + "\": it is float or int8.");
    }
  }

 private:
  Network net_;
};

}  // namespace

template <std::size_t Width, std::size_t Timesteps>
std::unique_ptr<model> make_model_of_size(const model_options& options, spikenet::seed seed) {
  using backend = spikenet::cpu<float>;
  if (options.readout == "mean_current")
    return std::make_unique<model_of<spikenet::dsrn<backend, Width, Timesteps, spikenet::mean_current>>>(options, seed);
  if (options.readout == "mean_spikes")
    return std::make_unique<model_of<spikenet::dsrn<backend, Width, Timesteps, spikenet::mean_spikes>>>(options, seed);
  throw spikenet::argument_error("There is no readout \"" + options.readout + "\": it is mean_current or mean_spikes.");
}

template std::unique_ptr<model> make_model_of_size<SPIKENET_MNIST_WIDTH, SPIKENET_MNIST_TIMESTEPS>(const model_options&,
                                                                                                   spikenet::seed);

}  // namespace mnist
