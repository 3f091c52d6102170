// From a trained network to a graph of the Neuromorphic Intermediate Representation:
//
//     spikenet::nir::write("model.nir", spikenet::nir::to_graph(net));
//
// NIR has neither batch normalisation nor sums: each tdBN is folded into the convolution or linear layer before it, and
// what a residual block sums are several edges into the same neurons. A neuron
//
//     u[t] = decay * u[t-1] * (1 - o[t-1]) + x[t]          o[t] = u[t] > Vth
//
// is a LIF with v_leak = v_reset = 0, v_threshold = Vth, tau = dt / (1 - decay), r = 1 / (1 - decay): the forward Euler
// step of tau dv/dt = v_leak - v + r x is v + dt / tau (r x - v) = decay v + x. Where decay is 1 it is an IF with
// r = 1 / dt. docs/nir.md has more.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/inference/fold.hpp"
#include "spikenet/inference/plan.hpp"
#include "spikenet/network/architecture.hpp"
#include "spikenet/network/name.hpp"
#include "spikenet/nir/graph.hpp"

namespace spikenet::nir {

namespace detail {

// The names of a network's layers of neurons and of its poolings, each in the order of their stages in a plan.
struct stage_names {
  struct pooling {
    std::string name;
    bool gives_vector;
  };
  std::vector<std::string> neurons;
  std::vector<pooling> poolings;

  // A layer that stands at a place of that name.
  template <class... Options>
  void walk(const std::string& name, spikenet::detail::tag<lif<Options...>>) {
    neurons.push_back(name);
  }
  void walk(const std::string& name, spikenet::detail::tag<global_avg_pool>) { poolings.push_back({name, true}); }
  template <std::size_t K, class... Options>
  void walk(const std::string& name, spikenet::detail::tag<spikenet::avg_pool2d<K, Options...>>) {
    poolings.push_back({name, false});
  }
  template <class... Layers>
  void walk(const std::string& name, spikenet::detail::tag<sequence<Layers...>>) {
    walk_chain<Layers...>(name + ".");
  }
  template <class Main, class Shortcut, class Join>
  void walk(const std::string& name, spikenet::detail::tag<residual<Main, Shortcut, Join>>) {
    walk(name, spikenet::detail::tag<Main>{});
    walk_layer<spikenet::detail::named_or<Shortcut, "shortcut">>(name + ".", 0);
    walk_layer<spikenet::detail::named_or<Join, "join">>(name + ".", 1);
  }
  // Its shortcut has no neurons, whether it projects or not.
  template <std::size_t C, class... Options>
  void walk(const std::string& name, spikenet::detail::tag<basic_block<C, Options...>>) {
    walk(name, spikenet::detail::tag<typename spikenet::detail::layers_of_block<C, C, Options...>::type>{});
  }
  template <class Layer>
  void walk(const std::string&, spikenet::detail::tag<Layer>) {}

  template <class Layer>
  void walk_layer(const std::string& prefix, std::size_t index) {
    walk(prefix + spikenet::detail::naming<Layer>::name(index),
         spikenet::detail::tag<spikenet::detail::layer_of<Layer>>{});
  }
  template <class... Layers>
  void walk_chain(const std::string& prefix) {
    std::size_t index = 0;
    (walk_layer<Layers>(prefix, index++), ...);
  }
  template <class Timesteps, class Input, class... Layers>
  void walk_architecture(spikenet::detail::tag<architecture<Timesteps, Input, Layers...>>) {
    walk_chain<Layers...>("");
  }
};

// Makes the graph, a stage of the plan after the other.
template <class Plan>
class graph_maker {
 public:
  graph_maker(const Plan& plan, const neuron& neurons, double dt, std::vector<tensor_info> tensors, stage_names names)
      : plan_{plan}, neurons_{neurons}, dt_{dt}, tensors_{std::move(tensors)}, names_{std::move(names)} {
    made_by_.resize(plan.signal_count);
    is_map_.assign(plan.signal_count, false);
    const auto& in = plan.signals[0];
    made_by_[0] = {add("input", input{{in.channels, in.height, in.width}})};
    is_map_[0] = true;
  }

  void add_average(const spikenet::detail::planned_stage& stage) {
    const spikenet::detail::planned_term& term = plan_.terms[stage.first_term];
    avg_pool2d pool;
    pool.kernel_size = {term.kernel_height, term.kernel_width};
    pool.stride = {term.stride, term.stride};
    const auto& layer = names_.poolings[poolings_++];
    const std::string name = add(layer.name, std::move(pool));
    connect(term.source, name);
    finish(stage, {name}, true);
    if (layer.gives_vector) finish(stage, {flattened(stage.target, layer.name)}, false);
  }

