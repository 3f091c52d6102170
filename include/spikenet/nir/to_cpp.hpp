// From a graph of the Neuromorphic Intermediate Representation, known only at run time, to a network, which is a type:
// the text of a header that defines it, with its weights. examples/nir has the program.
//
// A network of this library has one threshold and one decay for all neurons, which reset to 0, so each neuron's own
// scale goes into the weights before it: with v = (v_threshold / Vth) u,
//
//     v[t] = (1 - dt / tau) v[t-1] + dt / tau (v_leak + r x[t])      a spike where v > v_threshold, then v = 0
//     u[t] = decay u[t-1] + Vth / v_threshold * dt / tau (v_leak + r x[t])                  u > Vth, then u = 0
//
// docs/nir.md says what can be expressed and what is refused.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/identifier.hpp"
#include "spikenet/nir/graph.hpp"

namespace spikenet::nir {

struct cpp_options {
  double dt = 1e-4;            // seconds that a timestep stands for
  std::size_t timesteps = 10;  // the default of the network's argument
  bool same_input = false;     // an image, the same at every timestep, and not a frame for each
  std::string name_space = "model";
  std::string source = {};  // what the header says that it was made from
};

namespace detail {

// What the neurons of a node do, in one timestep: v = decay v + gain x + shift, for each neuron or for all.
struct discrete_neurons {
  double decay;
  std::vector<double> gain, shift;  // after scaling to the common threshold
};

// A layer of the network, as text, with the values of its parameters in the network's order.
struct cpp_layer {
  std::string text;
  struct values {
    std::string name;
    std::vector<double> of;
  };
  std::vector<values> parameters;
};

class cpp_generator {
 public:
  cpp_generator(const graph& g, const cpp_options& options) : graph_{g}, options_{options}, analysis_{analyse(g)} {
    name_layers();
  }

  std::string generate() {
    check_options();
    for (const std::string& name : analysis_.order)
      if (!is_supported(graph_.nodes.at(name))) refuse_type(name);
    find_neurons();
    std::string first, last;
    for (const auto& [name, n] : graph_.nodes) {
      if (std::holds_alternative<input>(n)) {
        if (!first.empty()) refuse(name, "is a second Input; a network has one");
        first = name;
      }
      if (std::holds_alternative<output>(n)) {
        if (!last.empty()) refuse(name, "is a second Output; a network has one");
        if (!analysis_.out_of.at(name).empty()) refuse(name, "is an Output, but an edge leads out of it");
        last = name;
      }
    }
    const extents& shape = analysis_.shapes.at(first);
    if (shape.size() != 1 && shape.size() != 3)
      refuse(first, "has the shape " + text(shape) + ", not [C, H, W] or [F]");
    std::vector<cpp_layer> layers;
    // A vector is a map of one pixel.
    if (shape.size() == 1) layers.push_back({named(first, "spikenet::flatten"), {}});
    const std::string end = walk(first, layers);
    if (end != last) refuse(end, "stands where the Output should");
    if (analysis_.shapes.at(last).size() != 1)
      refuse(last,
             "has the shape " + text(analysis_.shapes.at(last)) + ", where a network gives one value for each class");
    return print(shape, layers);
  }

 private:
  void check_options() const {
    if (!spikenet::detail::is_namespace_name(options_.name_space))
      throw argument_error("nir: " + in_quotes(options_.name_space) +
                           " is no name for a namespace: " + spikenet::detail::namespace_name_rule);
    if (!(options_.dt > 0) || !std::isfinite(options_.dt)) throw argument_error("nir: dt must be positive and finite");
    if (options_.timesteps == 0) throw argument_error("nir: a network needs at least 1 timestep");
  }

  // Gives each node's layer a name: the node's own if a file of tensors should have it and a residual block has no part
  // of that name, else one like it that no other layer has.
  void name_layers() {
    const auto usable = [](std::string name) {
      std::replace_if(
          name.begin(), name.end(),
          [](char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                     c == '-' || c == '.');
          },
          '_');
      const std::string first = name.substr(0, name.find('.'));
      if (first.empty() || first == "shortcut" || first == "join") name.insert(first.size(), "_");
      return name;
    };
    for (const auto& [name, n] : graph_.nodes)
      if (usable(name) == name) names_[name] = unused(name);
    for (const auto& [name, n] : graph_.nodes)
      if (!names_.contains(name)) names_[name] = unused(usable(name));
  }

