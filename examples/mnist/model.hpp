// A deep spiking residual network whose size is chosen when the program runs. The library's networks have their width
// and timesteps in their type; behind this interface the rest of the program needs neither the types nor their compile
// time. model_of.hpp implements it, compiled once for each network. trained.hpp has what is done with one after its
// training.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <spikenet/core/parameter.hpp>
#include <spikenet/core/random.hpp>
#include <spikenet/training/optimizer.hpp>
#include <string>
#include <variant>

namespace spikenet {
class monitor;
struct neuron;
class profile;
struct step_result;
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

// The logits: the mean over time of the last layer's current, or of the spikes of neurons behind it.
enum class readout { mean_current, mean_spikes };

// What a network on a GPU computes in: docs/cuda.md. All but tf32 and float32 are mixed precision.
enum class gpu_precision { float32, tf32, float16, bfloat16 };

using optimizer = std::variant<spikenet::adam, spikenet::sgd>;

// What a step of training does beside the step.
struct step_options {
  double clip_norm = 0;        // gradients of a global norm above this are scaled to it; 0: they are left as they are
  bool gradient_norm = false;  // report that norm; it takes a pass over all gradients, which clipping needs anyhow
};

struct train_result {
  double loss = 0;
  std::size_t correct = 0;
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
  virtual void profile_into(spikenet::profile* times) = 0;
  virtual std::size_t parameter_count() const = 0;

  // The rest is what spikenet/io asks of a network. So the code that writes and reads its files is compiled once, and not
  // for each network.
  using scalar = float;
  using tensor_visitor = std::function<void(const spikenet::tensor_info& info, std::span<float> values)>;
  using const_tensor_visitor = std::function<void(const spikenet::tensor_info& info, std::span<const float> values)>;
  using parameter_visitor = std::function<void(const spikenet::tensor_info& info, std::span<const float> values,
                                               std::span<const float> gradients)>;
  using moment_visitor =
      std::function<void(const spikenet::tensor_info& info, std::size_t moment, std::span<float> values)>;

  template <class F>
  void for_each_tensor(F&& f) {
    visit_tensors(tensor_visitor{std::ref(f)});
  }
  template <class F>
  void for_each_tensor(F&& f) const {
    visit_tensors(const_tensor_visitor{std::ref(f)});
  }
  // For each trainable tensor; the gradients are those of the last train_step, as its update used them.
  virtual void for_each_parameter(const parameter_visitor& f) = 0;
  virtual const spikenet::neuron& neurons() const = 0;
  virtual std::uint64_t updates() const = 0;
  template <class Optimizer>
  std::uint64_t updates_by() const {
    return updates_by(Optimizer{});
  }
  template <class Optimizer>
  void restore_updates(std::uint64_t updates, std::uint64_t by_optimizer) {
    restore_updates(Optimizer{}, updates, by_optimizer);
  }
  template <class Optimizer, class F>
  void for_each_moment(F&& f) {
    visit_moments(Optimizer{}, moment_visitor{std::ref(f)});
  }
  template <class Optimizer, class F>
  void for_each_moment(F&& f) const {
    const_cast<model*>(this)->visit_moments(
        Optimizer{}, [&](const spikenet::tensor_info& info, std::size_t moment, std::span<float> values) {
          f(info, moment, std::span<const float>(values));
        });
  }

 private:
  virtual void visit_tensors(const tensor_visitor& f) = 0;
  virtual void visit_tensors(const const_tensor_visitor& f) const = 0;
  // Of the type of this optimizer.
  virtual std::uint64_t updates_by(const optimizer& type) const = 0;
  virtual void restore_updates(const optimizer& type, std::uint64_t updates, std::uint64_t by_optimizer) = 0;
  virtual void visit_moments(const optimizer& type, const moment_visitor& f) = 0;
};

// Says why there is no such network in the program, and how to get one; nothing if there is one. Looks at width, steps
// and readout.
std::optional<std::string> why_not_built(const model_options& options);

// Why no such network can run on a GPU: the program has none, or the machine has no usable GPU. Nothing where one can.
std::optional<std::string> why_not_on_gpu(const model_options& options);

// Settles a device of "auto": the GPU if the network can run there, or else the CPU, in float32, with a line that says
// why. Throws spikenet::argument_error if "cuda" is asked for and cannot be had.
void choose_device(model_options& options);

// Throws spikenet::argument_error for a network that is not built, or a neuron's value out of range.
std::unique_ptr<model> make_model(const model_options& options, spikenet::seed seed);

// One network on the CPU, and those of one size on a GPU; model.cpp and model.cu have the definitions. options.width,
// options.steps, options.device and options.precision are not looked at, nor is options.readout where the type says it.
template <std::size_t Width, std::size_t Timesteps, readout Readout>
std::unique_ptr<model> make_model_of(const model_options& options, spikenet::seed seed);
template <std::size_t Width, std::size_t Timesteps, gpu_precision Precision>
std::unique_ptr<model> make_gpu_model_of_size(const model_options& options, spikenet::seed seed);

}  // namespace mnist
