// A network as a graph of the Neuromorphic Intermediate Representation (NIR, Pedersen et al., Nature Communications
// 2024, https://neuroir.org): nodes that say what is computed, edges that say of what. Where several edges lead into a
// node their values are summed. It is known only at run time; nir/file.hpp reads and writes it, nir/export.hpp makes it
// from a network, nir/to_cpp.hpp makes a network of it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "spikenet/core/error.hpp"

namespace spikenet::nir {

using extents = std::vector<std::size_t>;  // of one item of a batch: [C, H, W] or [F]
using pair = std::array<std::size_t, 2>;   // height, width

// How a file holds the values of an array.
enum class precision { f32, f64 };

// Row-major; shape [] is one value.
struct array {
  extents shape;
  std::vector<double> values;
  precision stored = precision::f32;

  static array filled(extents shape, double value, precision stored = precision::f32) {
    std::size_t size = 1;
    for (const std::size_t extent : shape) size *= extent;
    return {std::move(shape), std::vector<double>(size, value), stored};
  }
  // One value stands for all neurons of a node.
  bool is_single() const noexcept { return values.size() == 1; }
  double operator[](std::size_t i) const { return values[is_single() ? 0 : i]; }
  bool operator==(const array&) const = default;
};

// The nodes, with the names that the specification gives their fields. `fields` shows f each of them, and whether a
// file may leave it out. dv/dt is what a neuron's membrane does between spikes; z is what it emits.

struct input {
  static constexpr std::string_view type = "Input";
  extents shape;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("shape", s.shape, false);
  }
};

struct output {
  static constexpr std::string_view type = "Output";
  extents shape;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("shape", s.shape, false);
  }
};

// y = weight x. weight [out, in].
struct linear {
  static constexpr std::string_view type = "Linear";
  array weight;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("weight", s.weight, false);
  }
};

// y = weight x + bias. bias [out].
struct affine {
  static constexpr std::string_view type = "Affine";
  array weight, bias;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("weight", s.weight, false);
    f("bias", s.bias, false);
  }
};

// As PyTorch's. weight [Cout, Cin / groups, kernel height, kernel width], bias [Cout]; input_shape [H, W], or empty.
struct conv2d {
  static constexpr std::string_view type = "Conv2d";
  extents input_shape;
  array weight;
  pair stride{1, 1}, padding{0, 0}, dilation{1, 1};
  std::size_t groups = 1;
  array bias;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("input_shape", s.input_shape, true);
    f("weight", s.weight, false);
    f("stride", s.stride, false);
    f("padding", s.padding, false);
    f("dilation", s.dilation, false);
    f("groups", s.groups, false);
    f("bias", s.bias, false);
  }
};

// The sum or mean over windows of each channel; zeros of the padding count.
struct sum_pool2d {
  static constexpr std::string_view type = "SumPool2d";
  pair kernel_size{1, 1}, stride{1, 1}, padding{0, 0};
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("kernel_size", s.kernel_size, false);
    f("stride", s.stride, false);
    f("padding", s.padding, false);
  }
};
struct avg_pool2d : sum_pool2d {
  static constexpr std::string_view type = "AvgPool2d";
};

// Dimensions start_dim ... end_dim, both included, become one; negative ones count from the last, -1. The batch is no
// dimension.
struct flatten {
  static constexpr std::string_view type = "Flatten";
  extents input_type;  // or empty
  std::int64_t start_dim = 0, end_dim = -1;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("input_type", s.input_type, true);
    f("start_dim", s.start_dim, false);
    f("end_dim", s.end_dim, false);
  }
};

// y = scale x, value by value.
struct scale {
  static constexpr std::string_view type = "Scale";
  array factor;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("scale", s.factor, false);
  }
};

// y = 1 where x > threshold, else 0.
struct threshold {
  static constexpr std::string_view type = "Threshold";
  array level;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("threshold", s.level, false);
  }
};

// y(t) = x(t - delay), in seconds.
struct delay {
  static constexpr std::string_view type = "Delay";
  array time;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("delay", s.time, false);
  }
};

// dv/dt = r x; y = v.
struct integrator {
  static constexpr std::string_view type = "I";
  array r;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("r", s.r, false);
  }
};

// tau dv/dt = v_leak - v + r x; y = v.
struct leaky_integrator {
  static constexpr std::string_view type = "LI";
  array tau, r, v_leak;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("tau", s.tau, false);
    f("r", s.r, false);
    f("v_leak", s.v_leak, false);
  }
};