  // Returns a name that no layer has had so far, this one if possible.
  std::string unused(std::string name) {
    while (!layer_names_.insert(name).second) name += '_';
    return name;
  }

  // Returns a name for a residual block that begins no other layer's name: "block1.conv" is a layer in it.
  std::string block_name() {
    while (true) {
      std::string name = "block" + count(++blocks_);
      const auto next = layer_names_.lower_bound(name + ".");
      if (!layer_names_.contains(name) && (next == layer_names_.end() || !next->starts_with(name + "."))) return name;
    }
  }

  static bool is_supported(const node& n) {
    return fires(n) || std::holds_alternative<input>(n) || std::holds_alternative<output>(n) ||
           std::holds_alternative<conv2d>(n) || std::holds_alternative<linear>(n) ||
           std::holds_alternative<affine>(n) || std::holds_alternative<avg_pool2d>(n) ||
           std::holds_alternative<sum_pool2d>(n) || std::holds_alternative<flatten>(n) ||
           std::holds_alternative<scale>(n);
  }
  [[noreturn]] void refuse_type(const std::string& name) const {
    refuse(name, "is of type " + std::string(type_of(graph_.nodes.at(name))) + ", which no layer of this library does");
  }

  static bool fires(const node& n) {
    return std::holds_alternative<leaky_integrate_and_fire>(n) || std::holds_alternative<integrate_and_fire>(n);
  }

  static double threshold_of(const node& n) {
    const auto* const lif = std::get_if<leaky_integrate_and_fire>(&n);
    return lif ? lif->v_threshold[0] : std::get<integrate_and_fire>(n).v_threshold[0];
  }

  // Threshold and decay of the network are those of the first neurons.
  void find_neurons() {
    for (const std::string& name : analysis_.order) {
      const node& n = graph_.nodes.at(name);
      if (!fires(n)) continue;
      if (!decay_) threshold_ = threshold_of(n);
      const discrete_neurons d = discretise(name, n);
      if (!decay_) decay_ = d.decay;
      if (std::abs(*decay_ - d.decay) > 1e-6)
        refuse(name, "has neurons that keep " + number(d.decay) +
                         " of their potential from one timestep to the next, where others keep " + number(*decay_) +
                         "; a network has one decay for all");
    }
    if (!decay_) throw argument_error("there are no neurons that fire: neither LIF nor IF");
  }

  discrete_neurons discretise(const std::string& name, const node& n) const {
    discrete_neurons d;
    const auto set = [&](const auto& v, double decay, auto gain, auto shift, std::size_t size) {
      d.decay = decay;
      for (std::size_t i = 0; i < size; ++i) {
        if (!(v.v_threshold[i] > 0)) refuse(name, "has a v_threshold that is not positive");
        if (v.v_reset[i] != 0) refuse(name, "has neurons that are reset to another potential than 0");
        const double to_common = threshold_ / v.v_threshold[i];
        // A gain of 1 that came through single precision must not touch the weights.
        const double exact = to_common * gain(i);
        d.gain.push_back(std::abs(exact - 1) < 1e-6 ? 1 : exact);
        d.shift.push_back(to_common * shift(i));
      }
    };
    const double dt = options_.dt;
    if (const auto* v = std::get_if<leaky_integrate_and_fire>(&n)) {
      const double decay = 1 - dt / v->tau[0];
      for (const double tau : v->tau.values) {
        if (!(tau > 0)) refuse(name, "has a tau that is not positive");
        if (std::abs(1 - dt / tau - decay) > 1e-6)
          refuse(name, "has neurons of different tau; a network has one decay for all");
      }
      if (decay < -1e-6)
        refuse(name, "has a tau of " + number(v->tau[0]) + " s, shorter than the timestep dt of " + number(dt) + " s");
      const std::size_t size = std::max({v->tau.values.size(), v->r.values.size(), v->v_leak.values.size(),
                                         v->v_threshold.values.size(), v->v_reset.values.size()});
      // A decay out of single precision is meant to be the number beside it.
      set(
          *v, std::max(decay, 0.0), [&](std::size_t i) { return dt / v->tau[i] * v->r[i]; },
          [&](std::size_t i) { return dt / v->tau[i] * v->v_leak[i]; }, size);
    } else if (const auto* f = std::get_if<integrate_and_fire>(&n)) {
      const std::size_t size = std::max({f->r.values.size(), f->v_threshold.values.size(), f->v_reset.values.size()});
      // Most write r = 1 for neurons that add up their input as it is, whatever dt is.
      set(
          *f, 1.0, [&](std::size_t i) { return f->r[i] == 1 ? 1 : dt * f->r[i]; }, [](std::size_t) { return 0.0; },
          size);
    }
    return d;
  }

