// From a trained network to the integers of its inference, in double precision on the host. After folding (fold.hpp)
// every output channel of a stage has a scale q of its own, by which weights, bias and threshold become integers:
//
//     weight = round(q W)     bias = round(q b)     threshold = floor(q Vth)     u > threshold as q u' > q Vth
//
// q is as large as 8 bits of the weights allow, and 16 of the sums: the largest and the least that any spikes and any
// image can make of these weights, in any order, and of the membranes over time, are computed from the integers and lie
// in the range. So nothing overflows and nothing needs to saturate but an image beyond the range of what it was
// calibrated with. What several channels share with each other has one scale: values that a layer passes on, and logits.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/text.hpp"
#include "spikenet/data/transform.hpp"
#include "spikenet/inference/fold.hpp"
#include "spikenet/inference/number.hpp"

namespace spikenet {

namespace detail {

// Integers n that stand for n / scale.
struct integer_signal {
  double scale = 1;
  std::int64_t least = 0, largest = 1;  // 0 lies between them: what is around a map is 0
};

// One channel of a stage.
struct integer_channel {
  std::vector<std::vector<std::int64_t>> weights;  // of each term; one where diagonal
  std::int64_t bias = 0, threshold = 0;
};

// Finds the scales of one stage.
template <class Plan>
class stage_quantiser {
 public:
  stage_quantiser(const Plan& plan, const planned_stage& stage, const folded_stage& folded,
                  const std::vector<integer_signal>& signals, double threshold, std::int16_t decay,
                  std::size_t timesteps)
      : plan_{plan},
        stage_{stage},
        folded_{folded},
        signals_{signals},
        threshold_{threshold},
        decay_{decay},
        timesteps_{timesteps},
        outputs_{folded.biases.size()} {}

  // All channels, the shift of sums of products, and where the stage makes values, these.
  std::vector<integer_channel> channels;
  int shift = 0;
  integer_signal target;

  void run() {
    // With a larger shift the weights of values come to use their 8 bits, or 7 beside weights of spikes that use 8.
    std::vector<double> limits(outputs_);
    for (shift = 0;; ++shift) {
      bool weights_decide = true;
      for (std::size_t o = 0; o < outputs_; ++o) {
        limits[o] = scale_of_weights(o);
        weights_decide = weights_decide && (!has_products(o) || (uses_bits(o, limits[o]) && fits(at_scale(o, limits[o]), false)));
      }
      if (weights_decide || shift == 24) break;
    }
    std::vector<double> scales(outputs_);
    for (std::size_t o = 0; o < outputs_; ++o) scales[o] = largest_that_fits(o, limits[o]);
    if (!neurons()) {
      double shared = *std::min_element(scales.begin(), scales.end());
      const auto all_fit = [&] {
        for (std::size_t o = 0; o < outputs_; ++o) {
          if (!fits(at_scale(o, shared), true)) return false;
        }
        return true;
      };
      while (!all_fit()) shared *= 0.999;
      scales.assign(outputs_, shared);
      target = {shared, 0, 0};
    }
    for (std::size_t o = 0; o < outputs_; ++o) {
      channels.push_back(at_scale(o, scales[o]));
      if (!neurons()) {
        const range r = of_sum(channels.back());
        target.least = std::min(target.least, r.least);
        target.largest = std::max(target.largest, r.largest);
      }
    }
  }

  // The weight that uses most of its 8 bits, of all channels of a term.
  std::int64_t largest_weight(std::size_t term) const {
    std::int64_t largest = 0;
    for (const integer_channel& channel : channels) {
      for (const std::int64_t w : channel.weights[term]) largest = std::max(largest, std::abs(w));
    }
    return largest;
  }

 private:
  static constexpr std::int64_t weight_limit = std::numeric_limits<std::int8_t>::max();
  static constexpr std::int64_t sum_limit = std::numeric_limits<std::int16_t>::max();

  struct range {
    std::int64_t least = 0, largest = 0;
    void add(std::int64_t a, std::int64_t b) {
      least += std::min({a, b, std::int64_t{0}});
      largest += std::max({a, b, std::int64_t{0}});
    }
    bool within(std::int64_t limit) const { return least >= -limit && largest <= limit; }
  };