// dv/dt = r x; a spike where v > v_threshold, and then v = v_reset.
struct integrate_and_fire {
  static constexpr std::string_view type = "IF";
  array r, v_threshold, v_reset;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("r", s.r, false);
    f("v_threshold", s.v_threshold, false);
    f("v_reset", s.v_reset, true);  // 0
  }
};

// tau dv/dt = v_leak - v + r x; a spike where v > v_threshold, and then v = v_reset.
struct leaky_integrate_and_fire {
  static constexpr std::string_view type = "LIF";
  array tau, r, v_leak, v_threshold, v_reset;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("tau", s.tau, false);
    f("r", s.r, false);
    f("v_leak", s.v_leak, false);
    f("v_threshold", s.v_threshold, false);
    f("v_reset", s.v_reset, true);  // 0
  }
};

// tau_syn di/dt = w_in x - i;  tau_mem dv/dt = v_leak - v + r i; y = v.
struct current_based_leaky_integrator {
  static constexpr std::string_view type = "CubaLI";
  array tau_syn, tau_mem, r, v_leak, w_in;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("tau_syn", s.tau_syn, false);
    f("tau_mem", s.tau_mem, false);
    f("r", s.r, false);
    f("v_leak", s.v_leak, false);
    f("w_in", s.w_in, true);  // 1
  }
};

// The same; a spike where v > v_threshold, and then v = v_reset.
struct current_based_leaky_integrate_and_fire {
  static constexpr std::string_view type = "CubaLIF";
  array tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in;
  template <class Self, class F>
  static void fields(Self& s, F&& f) {
    f("tau_syn", s.tau_syn, false);
    f("tau_mem", s.tau_mem, false);
    f("r", s.r, false);
    f("v_leak", s.v_leak, false);
    f("v_threshold", s.v_threshold, false);
    f("v_reset", s.v_reset, true);  // 0
    f("w_in", s.w_in, true);        // 1
  }
};

using node = std::variant<input, output, linear, affine, conv2d, sum_pool2d, avg_pool2d, flatten, scale, threshold,
                          delay, integrator, leaky_integrator, integrate_and_fire, leaky_integrate_and_fire,
                          current_based_leaky_integrator, current_based_leaky_integrate_and_fire>;

// The types that NIR has beside these, as of version 1.0.8.
inline constexpr std::string_view other_types[]{"Conv1d", "NIRGraph"};

inline std::string_view type_of(const node& n) {
  return std::visit([](const auto& v) { return v.type; }, n);
}

struct graph {
  std::map<std::string, node> nodes;
  std::vector<std::pair<std::string, std::string>> edges;  // from, to
};

// A graph, once it is known to make sense.
struct analysis {
  std::vector<std::string> order;                          // of the nodes: each after all that lead into it
  std::map<std::string, std::vector<std::string>> into;    // the nodes that lead into each, in the order of the edges
  std::map<std::string, std::vector<std::string>> out_of;  // those that each leads into
  std::map<std::string, extents> shapes;                   // of what each node gives
};

namespace detail {

// "[2, 14, 14]"
inline std::string text(const extents& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size() && i < 8; ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() > 8 ? ", ...]" : "]");
}

// A name out of a file, fit for a message: in quotes, no control characters, not endless.
inline std::string in_quotes(std::string_view name) {
  constexpr std::size_t longest = 120;
  std::string shown = "\"";
  for (const char c : name.substr(0, longest)) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') shown += '\\';
    shown += code < ' ' || code == 127 ? '?' : c;
  }
  return shown + (name.size() > longest ? "\"..." : "\"");
}

// Whatever is wrong with a node.
[[noreturn]] inline void refuse(const std::string& name, const std::string& problem) {
  throw argument_error("node " + in_quotes(name) + " " + problem);
}

// An extent may be large, a product of a few must not overflow.
inline constexpr std::size_t largest_extent = std::size_t{1} << 31;

struct shape_rule {
  const std::string& name;
  const extents& in;

  void require(bool holds, const std::string& problem) const {
    if (!holds) refuse(name, problem);
  }
  void require_map() const { require(in.size() == 3, "takes [C, H, W], but is given " + text(in)); }