  // Values of all neurons of a node, from one for each channel of a map: nothing where they differ within a channel.
  static std::optional<std::vector<double>> by_channel(const std::vector<double>& values, const extents& shape) {
    const std::size_t channels = shape[0];
    std::vector<double> result(channels);
    std::size_t pixels = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) pixels *= shape[i];
    for (std::size_t i = 0; i < channels * pixels; ++i) {
      const double value = values.size() == 1 ? values[0] : values[i];
      double& of_channel = result[i / pixels];
      if (i % pixels == 0) of_channel = value;
      if (std::abs(of_channel - value) > 1e-6 * std::abs(value)) return std::nullopt;
    }
    return result;
  }

  // From a node to where paths meet, which no single path goes beyond; the node there is returned and is not yet a
  // layer.
  std::string walk(std::string at, std::vector<cpp_layer>& layers) {
    while (true) {
      const auto& next = analysis_.out_of.at(at);
      if (next.empty()) return at;
      if (next.size() == 1) {
        if (analysis_.into.at(next[0]).size() > 1) return next[0];
        at = next[0];
        if (std::holds_alternative<output>(graph_.nodes.at(at))) return at;
        add_layer(at, layers);
        continue;
      }
      // Paths part and meet again: a residual block.
      if (next.size() != 2)
        refuse(at, "leads into " + std::to_string(next.size()) + " nodes; residual blocks have 2 paths");
      std::array<std::vector<cpp_layer>, 2> paths;
      std::array<std::string, 2> ends;
      for (std::size_t i = 0; i < 2; ++i) {
        const std::string& begin = next[i];
        if (analysis_.into.at(begin).size() > 1) {
          ends[i] = begin;  // the path is empty
        } else {
          add_layer(begin, paths[i]);
          ends[i] = walk(begin, paths[i]);
        }
      }
      if (ends[0] != ends[1] || analysis_.into.at(ends[0]).size() != 2)
        refuse(at, "leads into two paths that do not meet in one node of two inputs, as those of a residual block do");
      at = ends[0];
      std::size_t main = paths[0].empty() ? 1 : 0;
      add_residual(at, paths[main], paths[1 - main], layers);
    }
  }

  static std::string sequence_of(const std::vector<cpp_layer>& layers) {
    std::string text = "spikenet::sequence<";
    for (std::size_t i = 0; i < layers.size(); ++i)
      text += (i > 0 ? ",\n                          " : "") + layers[i].text;
    return text + ">";
  }

  void add_residual(const std::string& join, std::vector<cpp_layer>& main, std::vector<cpp_layer>& shortcut,
                    std::vector<cpp_layer>& layers) {
    if (!fires(graph_.nodes.at(join))) refuse(join, "adds two paths, which only LIF and IF do here");
    std::vector<cpp_layer> joined;
    add_neurons(join, joined);
    cpp_layer block{"spikenet::named<\"" + block_name() + "\", spikenet::residual<" + sequence_of(main) +
                        ",\n                       " +
                        (shortcut.empty() ? "spikenet::identity" : sequence_of(shortcut)) + ", " + sequence_of(joined) +
                        ">>",
                    {}};
    for (auto* part : {&main, &joined, &shortcut})  // as a network counts them
      for (cpp_layer& layer : *part)
        block.parameters.insert(block.parameters.end(), std::make_move_iterator(layer.parameters.begin()),
                                std::make_move_iterator(layer.parameters.end()));
    layers.push_back(std::move(block));
  }

  // The scale of neurons that a weighted layer before them can take up: those that are its only taker, and take only
  // it.
  const discrete_neurons* behind(const std::string& name) {
    const auto& next = analysis_.out_of.at(name);
    if (next.size() != 1 || !fires(graph_.nodes.at(next[0])) || analysis_.into.at(next[0]).size() != 1) return nullptr;
    behind_ = discretise(next[0], graph_.nodes.at(next[0]));
    const extents& shape = analysis_.shapes.at(next[0]);
    const auto gain = by_channel(behind_.gain, shape), shift = by_channel(behind_.shift, shape);
    if (!gain || !shift) return nullptr;
    behind_.gain = *gain, behind_.shift = *shift;
    taken_up_.insert(next[0]);
    return &behind_;
  }

