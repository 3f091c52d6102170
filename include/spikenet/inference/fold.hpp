// From a trained network to the parameters of its inference: every tdBN becomes a factor of the weights before it and a
// part of their bias,
//
//     W' = s W     b' = s b + bias - s mean     s = weight alpha Vth / sqrt(var + eps)
//
// in double precision, whatever the numbers are then.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/parameter.hpp"
#include "spikenet/core/setting.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/inference/inference.hpp"
#include "spikenet/inference/plan.hpp"
#include "spikenet/layer/tdbn.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

namespace detail {

// A term of a stage after folding.
struct folded_term {
  std::vector<double> weights;  // [window, inputs, outputs]; [outputs] where diagonal
};
struct folded_stage {
  std::vector<folded_term> terms;
  std::vector<double> biases;  // [outputs]
};

// All tensors of a network in double precision, in its order. Throws numeric_error where a value is not finite.
class network_tensors {
 public:
  template <class Network>
  explicit network_tensors(const Network& net) {
    net.for_each_tensor([&](const tensor_info& info, std::span<const typename Network::scalar> values) {
      names_.push_back(info.name);
      tensors_.emplace_back(values.begin(), values.end());
      for (const double v : tensors_.back()) {
        if (!std::isfinite(v)) throw numeric_error(info.name, "a value is not finite, so it cannot be folded");
      }
    });
  }
  std::size_t size() const { return tensors_.size(); }
  const std::string& name(std::size_t i) const { return names_[i]; }
  const std::vector<double>& operator[](std::size_t i) const { return tensors_[i]; }

 private:
  std::vector<std::string> names_;
  std::vector<std::vector<double>> tensors_;
};

// Returns the tensor that a message about the numbers of some terms names: the first weight among them. A term without
// one is a factor of 1.
constexpr std::size_t first_weight_of(std::span<const term_origin> terms) {
  for (const term_origin& term : terms) {
    if (term.weight != nothing) return term.weight;
    if (term.count > 0) return term.normalisations[0].tensor;
  }
  return nothing;
}

template <class Plan>
folded_stage fold_stage(const Plan& plan, std::span<const term_origin> origins, const planned_stage& stage,
                        const network_tensors& tensors, const neuron& neurons) {
  const std::size_t outputs = plan.signals[stage.target].channels;
  folded_stage folded;
  folded.biases.assign(outputs, 0.0);
  for (std::size_t i = stage.first_term; i < stage.first_term + stage.terms; ++i) {
    const planned_term& term = plan.terms[i];
    const term_origin& origin = origins[i];
    const planned_signal& source = plan.signals[term.source];
    std::vector<double> scale(outputs, 1.0), bias(outputs, 0.0);
    if (origin.bias != nothing) bias = tensors[origin.bias];
    for (std::size_t j = 0; j < origin.count; ++j) {
      const auto& norm = origin.normalisations[j];
      const double k = neurons.threshold / std::sqrt(static_cast<double>(norm.branches));
      for (std::size_t o = 0; o < outputs; ++o) {
        const double s = k * tensors[norm.tensor][o] / std::sqrt(tensors[norm.tensor + 3][o] + tdbn<>::epsilon);
        scale[o] *= s;
        bias[o] = s * bias[o];
        if (norm.shifts) bias[o] += tensors[norm.tensor + 1][o] - s * tensors[norm.tensor + 2][o];
      }
    }
    for (std::size_t o = 0; o < outputs; ++o) folded.biases[o] += bias[o];

    folded_term made;
    if (term.diagonal) {
      made.weights = scale;
    } else {
      const std::size_t taps = term.kernel_height * term.kernel_width;
      const std::size_t group_in = source.channels / origin.groups, group_out = outputs / origin.groups;
      made.weights.assign(taps * term.inputs * outputs, 0.0);
      const std::vector<double>& weight = tensors[origin.weight];
      for (std::size_t o = 0; o < outputs; ++o) {
        for (std::size_t in = 0; in < group_in; ++in) {
          for (std::size_t tap = 0; tap < taps; ++tap) {
            const std::size_t row = tap * term.inputs + o / group_out * group_in + in;
            made.weights[row * outputs + o] = scale[o] * weight[(o * group_in + in) * taps + tap];
          }
        }
      }
    }
    folded.terms.push_back(std::move(made));
  }
  return folded;
}

// f(i, folded_stage) for every stage i; that of an average is empty.
template <class Architecture, class Network, class F>
void for_each_folded_stage(const Network& net, const network_tensors& tensors, F&& f) {
  using planned = detail::planned<Architecture>;
  static_assert(std::is_same_v<Architecture, typename Network::architecture>,
                "spikenet: fold needs a network of the same layers as the inference type");
  if (tensors.size() != planned::tensors) throw error("fold: the network has other tensors than its layers have");
  for (std::size_t i = 0; i < planned::plan.stage_count; ++i) {
    const planned_stage& stage = planned::plan.stages[i];
    f(i, stage.kind == planned_stage::kind_type::average
             ? folded_stage{}
             : fold_stage(planned::plan, planned::origins, stage, tensors, net.neurons()));
  }
}

}  // namespace detail

// The parameters of Model, an inference<Network::architecture, float or double, ...>. They are the network's as it is
// now, and no longer follow it.
// Throws numeric_error if a weight or a running statistic is not finite, or becomes so once folded and held as Model's
// numbers; argument_error if the neurons' threshold or decay leave their range as such numbers.
template <class Model, class Network>
requires std::is_floating_point_v<typename Model::number_type>
std::unique_ptr<typename Model::parameters> fold(const Network& net) {
  using architecture = typename Model::architecture;
  using number = typename Model::number_type;
  constexpr const auto& plan = detail::planned<architecture>::plan;
  constexpr const auto& origins = detail::planned<architecture>::origins;
  net.neurons().template validate<number>();
  const detail::network_tensors tensors(net);
  auto made = std::make_unique<typename Model::parameters>();
  detail::for_each_folded_stage<architecture>(
      net, tensors, [&](std::size_t index, const detail::folded_stage& folded) {
        const detail::planned_stage& stage = plan.stages[index];
        const std::size_t outputs = folded.biases.size();
        const std::span terms = std::span(origins).subspan(stage.first_term, stage.terms);
        const auto held = [&tensors](double value, std::span<const detail::term_origin> of) {
          const auto n = static_cast<number>(value);
          if (!std::isfinite(n)) {
            throw numeric_error(tensors.name(detail::first_weight_of(of)),
                                "folded, a value is " + detail::text_of(value) + ", which is not finite in " +
                                    detail::bits_of<number>());
          }
          return n;
        };
        for (std::size_t o = 0; o < outputs; ++o) made->biases[stage.first_bias + o] = held(folded.biases[o], terms);
        for (std::size_t i = 0; i < folded.terms.size(); ++i) {
          const detail::planned_term& term = plan.terms[stage.first_term + i];
          const std::vector<double>& weights = folded.terms[i].weights;
          number* const to = (term.diagonal ? made->units.data() : made->weights.data()) + term.first_weight;
          for (std::size_t j = 0; j < weights.size(); ++j)
            to[j / outputs * stage.row_size + j % outputs] = held(weights[j], terms.subspan(i, 1));
        }
      });
  made->constants = {static_cast<number>(net.neurons().threshold), static_cast<number>(net.neurons().decay)};
  return made;
}

}  // namespace spikenet