  bool neurons() const { return stage_.kind == planned_stage::kind_type::neurons; }
  const planned_term& term(std::size_t i) const { return plan_.terms[stage_.first_term + i]; }
  bool of_spikes(std::size_t i) const { return plan_.signals[term(i).source].spikes; }
  const integer_signal& source(std::size_t i) const { return signals_[term(i).source]; }
  std::int64_t limit(std::size_t i) const { return term(i).diagonal ? sum_limit : weight_limit; }
  // What a weight is multiplied by beside the channel's scale.
  double factor(std::size_t i) const { return of_spikes(i) ? 1 : std::ldexp(1 / source(i).scale, shift); }

  bool has_products(std::size_t o) const {
    for (std::size_t i = 0; i < folded_.terms.size(); ++i) {
      if (!of_spikes(i) && largest_of(i, o) > 0) return true;
    }
    return false;
  }
  bool uses_bits(std::size_t o, double scale) const {
    for (std::size_t i = 0; i < folded_.terms.size(); ++i) {
      if (!of_spikes(i) && 2 * largest_of(i, o) * factor(i) * scale >= static_cast<double>(limit(i))) return true;
    }
    return false;
  }
  double largest_of(std::size_t i, std::size_t o) const {
    double largest = 0;
    const std::vector<double>& weights = folded_.terms[i].weights;
    for (std::size_t j = o; j < weights.size(); j += outputs_) largest = std::max(largest, std::abs(weights[j]));
    return largest;
  }

  // The largest scale at which each number by itself has a place.
  double scale_of_weights(std::size_t o) const {
    double scale = std::numeric_limits<double>::infinity();
    const auto hold = [&](double value, std::int64_t most) {
      if (value != 0) scale = std::min(scale, static_cast<double>(most) / std::abs(value));
    };
    for (std::size_t i = 0; i < folded_.terms.size(); ++i) hold(largest_of(i, o) * factor(i), limit(i));
    hold(folded_.biases[o], sum_limit);
    if (neurons()) hold(threshold_, sum_limit);
    return std::isfinite(scale) ? scale : 1;
  }

  integer_channel at_scale(std::size_t o, double scale) const {
    integer_channel made;
    for (std::size_t i = 0; i < folded_.terms.size(); ++i) {
      std::vector<std::int64_t> integers;
      const std::vector<double>& weights = folded_.terms[i].weights;
      for (std::size_t j = o; j < weights.size(); j += outputs_)
        integers.push_back(std::llround(weights[j] * (scale * factor(i))));
      made.weights.push_back(std::move(integers));
    }
    made.bias = std::llround(folded_.biases[o] * scale);
    made.threshold = static_cast<std::int64_t>(std::floor(threshold_ * scale));
    return made;
  }

  // What the sum may be, whichever of its parts are already there.
  range of_sum(const integer_channel& channel) const {
    range r;
    r.add(channel.bias, 0);
    for (std::size_t i = 0; i < channel.weights.size(); ++i) {
      const range part = of_products(channel, i);
      if (of_spikes(i))
        r.add(part.least, part.largest);
      else
        r.add(shift_rounding(part.least, shift), shift_rounding(part.largest, shift));
    }
    return r;
  }
  range of_products(const integer_channel& channel, std::size_t i) const {
    range r;
    for (const std::int64_t w : channel.weights[i]) r.add(w * source(i).least, w * source(i).largest);
    return r;
  }

  // What the membrane may be. A decay near 1 forgets so slowly that only the network's own number of timesteps counts.
  range of_membrane(range sum, std::int64_t threshold) const {
    const std::size_t most = decay_ > (15 << 11) ? timesteps_ : std::numeric_limits<std::size_t>::max();
    range u = sum;
    for (std::size_t t = 1; t < most; ++t) {
      range left{std::min<std::int64_t>(u.least, 0), std::min(u.largest, threshold)};
      if (stage_.soft_reset) left.largest = std::max(left.largest, u.largest - threshold);
      left.largest = std::max<std::int64_t>(left.largest, 0);
      const range next{shift_rounding(left.least * decay_, 15) + sum.least,
                       shift_rounding(left.largest * decay_, 15) + sum.largest};
      if (next.least >= u.least && next.largest <= u.largest) break;
      u = {std::min(u.least, next.least), std::max(u.largest, next.largest)};
    }
    return u;
  }