  void add_layer(const std::string& name, std::vector<cpp_layer>& layers) {
    const node& n = graph_.nodes.at(name);
    if (fires(n)) return add_neurons(name, layers);
    if (const auto* c = std::get_if<conv2d>(&n)) return add_conv(name, *c, layers);
    if (const auto* l = std::get_if<linear>(&n)) return add_linear(name, l->weight, nullptr, layers);
    if (const auto* a = std::get_if<affine>(&n)) return add_linear(name, a->weight, &a->bias, layers);
    if (std::holds_alternative<avg_pool2d>(n)) return add_pool(name, std::get<avg_pool2d>(n), true, layers);
    if (std::holds_alternative<sum_pool2d>(n)) return add_pool(name, std::get<sum_pool2d>(n), false, layers);
    if (std::holds_alternative<flatten>(n)) {
      if (analysis_.shapes.at(name).size() != 1)
        refuse(name, "gives " + text(analysis_.shapes.at(name)) + "; only flattening to one dimension is supported");
      const bool is_vector =
          analysis_.shapes.at(analysis_.into.at(name)[0]).size() == 1 || pooled_to_vector_.contains(name);
      if (!is_vector) layers.push_back({named(name, "spikenet::flatten"), {}});
      return;
    }
    if (const auto* s = std::get_if<scale>(&n)) {
      const auto factors = by_channel(s->factor.values, analysis_.shapes.at(name));
      if (!factors) refuse(name, "scales the pixels of a channel differently, which no layer does");
      return add_diagonal(name, *factors, std::vector<double>(factors->size()), layers);
    }
    refuse_type(name);
  }

  static std::string count(std::size_t n) { return std::to_string(n); }

  // The layer under its node's name.
  std::string named(const std::string& node, const std::string& layer) const {
    return "spikenet::named<\"" + names_.at(node) + "\", " + layer + ">";
  }

  void add_conv(const std::string& name, const conv2d& c, std::vector<cpp_layer>& layers) {
    const extents& w = c.weight.shape;
    if (w[2] != w[3] || c.stride[0] != c.stride[1] || c.padding[0] != c.padding[1] || c.dilation[0] != c.dilation[1])
      refuse(name, "has a kernel, stride, padding or dilation that differs between height and width");
    std::vector<double> weight = c.weight.values, bias = c.bias.values;
    scale_up(name, weight, bias);
    std::string options = ", spikenet::padding<" + count(c.padding[0]) + ">";
    if (c.stride[0] != 1) options += ", spikenet::stride<" + count(c.stride[0]) + ">";
    if (c.dilation[0] != 1) options += ", spikenet::dilation<" + count(c.dilation[0]) + ">";
    if (c.groups != 1) options += ", spikenet::groups<" + count(c.groups) + ">";
    layers.push_back(
        {named(name, "spikenet::conv2d<" + count(w[0]) + ", " + count(w[2]) + options + ", spikenet::with_bias>"),
         {{name + ".weight", std::move(weight)}, {name + ".bias", std::move(bias)}}});
  }

  void add_linear(const std::string& name, const array& w, const array* b, std::vector<cpp_layer>& layers) {
    std::vector<double> weight = w.values, bias = b ? b->values : std::vector<double>(w.shape[0]);
    scale_up(name, weight, bias);
    layers.push_back({named(name, "spikenet::linear<" + count(w.shape[0]) + ">"),
                      {{name + ".weight", std::move(weight)}, {name + ".bias", std::move(bias)}}});
  }

  void scale_up(const std::string& name, std::vector<double>& weight, std::vector<double>& bias) {
    const discrete_neurons* const neurons = behind(name);
    if (!neurons) return;
    const std::size_t row = weight.size() / bias.size();
    for (std::size_t o = 0; o < bias.size(); ++o) {
      for (std::size_t i = 0; i < row; ++i) weight[o * row + i] *= neurons->gain[o];
      bias[o] = bias[o] * neurons->gain[o] + neurons->shift[o];
    }
  }