  void add_sum(const spikenet::detail::planned_stage& stage, std::span<const spikenet::detail::term_origin> origins,
               const spikenet::detail::folded_stage& folded) {
    const bool fires = stage.kind == spikenet::detail::planned_stage::kind_type::neurons;
    const std::string neurons_name = fires ? names_.neurons[fired_++] : "sum";
    bool is_map = true;
    for (std::size_t i = 0; i < stage.terms; ++i) is_map = is_map && term_is_map(stage.first_term + i, origins);

    // Which terms are nodes of their own: all but a signal as it is. One of them has the bias.
    std::vector<bool> as_it_is(stage.terms);
    bool any_node = false;
    for (std::size_t i = 0; i < stage.terms; ++i) {
      const std::size_t source = plan_.terms[stage.first_term + i].source;
      as_it_is[i] =
          plan_.terms[stage.first_term + i].diagonal && all(folded.terms[i].weights, 1) && is_map_[source] == is_map;
      for (std::size_t j = 0; j < i; ++j)
        as_it_is[i] = as_it_is[i] && !(as_it_is[j] && plan_.terms[stage.first_term + j].source == source);
      any_node = any_node || !as_it_is[i];
    }
    if (!any_node && !all(folded.biases, 0)) as_it_is[0] = false;

    std::vector<std::string> nodes;
    bool bias_is_placed = false;
    for (std::size_t i = 0; i < stage.terms; ++i) {
      const std::size_t number = stage.first_term + i;
      if (as_it_is[i]) {
        const auto& sources = made_by_[plan_.terms[number].source];
        nodes.insert(nodes.end(), sources.begin(), sources.end());
      } else {
        nodes.push_back(add_term(number, origins[number], folded.terms[i].weights,
                                 bias_is_placed ? std::vector<double>(folded.biases.size()) : folded.biases, is_map,
                                 neurons_name));
        bias_is_placed = true;
      }
    }
    if (!fires) return finish(stage, std::move(nodes), is_map);

    if (stage.soft_reset) refuse(neurons_name, "resets by subtraction, which NIR has no node for");
    const auto& target = plan_.signals[stage.target];
    const extents shape = is_map ? extents{target.channels, target.height, target.width} : extents{target.channels};
    // In double precision, so that a reader gets the decay back as it was.
    const auto filled = [&](double value) { return array::filled(shape, value, precision::f64); };
    std::string name;
    if (neurons_.decay == 1) {
      name = add(
          neurons_name,
          integrate_and_fire{.r = filled(1 / dt_), .v_threshold = filled(neurons_.threshold), .v_reset = filled(0)});
    } else {
      name = add(neurons_name, leaky_integrate_and_fire{.tau = filled(dt_ / (1 - neurons_.decay)),
                                                        .r = filled(1 / (1 - neurons_.decay)),
                                                        .v_leak = filled(0),
                                                        .v_threshold = filled(neurons_.threshold),
                                                        .v_reset = filled(0)});
    }
    for (const std::string& from : nodes) graph_.edges.emplace_back(from, name);
    finish(stage, {name}, is_map);
  }

  graph result() {
    const auto& last = plan_.signals[plan_.output];
    extents shape{last.channels};
    if (is_map_[plan_.output]) shape.insert(shape.end(), {last.height, last.width});
    connect(plan_.output, add("output", output{std::move(shape)}));
    return std::move(graph_);
  }

 private:
  static bool all(const std::vector<double>& values, double value) {
    for (const double v : values)
      if (v != value) return false;
    return true;
  }

  std::string add(std::string name, node n) {
    while (graph_.nodes.contains(name)) name += "_";
    graph_.nodes.emplace(name, std::move(n));
    return name;
  }
  void connect(std::size_t signal, const std::string& to) {
    for (const std::string& from : made_by_[signal]) graph_.edges.emplace_back(from, to);
  }
  void finish(const spikenet::detail::planned_stage& stage, std::vector<std::string> nodes, bool is_map) {
    made_by_[stage.target] = std::move(nodes);
    is_map_[stage.target] = is_map;
  }

  // A node that flattens a signal, on behalf of a layer. Its dimensions are counted from the last: readers disagree on
  // whether the batch counts among the first.
  std::string flattened(std::size_t signal, const std::string& layer) {
    const auto& s = plan_.signals[signal];
    const std::string name =
        add(layer + ".flatten", flatten{.input_type = {s.channels, s.height, s.width}, .start_dim = -3});
    connect(signal, name);
    return name;
  }

  // Whether a term gives [C, H, W], rather than [C].
  bool term_is_map(std::size_t number, std::span<const spikenet::detail::term_origin> origins) const {
    if (plan_.terms[number].diagonal) return is_map_[plan_.terms[number].source];
    return tensors_[origins[number].weight].shape.size() == 4;
  }

