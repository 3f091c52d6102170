// A deep spiking residual network whose size is chosen when the program runs. The library's networks have their width
// and timesteps in their type; behind this interface the rest of the program needs neither the types nor their compile
// time. model_of.hpp implements it, compiled once for each size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <spikenet/core/random.hpp>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/io/import.hpp>
#include <spikenet/io/safetensors.hpp>
#include <spikenet/network/network.hpp>
#include <spikenet/nir/graph.hpp>
#include <spikenet/training/monitor.hpp>
#include <spikenet/training/optimizer.hpp>
#include <string>
#include <variant>

namespace spikenet {
struct header_options;
struct normalise;
}  // namespace spikenet

namespace mnist {

// What every network of this program takes and gives.
inline constexpr std::size_t image_height = 28, image_width = 28, classes = 10;

// What makes a network, apart from its weights.
struct model_options {
  std::size_t width = 16;                // channels of the first blocks
  std::size_t steps = 2;                 // timesteps
  std::string readout = "mean_current";  // or "mean_spikes"
  double v_th = 0.5;                     // the neurons' threshold
  double tau = 0.25;                     // what is left of their potential after one timestep
  double a = 0.5;                        // half the width of the surrogate's window
  std::string device = "cpu";            // or "cuda", or "auto": see choose_device
  std::string precision = "float32";     // on a GPU; or "tf32", "float16", "bfloat16"
};

// What a network on a GPU computes in: docs/cuda.md. All but tf32 and float32 are mixed precision.
enum class gpu_precision { float32, tf32, float16, bfloat16 };

class deployed;  // deployed.hpp

using optimizer = std::variant<spikenet::adam, spikenet::sgd>;

// What a step of training does beside the step.
struct step_options {
  double clip_norm = 0;        // gradients of a global norm above this are scaled to it; 0: they are left as they are
  bool gradient_norm = false;  // report that norm; it takes a pass over all gradients, which clipping needs anyhow
};

struct train_result : spikenet::step_result {
  std::optional<double> gradient_norm;  // before clipping; where one of the two needed it
};

class model {
 public:
  virtual ~model() = default;

  // images: [N, 1, image_height, image_width]; labels: [N]. See spikenet::network for all of these.
  virtual train_result train_step(std::span<const float> images, std::span<const std::int32_t> labels,
                                  const optimizer& rule, const step_options& options) = 0;
  virtual void queue_step(std::span<const float> images, std::span<const std::int32_t> labels, const optimizer& rule) = 0;
  virtual spikenet::step_result finish_steps() = 0;
  virtual void recalibrate(std::span<const float> images, std::size_t n) = 0;
  virtual spikenet::step_result test_step(std::span<const float> images, std::span<const std::int32_t> labels) = 0;
  // Logits [N, classes] in evaluation mode, valid until the next call.
  virtual std::span<const float> evaluate(std::span<const float> images) = 0;
  // The same, and the monitor watches.
  virtual std::span<const float> evaluate(std::span<const float> images, spikenet::monitor& monitor) = 0;
  virtual void save(const std::filesystem::path& path, const spikenet::safetensors_metadata& metadata) = 0;
  // From its own file, or from another library's.
  virtual void load(const spikenet::safetensors_file& file, std::optional<spikenet::library> from = std::nullopt) = 0;
  virtual void save_checkpoint(const std::filesystem::path& directory, const optimizer& rule,
                               const spikenet::training_state& state,
                               const spikenet::safetensors_metadata& metadata) = 0;
  virtual void restore(const spikenet::checkpoint& from, const optimizer& rule) = 0;
  virtual void profile_into(spikenet::profile* times) = 0;
  // f for each trainable tensor; the gradients are those of the last train_step, as its update used them.
  using parameter_visitor =
      std::function<void(const std::string& name, std::span<const float> values, std::span<const float> gradients)>;
  virtual void for_each_parameter(const parameter_visitor& f) = 0;
  virtual std::size_t parameter_count() const = 0;

  // What is done with a network after its training. One on a GPU refuses (spikenet::argument_error): whoever wants this reads
  // its checkpoint.

  // See spikenet/nir/export.hpp.
  virtual spikenet::nir::graph nir_graph(double dt) const;
  // The network's inference, as it is now. number: "float", "double", or "int8", which is spikenet::quantised.
  virtual std::unique_ptr<deployed> deploy(const std::string& number,
                                           const spikenet::normalise& normalisation) const;
  // The network's inference as C++: see spikenet/export/header.hpp. number: "float"; or "int8", which takes the bytes of
  // images, and for which the normalisation becomes a part of the network.
  virtual void write_header(const std::filesystem::path& path, const std::string& number,
                            const spikenet::normalise& normalisation, spikenet::header_options options) const;
};

// Why there is no network of this size in the program, and how to get one; nothing where there is one.
std::optional<std::string> why_not_built(std::size_t width, std::size_t steps);

// Why no network of this size and precision can run on a GPU: the program has none, or the machine has no usable GPU.
// Nothing where one can.
std::optional<std::string> why_not_on_gpu(const model_options& options);

// Settles a device of "auto": the GPU where the network can run there, and else the CPU, with a line that says why. Throws
// spikenet::argument_error where "cuda" is asked for and cannot be had.
void choose_device(model_options& options);

// Throws spikenet::argument_error for a size that is not built, an unknown readout, or a neuron's value out of range.
std::unique_ptr<model> make_model(const model_options& options, spikenet::seed seed);

// The network of one size on the CPU and on a GPU; model.cpp and model.cu have the definitions. options.width,
// options.steps, options.device and options.precision are not looked at.
template <std::size_t Width, std::size_t Timesteps>
std::unique_ptr<model> make_model_of_size(const model_options& options, spikenet::seed seed);
template <std::size_t Width, std::size_t Timesteps, gpu_precision Precision>
std::unique_ptr<model> make_gpu_model_of_size(const model_options& options, spikenet::seed seed);

}  // namespace mnist
