// How a network behaves: how often its neurons fire and where their membrane potentials lie, what its spikes save, and
// which layers are in trouble. docs/monitor.md explains every number.
//
//     spikenet::monitor m;
//     net.evaluate(images, m);              // as often as one likes: batches add up
//     net.for_each_output(m);               // or what the last training step left
//     for (const auto& layer : m.neurons()) std::printf("%s %f\n", layer.name.c_str(), layer.rate());
//     for (const std::string& text : m.warnings()) std::puts(text.c_str());
//
// It looks at layers by what they are, not by their names: layers whose output is spikes, and layers that say how many
// outputs an input goes into (fan_out: convolutions, linear layers). Membrane potentials are known where the layer says
// how its neurons run (dynamics: lif). A layer of one's own takes part in the same way; see layer/layer.hpp.
//
// Counting takes time and memory, so monitor some batches rather than all: a network that nothing observes pays
// nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/network/observation.hpp"

namespace spikenet {

// The membrane potentials u[t] of a layer's neurons, just before they fire or not. If the monitor cannot see them,
// known() is false, and all numbers but the counts are NaN.
class membrane_statistics {
 public:
  bool known() const noexcept { return count_ > 0; }
  std::uint64_t count() const noexcept { return count_; }  // neurons * timesteps * images
  double mean() const noexcept { return known() ? sum_ / static_cast<double>(count_) : nan; }
  double stddev() const noexcept {
    if (!known()) return nan;
    return std::sqrt(std::max(0.0, squares_ / static_cast<double>(count_) - mean() * mean()));
  }
  double min() const noexcept { return min_; }
  double max() const noexcept { return max_; }

  // The share of them within the surrogate's window around the threshold: those that learning reaches.
  double in_window() const noexcept {
    return known() ? static_cast<double>(in_window_) / static_cast<double>(count_) : nan;
  }
  double threshold() const noexcept { return threshold_; }
  double half_width() const noexcept { return half_width_; }  // of the surrogate's window

  // Histogram: bin b counts the potentials in (edge(b - 1), edge(b)], the first all up to edge(0), the last all above
  // edge(bins - 2). One of the edges is the threshold.
  static constexpr std::size_t bins = 66;
  const std::array<std::uint64_t, bins>& histogram() const noexcept { return histogram_; }
  double edge(std::size_t b) const noexcept { return threshold_ * (static_cast<double>(b) / per_threshold - reach); }

  // Runs the neurons over x [in_steps, neurons] for `steps` timesteps, where in_steps is steps, or 1 for the same input
  // at every timestep.
  template <class Dynamics, class Scalar>
  void add(neuron_constants<Scalar> k, const Scalar* x, std::size_t in_steps, std::size_t steps, std::size_t neurons) {
    threshold_ = static_cast<double>(k.threshold);
    half_width_ = static_cast<double>(k.half_width);
    std::array<Scalar, block> u, o;
    for (std::size_t first = 0; first < neurons; first += block) {
      const std::size_t size = std::min(block, neurons - first);
      u.fill(Scalar{});
      o.fill(Scalar{});
      for (std::size_t t = 0; t < steps; ++t) {
        const Scalar* const in = x + (in_steps == 1 ? 0 : t) * neurons + first;
        std::uint32_t reached = 0;
        for (std::size_t i = 0; i < size; ++i) {
          u[i] = Dynamics::membrane(u[i], o[i], in[i], k);
          o[i] = Dynamics::spike(u[i], k);
          reached += surrogate_derivative(u[i], k) != Scalar{} ? 1 : 0;
        }
        in_window_ += reached;
        add_moments(std::span<const Scalar>(u.data(), size));
        add_to_histogram(std::span<const Scalar>(u.data(), size));
      }
    }
  }

 private:
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  static constexpr std::size_t block = 256;              // neurons that are run together
  static constexpr double per_threshold = 8, reach = 4;  // bins in a threshold; thresholds on either side of 0
  static constexpr std::int32_t at_threshold = 40;       // the bin whose upper edge is the threshold