  // Each channel times a number, plus a number.
  void add_diagonal(const std::string& name, const std::vector<double>& factors, const std::vector<double>& shifts,
                    std::vector<cpp_layer>& layers) {
    const std::size_t channels = factors.size();
    const std::string before = "spikenet::named<\"" + unused(names_.at(name) + ".scale") + "\", ";
    if (analysis_.shapes.at(name).size() == 3) {
      layers.push_back({before + "spikenet::conv2d<" + count(channels) + ", 1, spikenet::groups<" + count(channels) +
                            ">, spikenet::with_bias>>",
                        {{name + ".scale.weight", factors}, {name + ".scale.bias", shifts}}});
    } else {
      std::vector<double> weight(channels * channels);
      for (std::size_t i = 0; i < channels; ++i) weight[i * channels + i] = factors[i];
      layers.push_back({before + "spikenet::linear<" + count(channels) + ">>",
                        {{name + ".scale.weight", std::move(weight)}, {name + ".scale.bias", shifts}}});
    }
  }

  void add_pool(const std::string& name, const sum_pool2d& p, bool mean, std::vector<cpp_layer>& layers) {
    const extents& in = analysis_.shapes.at(analysis_.into.at(name)[0]);
    const auto [height, width] = p.kernel_size;
    const bool padded = p.padding != pair{0, 0};
    if (mean && !padded && height == in[1] && width == in[2] && height != width) {
      const auto& next = analysis_.out_of.at(name);
      if (next.size() == 1 && std::holds_alternative<flatten>(graph_.nodes.at(next[0]))) {
        layers.push_back({named(name, "spikenet::global_avg_pool"), {}});
        pooled_to_vector_.insert(next[0]);
        return;
      }
    }
    if (height != width || p.stride[0] != p.stride[1] || p.padding[0] != p.padding[1])
      refuse(name, "has a window, stride or padding that differs between height and width");
    if (mean && !padded) {
      layers.push_back(
          {named(name, "spikenet::avg_pool2d<" + count(height) + ", spikenet::stride<" + count(p.stride[0]) + ">>"),
           {}});
      return;
    }
    // A convolution of each channel by itself.
    const double weight = mean ? 1 / static_cast<double>(height * width) : 1;
    layers.push_back({named(name, "spikenet::conv2d<" + count(in[0]) + ", " + count(height) + ", spikenet::padding<" +
                                      count(p.padding[0]) + ">, spikenet::stride<" + count(p.stride[0]) +
                                      ">, spikenet::groups<" + count(in[0]) + ">>"),
                      {{name + ".weight", std::vector<double>(in[0] * height * width, weight)}}});
  }

  void add_neurons(const std::string& name, std::vector<cpp_layer>& layers) {
    if (!taken_up_.contains(name)) {
      const discrete_neurons d = discretise(name, graph_.nodes.at(name));
      const extents& shape = analysis_.shapes.at(name);
      const auto gain = by_channel(d.gain, shape), shift = by_channel(d.shift, shape);
      if (!gain || !shift) refuse(name, "has neurons that differ within a channel, which no layer can express");
      const auto all = [](const std::vector<double>& values, double value) {
        return std::all_of(values.begin(), values.end(), [=](double v) { return v == value; });
      };
      if (!all(*gain, 1) || !all(*shift, 0)) add_diagonal(name, *gain, *shift, layers);
    }
    layers.push_back({named(name, "spikenet::lif<>"), {}});
  }

  // As short as it can be and still be read back the same.
  template <class Number>
  static std::string number(Number value) {
    char buffer[64];
    const auto [end, problem] = std::to_chars(buffer, buffer + sizeof buffer, value);
    return {buffer, end};
  }