  // "layer1.0.conv1" of "layer1.0.conv1.weight"
  std::string layer_of(std::size_t tensor) const {
    const std::string& name = tensors_[tensor].name;
    return name.substr(0, name.rfind('.'));
  }

  std::string add_term(std::size_t number, const spikenet::detail::term_origin& origin,
                       const std::vector<double>& weights, const std::vector<double>& biases, bool is_map,
                       const std::string& neurons_name) {
    const spikenet::detail::planned_term& term = plan_.terms[number];
    const auto& source = plan_.signals[term.source];
    const std::size_t outputs = biases.size();
    const std::size_t taps = term.diagonal ? 1 : term.kernel_height * term.kernel_width;
    array weight = array::filled(is_map ? extents{outputs, source.channels, term.diagonal ? 1 : term.kernel_height,
                                                  term.diagonal ? 1 : term.kernel_width}
                                        : extents{outputs, source.channels * taps},
                                 0);
    if (term.diagonal) {
      for (std::size_t o = 0; o < outputs; ++o) weight.values[o * outputs + o] = weights[o];
    } else {
      for (std::size_t o = 0; o < outputs; ++o)
        for (std::size_t in = 0; in < source.channels; ++in)
          for (std::size_t tap = 0; tap < taps; ++tap)
            weight.values[(o * source.channels + in) * taps + tap] = weights[(tap * term.inputs + in) * outputs + o];
    }
    std::string name = neurons_name + ".input";
    if (origin.weight != spikenet::detail::nothing) {
      name = layer_of(origin.weight);
    } else if (origin.count > 0) {
      name = layer_of(origin.normalisations[0].tensor);
    }
    array bias{{outputs}, biases};

    if (is_map) {
      conv2d conv{.input_shape = {source.height, source.width}, .weight = std::move(weight), .bias = std::move(bias)};
      if (!term.diagonal) {
        conv.stride = {term.stride, term.stride};
        conv.padding = {term.padding, term.padding};
        conv.dilation = {term.dilation, term.dilation};
      }
      name = add(name, std::move(conv));
      connect(term.source, name);
      return name;
    }
    const std::string layer = name;
    name = add(name, affine{std::move(weight), std::move(bias)});
    if (is_map_[term.source])
      graph_.edges.emplace_back(flattened(term.source, layer), name);
    else
      connect(term.source, name);
    return name;
  }

  const Plan& plan_;
  const neuron& neurons_;
  double dt_;
  std::vector<tensor_info> tensors_;
  stage_names names_;
  graph graph_;
  std::vector<std::vector<std::string>> made_by_;  // of each signal: the nodes whose sum it is
  std::vector<bool> is_map_;
  std::size_t fired_ = 0, poolings_ = 0;
};

}  // namespace detail

// The graph of a network as it is in evaluation mode, its nodes called as the network's layers are. dt: seconds that a
// timestep stands for; readers must be told the same, and most take 1e-4 if they are told nothing.
//
// The Input takes [C, H, W] at every timestep: where the network takes an image, the same one each time. The Output is
// the last layer's at each timestep; its mean over time is the network's logits. Weights are in single precision, and
// grouped convolutions are full ones (the package `nir` takes no others).
//
// Throws argument_error where dt or 1 / dt is not positive and finite or the neurons reset by subtraction, numeric_error
// where a weight or running statistic is not finite. Does not compile for layers that inference cannot run
// (inference/plan.hpp).
template <class Network>
graph to_graph(const Network& net, double dt = 1e-4) {
  using planned = spikenet::detail::planned<typename Network::architecture>;
  if (!(dt > 0) || !std::isfinite(dt) || !std::isfinite(1 / dt))
    throw argument_error("nir: dt and 1 / dt must be positive and finite, but dt is " +
                         spikenet::detail::text_of(dt));
  std::vector<tensor_info> tensors;
  net.for_each_tensor([&](const tensor_info& info, auto) { tensors.push_back(info); });
  detail::stage_names names;
  names.walk_architecture(spikenet::detail::tag<typename Network::architecture>{});

  const auto& plan = planned::plan;
  detail::graph_maker maker(plan, net.neurons(), dt, std::move(tensors), std::move(names));
  const spikenet::detail::network_tensors values(net);
  for (std::size_t i = 0; i < plan.stage_count; ++i) {
    const spikenet::detail::planned_stage& stage = plan.stages[i];
    if (stage.kind == spikenet::detail::planned_stage::kind_type::average)
      maker.add_average(stage);
    else
      maker.add_sum(stage, planned::origins,
                    spikenet::detail::fold_stage(plan, planned::origins, stage, values, net.neurons()));
  }
  return maker.result();
}

}  // namespace spikenet::nir