  template <class Scalar>
  void add_moments(std::span<const Scalar> u) {
    constexpr std::size_t lanes = 8;  // sums that do not wait for each other
    std::array<double, lanes> sum{}, squares{};
    std::array<Scalar, lanes> low, high;
    low.fill(u[0]);
    high.fill(u[0]);
    const auto take = [&](std::size_t lane, Scalar value) {
      const double v = static_cast<double>(value);
      sum[lane] += v;
      squares[lane] += v * v;
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
    };
    std::size_t i = 0;
    for (; i + lanes <= u.size(); i += lanes) {
      for (std::size_t lane = 0; lane < lanes; ++lane) take(lane, u[i + lane]);
    }
    for (; i < u.size(); ++i) take(0, u[i]);

    if (count_ == 0) min_ = max_ = static_cast<double>(u[0]);
    count_ += u.size();
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      sum_ += sum[lane];
      squares_ += squares[lane];
      min_ = std::min(min_, static_cast<double>(low[lane]));
      max_ = std::max(max_, static_cast<double>(high[lane]));
    }
  }

  template <class Scalar>
  void add_to_histogram(std::span<const Scalar> u) {
    constexpr double lowest = -reach * per_threshold, highest = reach * per_threshold + 1;
    std::array<std::int32_t, block> bin;
    const double threshold = threshold_;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double value = static_cast<double>(u[i]), at = value / threshold * per_threshold;
      const double above_lowest = at > lowest ? at : lowest;  // NaN, too
      const double inside = above_lowest < highest ? above_lowest : highest;
      const std::int32_t rounded = static_cast<std::int32_t>(bins) - 1 - static_cast<std::int32_t>(highest - inside);
      // Rounding must not carry a potential across the threshold: what lies above it is what fires.
      bin[i] = value > threshold ? std::max(rounded, at_threshold + 1) : std::min(rounded, at_threshold);
    }
    for (std::size_t i = 0; i < u.size(); ++i) ++histogram_[static_cast<std::size_t>(bin[i])];
  }

  std::uint64_t count_ = 0, in_window_ = 0;
  double sum_ = 0, squares_ = 0, min_ = nan, max_ = nan, threshold_ = nan, half_width_ = nan;
  std::array<std::uint64_t, bins> histogram_{};
};

// A layer of spiking neurons, over all images that it was shown.
struct neuron_statistics {
  std::string name;
  std::vector<std::string> follows;  // the layers with weights between the neurons before and these: "fc1"
  bool normalised = false;           // a layer with running statistics (tdBN) is among what lies between
  std::size_t neurons = 0;           // of one image
  std::size_t timesteps = 0;
  std::uint64_t images = 0;
  std::vector<std::uint64_t> spikes_of_neuron;    // [neurons], channels last: [H, W, C]
  std::vector<std::uint64_t> spikes_of_timestep;  // [timesteps]
  membrane_statistics membrane;

  std::uint64_t spikes() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t of_timestep : spikes_of_timestep) sum += of_timestep;
    return sum;
  }
  // Spikes for each neuron, timestep and image: 0 to 1.
  double rate() const {
    return static_cast<double>(spikes()) /
           static_cast<double>(std::max<std::uint64_t>(1, neurons * timesteps * images));
  }
  double rate(std::size_t timestep) const {
    return static_cast<double>(spikes_of_timestep[timestep]) /
           static_cast<double>(std::max<std::uint64_t>(1, neurons * images));
  }
  // The share of neurons that never fired, and of those that fired at every timestep of every image.
  double dead() const { return share_with(0); }
  double saturated() const { return share_with(timesteps * images); }

 private:
  double share_with(std::uint64_t spikes) const {
    const auto found = std::count(spikes_of_neuron.begin(), spikes_of_neuron.end(), spikes);
    return images > 0 ? static_cast<double>(found) / static_cast<double>(neurons) : 0;
  }
};

// What an arithmetic operation costs, in picojoules: 32-bit floating point in 45 nm at 0.9 V (Horowitz, "Computing's
// energy problem (and what we can do about it)", ISSCC 2014). Moving data costs more than that, and is left out.
struct operation_energy {
  double add = 0.9;
  double multiply = 3.7;
  double multiply_add() const noexcept { return multiply + add; }
};

// The operations of layers with weights.
struct synaptic_operations {
  std::uint64_t additions = 0;           // one for each spike and each output that the spike goes into
  std::uint64_t multiply_adds = 0;       // where the input is real: one for each value and each output it goes into
  std::uint64_t dense = 0;               // multiply-adds of the same layers and timesteps, if no use was made of spikes
  std::uint64_t dense_one_timestep = 0;  // those of a network without time: each layer once for each image