  std::size_t windows(std::size_t size, std::size_t kernel, std::size_t stride, std::size_t padding,
                      std::size_t dilation) const {
    require(stride > 0 && dilation > 0 && kernel > 0, "has a kernel, stride or dilation of 0");
    require(stride < largest_extent && dilation < largest_extent && padding < largest_extent && kernel < largest_extent,
            "has an absurd kernel, stride, padding or dilation");
    const std::size_t extent = dilation * (kernel - 1) + 1;
    require(extent <= size + 2 * padding, "has a window of " + std::to_string(extent) + ", larger than its input of " +
                                              std::to_string(size) + " with padding " + std::to_string(padding));
    return (size + 2 * padding - extent) / stride + 1;
  }

  extents operator()(const input&) const { return in; }
  extents operator()(const output& n) const {
    require(n.shape == in, "says that it has shape " + text(n.shape) + ", but is given " + text(in));
    return in;
  }
  extents of_matrix(const array& weight) const {
    require(weight.shape.size() == 2, "has a weight of shape " + text(weight.shape) + ", not [out, in]");
    require(in == extents{weight.shape[1]},
            "has a weight of shape " + text(weight.shape) + ", but is given " + text(in));
    return {weight.shape[0]};
  }
  extents operator()(const linear& n) const { return of_matrix(n.weight); }
  extents operator()(const affine& n) const {
    const extents out = of_matrix(n.weight);
    require(n.bias.shape == out, "has a bias of shape " + text(n.bias.shape) + ", not " + text(out));
    return out;
  }
  extents operator()(const conv2d& n) const {
    require_map();
    const extents& w = n.weight.shape;
    require(w.size() == 4, "has a weight of shape " + text(w) + ", not [out, in, height, width]");
    require(
        n.groups > 0 && in[0] % n.groups == 0 && w[0] % n.groups == 0 && w[1] == in[0] / n.groups,
        "has a weight of shape " + text(w) + " in " + std::to_string(n.groups) + " groups, but is given " + text(in));
    require(n.input_shape.empty() || n.input_shape == extents{in[1], in[2]},
            "says that its input_shape is " + text(n.input_shape) + ", but is given " + text(in));
    require(n.bias.shape == extents{w[0]},
            "has a bias of shape " + text(n.bias.shape) + ", not [" + std::to_string(w[0]) + "]");
    return {w[0], windows(in[1], w[2], n.stride[0], n.padding[0], n.dilation[0]),
            windows(in[2], w[3], n.stride[1], n.padding[1], n.dilation[1])};
  }
  extents operator()(const sum_pool2d& n) const {
    require_map();
    return {in[0], windows(in[1], n.kernel_size[0], n.stride[0], n.padding[0], 1),
            windows(in[2], n.kernel_size[1], n.stride[1], n.padding[1], 1)};
  }
  extents operator()(const avg_pool2d& n) const { return (*this)(static_cast<const sum_pool2d&>(n)); }
  extents operator()(const flatten& n) const {
    const auto rank = static_cast<std::int64_t>(in.size());
    const std::int64_t first = n.start_dim < 0 ? n.start_dim + rank : n.start_dim;
    const std::int64_t last = n.end_dim < 0 ? n.end_dim + rank : n.end_dim;
    require(n.input_type.empty() || n.input_type == in,
            "says that its input_type is " + text(n.input_type) + ", but is given " + text(in));
    require(
        n.start_dim >= -rank && n.end_dim >= -rank && first <= last && last < rank,
        "flattens dimensions " + std::to_string(n.start_dim) + " to " + std::to_string(n.end_dim) + " of " + text(in));
    extents out(in.begin(), in.begin() + first);
    out.push_back(1);
    for (std::int64_t i = first; i <= last; ++i) out.back() *= in[static_cast<std::size_t>(i)];
    out.insert(out.end(), in.begin() + last + 1, in.end());
    return out;
  }
  // All else works value by value, with one parameter for each or one for all.
  template <class Node>
  extents operator()(const Node& n) const {
    Node::fields(n, [&](const char* field, const array& a, bool) {
      require(a.is_single() || a.shape == in,
              "has a " + std::string(field) + " of shape " + text(a.shape) + ", but is given " + text(in));
    });
    return in;
  }
};

// f(field, array) for all arrays of a node.
template <class F>
void for_each_array(const node& n, F&& f) {
  std::visit(
      [&]<class Node>(const Node& v) {
        Node::fields(v, [&]<class Field>(const char* field, const Field& value, bool) {
          if constexpr (std::is_same_v<Field, array>) f(field, value);
        });
      },
      n);
}

}  // namespace detail

