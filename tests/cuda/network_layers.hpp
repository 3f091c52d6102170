// The layers of a network as numbers, in the order in which they run: read from its type, so nothing of it is run or even
// compiled. For tests and estimates that need to know what a network computes, not how.
#pragma once

#include <spikenet/core/geometry.hpp>
#include <spikenet/network/architecture.hpp>
#include <spikenet/network/network.hpp>
#include <string>
#include <utility>
#include <vector>

namespace spikenet_tests {

enum class layer_kind { convolution, normalisation, neurons, pooling, linear };

struct layer_numbers {
  layer_kind kind;
  std::string name;
  std::size_t steps;  // 1 where it computes the same at every timestep
  std::size_t in_channels, in_height, in_width;
  std::size_t out_channels, out_height, out_width;
  std::size_t kernel = 1, stride = 1, padding = 0, dilation = 1, groups = 1;
  bool needs_input_gradient = true;
  bool has_bias = false;
  bool adds_shortcut = false;  // neurons: what they receive is a sum
  bool projected = false;      // and the shortcut has a tdBN of its own

  std::size_t in_size() const { return in_channels * in_height * in_width; }
  std::size_t out_size() const { return out_channels * out_height * out_width; }
};

namespace detail {

template <class Layer>
struct tag {};

struct layer_walker {
  std::vector<layer_numbers> found;
  std::size_t timesteps, steps, channels, height, width;
  bool gradient = false;  // does anything before this layer need one?

  layer_numbers numbers(layer_kind kind, const std::string& name) const {
    layer_numbers n{kind, name, steps, channels, height, width, channels, height, width};
    n.needs_input_gradient = gradient;
    return n;
  }

  template <std::size_t Channels, std::size_t Kernel, class... Options>
  void walk(tag<spikenet::conv2d<Channels, Kernel, Options...>>, const std::string& name) {
    using options = spikenet::detail::conv2d_options<Kernel, Options...>;
    layer_numbers n = numbers(layer_kind::convolution, name);
    n.kernel = Kernel;
    n.stride = options::stride_value;
    n.padding = options::padding_value;
    n.dilation = options::dilation_value;
    n.groups = options::groups_value;
    n.has_bias = options::has_bias;
    const std::size_t extent = n.dilation * (Kernel - 1) + 1;
    n.out_channels = channels = Channels;
    n.out_height = height = (height + 2 * n.padding - extent) / n.stride + 1;
    n.out_width = width = (width + 2 * n.padding - extent) / n.stride + 1;
    found.push_back(n);
    gradient = true;
  }
  template <std::size_t Branches>
  void walk(tag<spikenet::tdbn<Branches>>, const std::string& name) {
    found.push_back(numbers(layer_kind::normalisation, name));
    gradient = true;
  }
  template <class... Options>
  void walk(tag<spikenet::lif<Options...>>, const std::string& name) {
    found.push_back(numbers(layer_kind::neurons, name));
    steps = timesteps;
  }
  void walk(tag<spikenet::global_avg_pool>, const std::string& name) {
    layer_numbers n = numbers(layer_kind::pooling, name);
    n.out_height = height = 1;
    n.out_width = width = 1;
    found.push_back(n);
  }
  template <std::size_t Features, class... Options>
  void walk(tag<spikenet::linear<Features, Options...>>, const std::string& name) {
    layer_numbers n = numbers(layer_kind::linear, name);
    n.out_channels = channels = Features;
    found.push_back(n);
    gradient = true;
  }
  void walk(tag<spikenet::identity>, const std::string&) {}
  template <class... Layers>
  void walk(tag<spikenet::sequence<Layers...>>, const std::string& name) {
    std::size_t index = 0;
    (walk_nested(tag<Layers>{}, name, index++), ...);
  }
  template <class Main, class Shortcut, class Join>
  void walk(tag<spikenet::residual<Main, Shortcut, Join>>, const std::string& name) {
    layer_walker shortcut = *this;
    shortcut.found.clear();
    shortcut.walk_part(tag<Shortcut>{}, name);
    walk(tag<Main>{}, name);
    const bool projected = !shortcut.found.empty();
    found.insert(found.end(), shortcut.found.begin(), shortcut.found.end());
    const std::size_t join = found.size();
    walk_part(tag<Join>{}, name);
    found[join].adds_shortcut = true;
    found[join].projected = projected;
  }
  template <std::size_t Channels, class... Options>
  void walk(tag<spikenet::basic_block<Channels, Options...>>, const std::string& name) {
    using same = typename spikenet::detail::layers_of_block<Channels, Channels, Options...>::type;
    using other = typename spikenet::detail::layers_of_block<Channels + 1, Channels, Options...>::type;
    channels == Channels ? walk(tag<same>{}, name) : walk(tag<other>{}, name);
  }

  // A layer of a sequence is called by its number where it has no name.
  template <class Layer>
  void walk_nested(tag<Layer> layer, const std::string& path, std::size_t index) {
    walk(layer, joined(path, std::to_string(index)));
  }
  template <spikenet::fixed_string Name, class Layer>
  void walk_nested(tag<spikenet::named<Name, Layer>>, const std::string& path, std::size_t) {
    walk(tag<Layer>{}, joined(path, std::string(Name.view())));
  }
  // A part of a residual block is not.
  template <class Layer>
  void walk_part(tag<Layer> layer, const std::string& path) {
    walk(layer, path);
  }
  template <spikenet::fixed_string Name, class Layer>
  void walk_part(tag<spikenet::named<Name, Layer>>, const std::string& path) {
    walk(tag<Layer>{}, joined(path, std::string(Name.view())));
  }
  static std::string joined(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
  }
};

template <class Network>
struct layers_of_network;
template <class Backend, std::size_t T, class Input, class... Layers>
struct layers_of_network<spikenet::network<Backend, spikenet::timesteps<T>, Input, Layers...>> {
  static std::vector<layer_numbers> list() {
    using input = typename Input::template signal_type<T>;
    layer_walker walker{{}, T, input::steps, input::shape::extents[0], input::shape::extents[1], input::shape::extents[2]};
    walker.walk(tag<spikenet::sequence<Layers...>>{}, "");
    return std::move(walker.found);
  }
};

}  // namespace detail

// Network: for instance spikenet::dsrn<spikenet::cpu<float>, 128, 2>.
template <class Network>
std::vector<layer_numbers> layers_of() {
  return detail::layers_of_network<Network>::list();
}

}  // namespace spikenet_tests