  double energy(const operation_energy& of = {}) const noexcept {  // picojoules
    return static_cast<double>(additions) * of.add + static_cast<double>(multiply_adds) * of.multiply_add();
  }
  double dense_energy(const operation_energy& of = {}) const noexcept {
    return static_cast<double>(dense) * of.multiply_add();
  }
  double dense_one_timestep_energy(const operation_energy& of = {}) const noexcept {
    return static_cast<double>(dense_one_timestep) * of.multiply_add();
  }
  synaptic_operations& operator+=(const synaptic_operations& other) noexcept {
    additions += other.additions;
    multiply_adds += other.multiply_adds;
    dense += other.dense;
    dense_one_timestep += other.dense_one_timestep;
    return *this;
  }
};

// A layer with weights, over all images that it was shown. Biases, pooling, normalisation (a convolution can take it up
// once training is over) and the neurons' own arithmetic are not counted.
struct synapse_statistics {
  std::string name;
  bool spiking_input = false;     // else real values
  std::size_t inputs = 0;         // values of one image at one timestep
  std::size_t timesteps = 0;      // how often the layer is computed for an image; 1 where its input does not change
  std::uint64_t connections = 0;  // multiply-adds of one image at one timestep; padding is none
  std::uint64_t images = 0;
  std::uint64_t spikes = 0;  // received; 0 where the input is real
  synaptic_operations operations;

  std::vector<std::uint32_t> fan_out;  // [inputs], channels last: how many outputs each input goes into
};

// When monitor::warnings speaks up.
struct monitor_limits {
  double silent_rate = 0.01;     // a layer whose neurons fire less often
  double saturated_rate = 0.9;   // or more often
  double dead_share = 0.5;       // a layer with a greater share of neurons that never fired
  double saturated_share = 0.5;  // or that always fired
  std::uint64_t images = 100;    // the two shares are not judged before so many images: few say little
};

class monitor {
 public:
  // In the order in which the layers were first shown.
  const std::vector<neuron_statistics>& neurons() const noexcept { return neurons_; }
  const std::vector<synapse_statistics>& synapses() const noexcept { return synapses_; }

  synaptic_operations total() const noexcept {
    synaptic_operations sum;
    for (const synapse_statistics& layer : synapses_) sum += layer.operations;
    return sum;
  }

  // One text for each layer that is silent or saturated: what is wrong, and what to change.
  std::vector<std::string> warnings(const monitor_limits& limits = {}) const {
    std::vector<std::string> texts;
    for (const neuron_statistics& layer : neurons_) {
      std::string text = warning(layer, limits);
      if (!text.empty()) texts.push_back(std::move(text));
    }
    return texts;
  }

  // Forgets everything, for another epoch or another network.
  void clear() { *this = monitor{}; }

  // For network::evaluate and for_each_output. Throws argument_error where a layer of the same name had another shape
  // before: a monitor watches one network.
  template <class Module, class In, class Scalar>
  void operator()(const observation<Module, In, Scalar>& seen) {
    using output = typename Module::output;
    constexpr bool runs_as_neurons = requires { typename Module::dynamics; };
    if (seen.input.batch == 0) return;
    origin* const first_time = first_sight(seen.name, seen.from, seen.to);

    if constexpr (requires { std::size_t{Module::fan_out(std::size_t{})}; }) {
      constexpr bool spiking = In::holds == content::spikes;
      synapse_statistics& layer = synapses_named(seen.name, spiking, In::size, In::steps,
                                                 [](std::size_t i) -> std::size_t { return Module::fan_out(i); });
      if (spiking) tally(seen.input.data, seen.input.items(), In::size);
      add_operations(layer, seen.input.batch);
      if (first_time) first_time->layers.push_back(seen.name);
    }
    if constexpr (requires { Module::parameters; }) {
      for (const parameter& p : Module::parameters)
        if (first_time && !p.trainable) first_time->normalised = true;
    }
    // A layer that only hands spikes on, flatten for one, has no neurons.
    if constexpr (output::holds == content::spikes && (runs_as_neurons || In::holds != content::spikes)) {
      neuron_statistics& layer = neurons_named(seen.name, output::size, output::steps);
      if (first_time) {
        layer.follows = std::exchange(first_time->layers, {});
        layer.normalised = std::exchange(first_time->normalised, false);
      }
      layer.images += seen.output.batch;
      for (std::size_t t = 0; t < output::steps; ++t) {
        tally(seen.output.data + t * seen.output.step_size(), seen.output.batch, output::size);
        add_spikes(layer, t);
      }
      if constexpr (runs_as_neurons) {
        layer.membrane.template add<typename Module::dynamics>(seen.neurons.template constants<Scalar>(),
                                                               seen.input.data, In::steps, output::steps,
                                                               seen.input.step_size());
      }
    }
  }