// Puts the nodes in order and finds their shapes. Throws argument_error naming the node where an edge leads from or to
// one that does not exist, nodes form a cycle (recurrent networks are not what this library runs), a node has no input,
// an array does not hold as many finite numbers as its shape says, or shapes do not fit.
inline analysis analyse(const graph& g) {
  using detail::in_quotes, detail::refuse, detail::text;
  analysis a;
  for (const auto& [name, n] : g.nodes) {
    a.into[name], a.out_of[name];
    detail::for_each_array(n, [&, &node_name = name](const char* field, const array& values) {
      std::size_t size = 1;
      for (const std::size_t extent : values.shape) {
        if (extent == 0 || extent >= detail::largest_extent || size >= detail::largest_extent)
          refuse(node_name, "has a " + std::string(field) + " of shape " + text(values.shape));
        size *= extent;
      }
      if (size != values.values.size())
        refuse(node_name, "has a " + std::string(field) + " of shape " + text(values.shape) + " with " +
                              std::to_string(values.values.size()) + " values");
      for (const double value : values.values)
        if (!std::isfinite(values.stored == precision::f32 ? static_cast<float>(value) : value))
          refuse(node_name, "has a " + std::string(field) + " with a value that is not finite in the precision it is " +
                                "stored in");
    });
  }
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& [from, to] : g.edges) {
    for (const std::string* end : {&from, &to})
      if (!g.nodes.contains(*end))
        throw argument_error("the edge from " + in_quotes(from) + " to " + in_quotes(to) + ": there is no node " +
                             in_quotes(*end));
    if (!seen.emplace(from, to).second)
      throw argument_error("the edge from " + in_quotes(from) + " to " + in_quotes(to) + " is there twice");
    a.into[to].push_back(from);
    a.out_of[from].push_back(to);
  }

  // Kahn's algorithm.
  std::map<std::string_view, std::size_t> missing;
  std::vector<std::string> ready;
  bool has_input = false, has_output = false;
  for (const auto& [name, n] : g.nodes) {
    const bool is_input = std::holds_alternative<input>(n);
    has_input = has_input || is_input;
    has_output = has_output || std::holds_alternative<output>(n);
    missing[name] = a.into[name].size();
    if (is_input != a.into[name].empty())
      refuse(name, is_input ? "is an Input, but an edge leads into it" : "has no input: no edge leads into it");
    if (is_input) ready.push_back(name);
  }
  if (!has_input || !has_output) throw argument_error("there is no Input or no Output among the nodes");
  for (std::size_t i = 0; i < ready.size(); ++i) {
    const std::string name = ready[i];
    a.order.push_back(name);
    for (const std::string& next : a.out_of[name])
      if (--missing[next] == 0) ready.push_back(next);
  }
  if (a.order.size() < g.nodes.size()) {
    for (const auto& [name, count] : missing)
      if (count > 0)
        refuse(std::string(name), "is part of a cycle or behind one; recurrent networks are not supported");
  }

  for (const std::string& name : a.order) {
    const node& n = g.nodes.at(name);
    extents in;
    if (const auto* first = std::get_if<input>(&n)) {
      in = first->shape;
      std::size_t size = 1;
      for (const std::size_t extent : in) {
        if (extent == 0 || extent >= detail::largest_extent || size >= detail::largest_extent)
          refuse(name, "has the shape " + text(in));
        size *= extent;
      }
      if (in.empty()) refuse(name, "has no shape");
    } else {
      const auto& sources = a.into.at(name);
      in = a.shapes.at(sources[0]);
      for (const std::string& source : sources)
        if (a.shapes.at(source) != in)
          refuse(name, "is given " + text(in) + " by " + in_quotes(sources[0]) + ", but " + text(a.shapes.at(source)) +
                           " by " + in_quotes(source));
    }
    extents out = std::visit(detail::shape_rule{name, in}, n);
    std::size_t size = 1;
    for (const std::size_t extent : out) {
      if (extent >= detail::largest_extent || size >= detail::largest_extent) refuse(name, "gives " + text(out));
      size *= extent;
    }
    a.shapes.emplace(name, std::move(out));
  }
  return a;
}

}  // namespace spikenet::nir