  // The text with every @KEY@ replaced.
  static std::string filled_in(std::string text, const std::vector<std::pair<std::string, std::string>>& values) {
    for (const auto& [key, value] : values)
      for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += value.size())
        text.replace(at, key.size(), value);
    return text;
  }

  // "0.5f, 1.f, 2e-05f", in lines.
  static std::string list_of(const std::string& name, const std::vector<double>& values) {
    std::string text;
    std::size_t column = 0;
    for (const double exact : values) {
      const float value = static_cast<float>(exact);
      if (!std::isfinite(value)) throw argument_error(in_quotes(name) + " has a value beyond single precision");
      std::string item = number(value);
      item += item.find_first_of(".e") == std::string::npos ? ".f" : "f";
      if (!text.empty()) text += column + item.size() > 116 ? (column = 0, ",\n") : ", ";
      column += item.size() + 2;
      text += item;
    }
    return text;
  }

  std::string print(const extents& shape, const std::vector<cpp_layer>& layers) const {
    const bool is_map = shape.size() == 3;
    std::string list, tensors, cases;
    for (const cpp_layer& layer : layers) list += ",\n                      " + layer.text;
    std::size_t tensor = 0;
    for (const cpp_layer& layer : layers) {
      for (const auto& [name, values] : layer.parameters) {
        const std::string variable = "tensor" + count(tensor);
        tensors +=
            "// " + in_quotes(name) + "\ninline constexpr float " + variable + "[]{" + list_of(name, values) + "};\n";
        cases += "      case " + count(tensor) + ":\n        copy(values::" + variable + ");\n        break;\n";
        ++tensor;
      }
    }
    // A decay that came through single precision is meant to be the short number beside it.
    const double rounded = std::round(*decay_ * 1e6) / 1e6;
    const double decay = std::abs(*decay_ - rounded) < 1e-7 ? rounded : *decay_;
    return filled_in(
        R"(// Made by spikenet-nir to-cpp@SOURCE@, for timesteps of @DT@ s. Changes are lost when it is made again.
#pragma once

@INCLUDE@ <algorithm>
@INCLUDE@ <cstddef>
@INCLUDE@ <iterator>
@INCLUDE@ <spikenet/spikenet.hpp>

namespace @NAMESPACE@ {

inline constexpr spikenet::neuron neurons{.threshold = @THRESHOLD@, .decay = @DECAY@};

template <class Backend = spikenet::cpu<float>, std::size_t Timesteps = @TIMESTEPS@>
using network =
    spikenet::network<Backend, spikenet::timesteps<Timesteps>, spikenet::@INPUT@@LAYERS@>;

// Of the network's tensors, in its order.
namespace values {
@TENSORS@}  // namespace values

// The network with these weights.
template <class Network = network<>>
Network make() {
  Network net{spikenet::seed{}, neurons};
  std::size_t number = 0;
  net.for_each_tensor([&](const auto&, auto to) {
    [[maybe_unused]] const auto copy = [&](const auto& from) {
      std::transform(std::begin(from), std::end(from), to.begin(),
                     [](float v) { return static_cast<typename Network::scalar>(v); });
    };
    switch (number++) {
@CASES@    }
  });
  return net;
}

}  // namespace @NAMESPACE@
)",
        {{"@INCLUDE@", "#include"},  // else it would pass for an include of this header
         {"@SOURCE@", options_.source.empty() ? "" : " from " + in_quotes(options_.source)},
         {"@DT@", number(options_.dt)},
         {"@NAMESPACE@", options_.name_space},
         {"@THRESHOLD@", number(threshold_)},
         {"@DECAY@", number(decay)},
         {"@TIMESTEPS@", count(options_.timesteps)},
         {"@INPUT@", (options_.same_input ? "image<" : "frames<") + count(shape[0]) + ", " +
                         count(is_map ? shape[1] : 1) + ", " + count(is_map ? shape[2] : 1) + ">"},
         {"@LAYERS@", list},
         {"@CASES@", cases},
         {"@TENSORS@", tensors}});
  }

  const graph& graph_;
  const cpp_options& options_;
  analysis analysis_;
  double threshold_ = 0;
  std::optional<double> decay_;
  discrete_neurons behind_;
  std::set<std::string> taken_up_, pooled_to_vector_;
  std::map<std::string, std::string> names_;  // of the nodes' layers
  std::set<std::string> layer_names_;         // of all layers but residual blocks
  std::size_t blocks_ = 0;
};

}  // namespace detail

// The text of a header: a type `network<Backend, Timesteps>` in a namespace, and `make()`, which gives it the weights.
// Its layers have the names of the nodes, so that an observer (network::evaluate) sees the spikes of each. Residual
// blocks are called block1, block2, ..., and characters other than letters, digits, "_", "-" and "." become "_", with
// more of them behind the name if another node has it. Throws argument_error naming the node if the graph makes no
// sense (see analyse), or is not a chain of layers and residual blocks that this library has, of neurons with one decay
// that reset to 0; and for a name_space that is a keyword, reserved, or no identifier.
inline std::string to_cpp(const graph& g, const cpp_options& options = {}) {
  return detail::cpp_generator(g, options).generate();
}

}  // namespace spikenet::nir