 private:
  // What lies between some values and the neurons before them.
  struct origin {
    const void* values;               // where a layer found or left them
    std::string name;                 // of the layer that made them
    std::vector<std::string> layers;  // with weights
    bool normalised = false;
    bool read = false;  // by a layer that was shown since

    // Of a sum with those.
    void add(origin& other) {
      for (const std::string& layer : other.layers)
        if (std::find(layers.begin(), layers.end(), layer) == layers.end()) layers.push_back(layer);
      normalised = normalised || other.normalised;
      other.read = true;
    }
  };

  // The origin of a layer's output so far, which the layer adds itself to, the first time that it is shown; then null.
  origin* first_sight(const std::string& name, const void* input, const void* output) {
    if (!names_.insert(name).second) return nullptr;
    origin made = origin_of(name, input);
    made.values = output;
    made.name = name;
    made.read = false;
    origins_.push_back(std::move(made));
    return &origins_.back();
  }

  // Of the input of the layer of that name. The network does not say what is a sum, but that can be seen. Layers are
  // shown in the order main branch, shortcut, join; so a result that nobody has read by the time of the join is a
  // branch of the block, or of one around it.
  origin origin_of(const std::string& name, const void* input) {
    const auto known =
        std::find_if(origins_.rbegin(), origins_.rend(), [&](const origin& o) { return o.values == input; });
    if (known != origins_.rend() && known->read) return *known;  // a block's input, of which its other branch begins

    origin sum{input, {}, {}};
    if (known != origins_.rend()) {
      // The values that the layer before made; with the shortcut added to them where others came between.
      for (auto o = known.base() - 1; o != origins_.end(); ++o)
        if (!o->read) sum.add(*o);
      return sum;
    }
    // Values that no layer made: a sum in memory of its own, whose branches are called as the join is, but for the end;
    // or the network's input, where there is none.
    bool found = false;
    for (std::size_t common = name.size(); common > 0 && !found;) {
      common = common > 1 ? name.rfind('.', common - 2) + 1 : 0;
      for (origin& o : origins_) {
        if (o.read || o.name.compare(0, common, name, 0, common) != 0) continue;
        sum.add(o);
        found = true;
      }
    }
    sum.read = true;
    origins_.push_back(sum);
    return sum;
  }

  // tally_[i]: in how many of the items value i is not 0.
  template <class Scalar>
  void tally(const Scalar* values, std::size_t items, std::size_t size) {
    tally_.assign(size, 0);
    for (std::size_t item = 0; item < items; ++item, values += size) {
      for (std::size_t i = 0; i < size; ++i) tally_[i] += values[i] != Scalar{} ? 1 : 0;
    }
  }

  void add_operations(synapse_statistics& layer, std::uint64_t images) {
    const std::uint64_t dense = layer.connections * layer.timesteps * images;
    layer.images += images;
    layer.operations.dense += dense;
    layer.operations.dense_one_timestep += layer.connections * images;
    if (!layer.spiking_input) {
      layer.operations.multiply_adds += dense;
      return;
    }
    for (std::size_t i = 0; i < layer.inputs; ++i) {
      layer.spikes += tally_[i];
      layer.operations.additions += std::uint64_t{tally_[i]} * layer.fan_out[i];
    }
  }

  void add_spikes(neuron_statistics& layer, std::size_t timestep) {
    for (std::size_t i = 0; i < layer.neurons; ++i) {
      layer.spikes_of_neuron[i] += tally_[i];
      layer.spikes_of_timestep[timestep] += tally_[i];
    }
  }

  template <class Layer>
  static Layer* find(std::vector<Layer>& layers, const std::string& name) {
    const auto found = std::find_if(layers.begin(), layers.end(), [&](const Layer& l) { return l.name == name; });
    return found == layers.end() ? nullptr : &*found;
  }
  static void require_same(const std::string& name, std::size_t before, std::size_t now) {
    if (before == now) return;
    throw argument_error("monitor: " + name + " had " + std::to_string(before) +
                         " values in an earlier batch and has " + std::to_string(now) +
                         " now; a monitor watches one network (clear starts again)");
  }