  // Whether nothing of this channel leaves its range: sums of products in 32 bits, unless they do not matter yet.
  bool fits(const integer_channel& channel, bool products) const {
    for (std::size_t i = 0; i < channel.weights.size(); ++i) {
      for (const std::int64_t w : channel.weights[i]) {
        if (std::abs(w) > limit(i)) return false;
      }
      const std::int64_t half = (std::int64_t{1} << shift) >> 1;
      if (products && !of_spikes(i) &&
          !of_products(channel, i).within(std::numeric_limits<std::int32_t>::max() - half))
        return false;
    }
    const range sum = of_sum(channel);
    if (!sum.within(sum_limit)) return false;
    return !neurons() || (channel.threshold < sum_limit && of_membrane(sum, channel.threshold).within(sum_limit));
  }

  double largest_that_fits(std::size_t o, double limit) const {
    if (fits(at_scale(o, limit), true)) return limit;
    double fitting = 0, too_large = limit;
    for (int i = 0; i < 24; ++i) {
      const double middle = (fitting + too_large) / 2;
      (fits(at_scale(o, middle), true) ? fitting : too_large) = middle;
    }
    return fitting;
  }

  const Plan& plan_;
  const planned_stage& stage_;
  const folded_stage& folded_;
  const std::vector<integer_signal>& signals_;
  double threshold_;
  std::int16_t decay_;
  std::size_t timesteps_, outputs_;
};

// The parameters of Model but for how it takes its input, whose integers are `input`.
template <class Model, class Network>
std::unique_ptr<typename Model::parameters> quantise(const Network& net, const integer_signal& input) {
  using architecture = typename Model::architecture;
  using planned = detail::planned<architecture>;
  constexpr const auto& plan = planned::plan;
  const network_tensors tensors(net);
  std::vector<integer_signal> signals(plan.signal_count);
  signals[0] = input;

  auto made = std::make_unique<typename Model::parameters>();
  const double decay = std::round(std::ldexp(net.neurons().decay, 15));
  made->constants.decay = static_cast<std::int16_t>(std::min<double>(decay, std::numeric_limits<std::int16_t>::max()));
  made->constants.thresholds.fill(std::numeric_limits<std::int16_t>::max());

  for_each_folded_stage<architecture>(net, tensors, [&](std::size_t index, const folded_stage& folded) {
    const planned_stage& stage = plan.stages[index];
    integer_signal& target = signals[stage.target];
    if (stage.kind == planned_stage::kind_type::average) {
      const planned_term& window = plan.terms[stage.first_term];
      const auto size = static_cast<std::int64_t>(window.kernel_height * window.kernel_width);
      target = signals[window.source];
      if (!plan.signals[window.source].spikes) return;
      if (size > std::numeric_limits<std::int16_t>::max())
        throw argument_error("quantise: a pooling over " + std::to_string(size) + " spikes does not fit 16 bits");
      target = {static_cast<double>(size), 0, size};
      return;
    }

    stage_quantiser quantiser(plan, stage, folded, signals, net.neurons().threshold, made->constants.decay,
                              planned::timesteps);
    quantiser.run();
    target = quantiser.target;
    made->constants.shifts[index] = static_cast<std::uint8_t>(quantiser.shift);
    for (std::size_t i = 0; i < stage.terms; ++i) {
      const planned_term& term = plan.terms[stage.first_term + i];
      const std::size_t tensor = planned::origins[stage.first_term + i].weight;
      constexpr std::int64_t least = 8;
      if (!term.diagonal && quantiser.largest_weight(i) < least) {
        bool any = false;
        for (const double w : folded.terms[i].weights) any = any || w != 0;
        if (any) {
          throw numeric_error(tensors.name(tensor),
                              "so many and so different weights leave less than 4 bits for each, since what they add "
                              "up to must fit 16");
        }
      }
      for (std::size_t o = 0; o < quantiser.channels.size(); ++o) {
        const std::vector<std::int64_t>& weights = quantiser.channels[o].weights[i];
        for (std::size_t j = 0; j < weights.size(); ++j) {
          const std::size_t at = term.first_weight + j * stage.row_size + o;
          if (term.diagonal)
            made->units[at] = static_cast<std::int16_t>(weights[j]);
          else
            made->weights[at] = static_cast<std::int8_t>(weights[j]);
        }
      }
    }
    for (std::size_t o = 0; o < quantiser.channels.size(); ++o) {
      made->biases[stage.first_bias + o] = static_cast<std::int16_t>(quantiser.channels[o].bias);
      if (stage.kind == planned_stage::kind_type::neurons)
        made->constants.thresholds[stage.first_bias + o] = static_cast<std::int16_t>(quantiser.channels[o].threshold);
    }
  });
  const integer_signal& output = signals[plan.output];
  made->constants.logit_unit = static_cast<float>(1 / (output.scale * static_cast<double>(planned::timesteps)));
  return made;
}

template <class Model, class Input>
inline constexpr bool takes = std::is_same_v<typename Model::number_type, quantised<Input>>;

}  // namespace detail

// The parameters of Model, an inference<Network::architecture, quantised<float>, ...>. images: any number of those the
// network was trained with, as it was given them; the range of their values is what Model can tell apart. Throws
// argument_error where there are none, or where their values are beyond the range of float; numeric_error where a value
// is not finite or integers of 16 bits are too few for a layer.
//
// Streams of more timesteps than the network has are safe from overflow as well where its decay is at most 15/16.
template <class Model, class Network>
requires detail::takes<Model, float>
std::unique_ptr<typename Model::parameters> quantise(const Network& net,
                                                     std::span<const typename Network::scalar> images) {
  double largest = 0;
  for (const auto value : images) {
    if (!std::isfinite(value)) throw numeric_error("images", "a value is not finite");
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  if (largest == 0) throw argument_error("quantise: needs images to calibrate by, which are not all 0");
  constexpr double limit = detail::largest_input;
  const double scale = std::ldexp(1, std::ilogb(limit / largest));
  if (!std::isnormal(static_cast<float>(scale))) {
    throw argument_error("quantise: images whose largest value is " + detail::text_of(largest) +
                         " have no scale in 32 bits");
  }
  auto made = detail::quantise<Model>(net, {scale, -detail::largest_input, detail::largest_input});
  made->constants.image.scale = static_cast<float>(scale);
  return made;
}

// The parameters of Model, an inference<Network::architecture, quantised<std::uint8_t>, ...>, which takes bytes: those
// that the network was trained with after this normalisation. Throws as above, and argument_error where it does not
// suit the channels.
template <class Model, class Network>
requires detail::takes<Model, std::uint8_t>
std::unique_ptr<typename Model::parameters> quantise(const Network& net, const normalise& normalisation) {
  normalisation.check<float>(Model::channels);
  double largest = 0;
  for (std::size_t c = 0; c < Model::channels; ++c)
    largest = std::max({largest, std::abs(normalisation(0, c)), std::abs(normalisation(255, c))});
  const double scale = detail::largest_input / largest;
  auto made = detail::quantise<Model>(net, {scale, -detail::largest_input, detail::largest_input});
  auto& image = made->constants.image;
  for (std::size_t c = 0; c < Model::channels; ++c) {
    const double black = normalisation(0, c), one = std::ldexp(scale, image.fraction);
    image.factors[c] = static_cast<std::int32_t>(std::lround(one * (normalisation(255, c) - black) / 255));
    image.offsets[c] = static_cast<std::int32_t>(std::lround(one * black) + (1 << (image.fraction - 1)));
    if (image(c, 0) == image(c, 255)) {
      throw argument_error("quantise: the normalisation turns the bytes of channel " + std::to_string(c) +
                           " into numbers between " + detail::text_of(black) + " and " +
                           detail::text_of(normalisation(255, c)) + ", which are one and the same in 12 bits");
    }
  }
  return made;
}

}  // namespace spikenet