  synapse_statistics& synapses_named(const std::string& name, bool spiking, std::size_t inputs, std::size_t timesteps,
                                     std::size_t (*fan_out)(std::size_t)) {
    if (synapse_statistics* const known = find(synapses_, name)) {
      require_same(name, known->inputs * known->timesteps, inputs * timesteps);
      return *known;
    }
    synapse_statistics layer;
    layer.name = name;
    layer.spiking_input = spiking;
    layer.inputs = inputs;
    layer.timesteps = timesteps;
    for (std::size_t i = 0; i < inputs; ++i) {
      layer.fan_out.push_back(static_cast<std::uint32_t>(fan_out(i)));
      layer.connections += layer.fan_out.back();
    }
    synapses_.push_back(std::move(layer));
    return synapses_.back();
  }

  neuron_statistics& neurons_named(const std::string& name, std::size_t neurons, std::size_t timesteps) {
    if (neuron_statistics* const known = find(neurons_, name)) {
      require_same(name, known->neurons * known->timesteps, neurons * timesteps);
      return *known;
    }
    neuron_statistics layer;
    layer.name = name;
    layer.neurons = neurons;
    layer.timesteps = timesteps;
    layer.spikes_of_neuron.assign(neurons, 0);
    layer.spikes_of_timestep.assign(timesteps, 0);
    neurons_.push_back(std::move(layer));
    return neurons_.back();
  }

  static std::string number(const char* format, double value) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), format, value);
    return text.data();
  }
  static std::string percent(double share) { return number("%.3g %%", 100 * share); }

  static std::string warning(const neuron_statistics& layer, const monitor_limits& limits) {
    const bool enough = layer.images >= limits.images;
    const double rate = layer.rate(), dead = layer.dead(), saturated = layer.saturated();
    const bool silent = rate < limits.silent_rate || (enough && dead > limits.dead_share);
    if (!silent && rate <= limits.saturated_rate && !(enough && saturated > limits.saturated_share)) return {};

    std::string text = layer.name + (silent ? " is nearly silent: " : " is saturated: ");
    text += "its neurons fire at " + percent(rate) + " of the timesteps";
    if (enough) {
      text += ", " + percent(silent ? dead : saturated) + " of them " + (silent ? "never" : "always") + " in " +
              std::to_string(layer.images) + " images";
    }
    text += ".";
    const membrane_statistics& u = layer.membrane;
    if (u.known()) {
      text += " Their potentials are " + number("%.3g", u.mean()) + " +- " + number("%.3g", u.stddev()) +
              " where the threshold is " + detail::text_of(u.threshold()) + "; " + percent(u.in_window()) +
              " lie within a = " + detail::text_of(u.half_width()) + " of it, and only those learn.";
    }
    return text + advice(layer, silent);
  }

  static std::string advice(const neuron_statistics& layer, bool silent) {
    std::string text;
    if (layer.normalised) {
      // Its output scales with the threshold: another threshold alone makes next to no difference.
      text =
          std::string(" Look at the weight and bias of the normalisation before them, which have become too ") +
          (silent ? "small" : "large") +
          ": a lower learning rate keeps them nearer to 1 and 0. In evaluation after few steps of training it may be "
          "its running statistics, which lag behind. Another threshold changes little, for what the "
          "normalisation gives scales with it.";
    } else {
      text = silent
                 ? " Lower the threshold, or start from larger weights (Kaiming initialisation, a larger scale, or a "
                   "tdBN before the neurons), so that more potentials reach it."
                 : " Raise the threshold, or start from smaller weights (a smaller scale, or a tdBN before the "
                   "neurons), so that fewer potentials pass it.";
    }
    constexpr double few = 0.1;
    if (layer.membrane.known() && layer.membrane.in_window() < few) {
      text +=
          " Widen the surrogate (a larger half width a), so that the potentials far from the threshold get a "
          "gradient that can move them.";
    }
    return text;
  }

  std::vector<neuron_statistics> neurons_;
  std::vector<synapse_statistics> synapses_;
  std::set<std::string> names_;
  std::vector<origin> origins_;
  std::vector<std::uint32_t> tally_;
};

}  // namespace spikenet
