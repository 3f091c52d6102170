// How a network's layers are run where it is only used and not trained: a plan, made at compile time from the list of
// layers, that the kernels then read as data. So a network of many shapes compiles each kernel once.
//
// Between two neurons or poolings everything is linear. Convolutions, linear layers and shortcuts of one sum become its
// terms, every tdBN a factor of their weights and a part of one bias, and a stage computes
//
//     y = bias + sum over its terms of weights * source
//
// and ends in neurons (spikes, kept as bits) or in values. The third kind of stage averages over windows.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "spikenet/core/spikes.hpp"
#include "spikenet/layer/declarations.hpp"
#include "spikenet/network/architecture.hpp"
#include "spikenet/neuron/dynamics.hpp"

namespace spikenet {

// A compile-time error: inference knows the library's own layers, with neurons that fire or do not.
template <class Layer>
struct inference_cannot_run {
  static constexpr bool known = !std::is_same_v<Layer, Layer>;
  static_assert(known,
                "spikenet: inference cannot run this layer (see inference_cannot_run<layer>): it knows conv2d, tdbn, "
                "lif (not with the option ramp), linear, avg_pool2d, global_avg_pool, flatten, residual, basic_block "
                "and sequence");
};

namespace detail {

inline constexpr std::size_t nothing = ~std::size_t{0};

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// What one stage makes and others take: [height, width, channels] with `border` zeros around it.
struct planned_signal {
  std::size_t channels = 0, height = 1, width = 1, border = 0;
  bool spikes = false;
  bool each_step = false;                  // its own value at every timestep
  std::size_t made_by = 0, last_used = 0;  // stages

  constexpr std::size_t pixels() const { return height * width; }
  constexpr std::size_t padded_pixels() const { return (height + 2 * border) * (width + 2 * border); }
  // Elements of one pixel: bytes of spikes, or values.
  constexpr std::size_t pixel_size() const { return spikes ? (channels + 7) / 8 : channels; }
};

// A part of a sum: a convolution of a signal, where a linear layer's window is all of its input; or, where it is
// diagonal, each channel times a number of its own.
struct planned_term {
  std::size_t source = 0;
  bool diagonal = false;
  std::size_t kernel_height = 1, kernel_width = 1, stride = 1, padding = 0, dilation = 1;
  std::size_t inputs = 0;        // rows of weights for each element of the window
  std::size_t first_weight = 0;  // among the weights [window, inputs, row_size]; the units [row_size] where diagonal
};

// Where a term's weights come from: numbers of tensors, as network::for_each_tensor counts them.
struct term_origin {
  struct normalisation {
    std::size_t tensor = 0, branches = 1;  // the first of its four
    bool shifts = false;                   // of all terms of a sum one adds what the tdBN shifts it by
  };
  std::size_t weight = nothing, bias = nothing, groups = 1;
  std::array<normalisation, 4> normalisations{};
  std::size_t count = 0;  // of them
};

struct planned_stage {
  enum class kind_type { neurons, values, average };
  kind_type kind = kind_type::values;
  std::size_t target = 0;                 // signal
  std::size_t first_term = 0, terms = 0;  // an average has one, whose window it is over
  std::size_t row_size = 0;               // its channels, rounded up to whole bytes of spikes
  std::size_t first_bias = 0;
  std::size_t first_membrane = 0;  // of [pixels, channels]
  bool soft_reset = false;
  bool changes = false;  // at every timestep
};

inline constexpr std::size_t most_terms = 4;

enum class plan_problem { none, too_many_normalisations, flatten_without_linear };

template <std::size_t Capacity>
struct plan {
  std::array<planned_signal, Capacity + 1> signals{};
  std::array<planned_stage, Capacity> stages{};
  std::array<planned_term, Capacity> terms{};
  std::size_t signal_count = 0, stage_count = 0, term_count = 0;
  std::size_t weights = 0, units = 0, biases = 0, membranes = 0;
  std::size_t output = 0;  // signal
  plan_problem problem = plan_problem::none;
};

template <std::size_t Capacity>
struct plan_and_origins {
  detail::plan<Capacity> plan{};
  std::array<term_origin, Capacity> origins{};  // of the terms
  std::size_t tensors = 0;
};

template <class Layer>
struct tag {};

// At most this many signals, stages or terms come of a layer.
template <class Layer>
inline constexpr std::size_t most_stages = 1;
template <fixed_string Name, class Layer>
inline constexpr std::size_t most_stages<named<Name, Layer>> = most_stages<Layer>;
template <class... Layers>
inline constexpr std::size_t most_stages<sequence<Layers...>> = (most_stages<Layers> + ... + 0);
template <class Main, class Shortcut, class Join>
inline constexpr std::size_t most_stages<residual<Main, Shortcut, Join>> =
    3 + most_stages<Main> + most_stages<Shortcut> + most_stages<Join>;
template <std::size_t C, class... Options>
inline constexpr std::size_t most_stages<basic_block<C, Options...>> = 11;

// Walks over the layers. apply() takes what flows into a layer and gives what flows out of it.
template <std::size_t Capacity>
struct planner {
  // Either a signal that lies in memory, or a sum that no stage has computed yet.
  struct flow {
    std::size_t signal = nothing;
    std::array<planned_term, most_terms> terms{};
    std::array<term_origin, most_terms> origins{};
    std::size_t count = 0;
    std::size_t channels = 0, height = 1, width = 1;
    bool flattened = false;
  };

  plan_and_origins<Capacity> made{};
  std::size_t next_tensor = 0;

  constexpr flow of_signal(std::size_t i, bool flattened = false) const {
    const planned_signal& s = made.plan.signals[i];
    flow x;
    x.signal = i;
    x.channels = s.channels, x.height = s.height, x.width = s.width;
    x.flattened = flattened;
    return x;
  }

  constexpr std::size_t add_signal(const planned_signal& s) {
    made.plan.signals[made.plan.signal_count] = s;
    return made.plan.signal_count++;
  }

  // A stage that computes what flows.
  constexpr flow compute(const flow& x, planned_stage::kind_type kind, bool soft_reset = false) {
    auto& p = made.plan;
    planned_stage stage;
    stage.kind = kind;
    stage.soft_reset = soft_reset;
    stage.first_term = p.term_count;
    stage.terms = x.count;
    stage.row_size = round_up(x.channels, 8);
    for (std::size_t i = 0; i < x.count; ++i) {
      planned_term term = x.terms[i];
      planned_signal& source = p.signals[term.source];
      source.last_used = p.stage_count;
      source.border = std::max(source.border, term.padding);
      stage.changes = stage.changes || source.each_step;
      if (kind != planned_stage::kind_type::average) {
        std::size_t& first = term.diagonal ? p.units : p.weights;
        term.first_weight = first;
        first += (term.diagonal ? 1 : term.kernel_height * term.kernel_width * term.inputs) * stage.row_size;
      }
      made.origins[p.term_count] = x.origins[i];
      p.terms[p.term_count++] = term;
    }
    const bool neurons = kind == planned_stage::kind_type::neurons;
    if (kind != planned_stage::kind_type::average) {
      stage.first_bias = p.biases;
      p.biases += stage.row_size;
    }
    if (neurons) {
      stage.first_membrane = p.membranes;
      p.membranes += x.channels * x.height * x.width;
    }
    stage.target = add_signal({.channels = x.channels,
                               .height = x.height,
                               .width = x.width,
                               .spikes = neurons,
                               .each_step = neurons || stage.changes,
                               .made_by = p.stage_count,
                               .last_used = p.stage_count});
    p.stages[p.stage_count++] = stage;
    return of_signal(stage.target, x.flattened);
  }

  constexpr flow in_memory(const flow& x) {
    return x.signal != nothing ? x : compute(x, planned_stage::kind_type::values);
  }

  // One term over a signal.
  constexpr flow term_of(const flow& x, std::size_t channels, std::size_t height, std::size_t width,
                         planned_term term, const term_origin& origin) const {
    const planned_signal& source = made.plan.signals[x.signal];
    term.source = x.signal;
    term.inputs = source.spikes ? round_up(source.channels, 8) : source.channels;
    flow y;
    y.terms[0] = term;
    y.origins[0] = origin;
    y.count = 1;
    y.channels = channels, y.height = height, y.width = width;
    return y;
  }

  constexpr flow as_sum(const flow& x) {
    if (x.signal == nothing) return x;
    if (x.flattened && x.height * x.width > 1) made.plan.problem = plan_problem::flatten_without_linear;
    return term_of(x, x.channels, x.height, x.width, {.diagonal = true}, {});
  }

  constexpr flow add(const flow& a, const flow& b) {
    flow x = as_sum(a), y = as_sum(b);
    if (x.count + y.count > most_terms) {
      x = as_sum(in_memory(x));
      if (x.count + y.count > most_terms) y = as_sum(in_memory(y));
    }
    for (std::size_t i = 0; i < y.count; ++i, ++x.count) {
      x.terms[x.count] = y.terms[i];
      x.origins[x.count] = y.origins[i];
    }
    return x;
  }

  template <std::size_t C, std::size_t K, class... Options>
  constexpr flow apply(tag<conv2d<C, K, Options...>>, const flow& input) {
    using options = conv2d_options<K, Options...>;
    const flow x = in_memory(input);
    constexpr std::size_t extent = options::dilation_value * (K - 1) + 1, pad = options::padding_value;
    term_origin origin;
    origin.weight = next_tensor++;
    if constexpr (options::has_bias) origin.bias = next_tensor++;
    origin.groups = options::groups_value;
    return term_of(x, C, (x.height + 2 * pad - extent) / options::stride_value + 1,
                   (x.width + 2 * pad - extent) / options::stride_value + 1,
                   {.kernel_height = K,
                    .kernel_width = K,
                    .stride = options::stride_value,
                    .padding = pad,
                    .dilation = options::dilation_value},
                   origin);
  }

  // A window as large as the input: PyTorch's order of a flattened map is that of a kernel's weights.
  template <std::size_t F, class... Options>
  constexpr flow apply(tag<linear<F, Options...>>, const flow& input) {
    const flow x = in_memory(input);
    term_origin origin;
    origin.weight = next_tensor++;
    if constexpr (!has_option<without_bias, Options...>) origin.bias = next_tensor++;
    return term_of(x, F, 1, 1, {.kernel_height = x.height, .kernel_width = x.width}, origin);
  }

  template <std::size_t Branches>
  constexpr flow apply(tag<tdbn<Branches>>, const flow& input) {
    flow x = as_sum(input);
    for (std::size_t i = 0; i < x.count; ++i) {
      term_origin& origin = x.origins[i];
      if (origin.count == origin.normalisations.size()) {
        made.plan.problem = plan_problem::too_many_normalisations;
        continue;
      }
      origin.normalisations[origin.count++] = {next_tensor, Branches, i == 0};
    }
    next_tensor += 4;
    return x;
  }

  template <class... Options>
  constexpr flow apply(tag<lif<Options...>>, const flow& input) {
    if constexpr (has_option<ramp, Options...>) {
      static_assert(inference_cannot_run<lif<Options...>>::known);
      return input;
    } else {
      flow sum = input;
      if (input.signal != nothing) {
        const bool flattened = input.flattened;
        sum = input;
        sum.flattened = false;
        sum = as_sum(sum);
        sum.flattened = flattened;
      }
      return compute(sum, planned_stage::kind_type::neurons, has_option<soft_reset, Options...>);
    }
  }

  constexpr flow average(const flow& input, std::size_t kernel_height, std::size_t kernel_width, std::size_t step) {
    const flow x = in_memory(input);
    return compute(
        term_of(x, x.channels, (x.height - kernel_height) / step + 1, (x.width - kernel_width) / step + 1,
                {.diagonal = true, .kernel_height = kernel_height, .kernel_width = kernel_width, .stride = step}, {}),
        planned_stage::kind_type::average);
  }
  constexpr flow apply(tag<global_avg_pool>, const flow& x) { return average(x, x.height, x.width, 1); }
  template <std::size_t K, class... Options>
  constexpr flow apply(tag<avg_pool2d<K, Options...>>, const flow& x) {
    return average(x, K, K, option_value<stride, K, Options...>);
  }

  constexpr flow apply(tag<flatten>, const flow& input) {
    flow x = input;
    x.flattened = true;
    return x;
  }
  constexpr flow apply(tag<identity>, const flow& x) { return x; }

  template <fixed_string Name, class Layer>
  constexpr flow apply(tag<named<Name, Layer>>, const flow& x) {
    return apply(tag<Layer>{}, x);
  }
  template <class... Layers>
  constexpr flow apply(tag<sequence<Layers...>>, const flow& input) {
    flow x = input;
    ((x = apply(tag<Layers>{}, x)), ...);
    return x;
  }

  // A network counts the tensors of main, join and shortcut in this order.
  template <class Main, class Shortcut, class Join>
  constexpr flow apply(tag<residual<Main, Shortcut, Join>>, const flow& input) {
    const flow x = in_memory(input);
    const flow main = apply(tag<Main>{}, x);
    const std::size_t of_join = next_tensor;
    planner trial = *this;
    trial.apply(tag<Join>{}, trial.add(main, main));
    next_tensor = trial.next_tensor;
    const flow shortcut = apply(tag<Shortcut>{}, x);
    const std::size_t end = next_tensor;
    next_tensor = of_join;
    const flow y = apply(tag<Join>{}, add(main, shortcut));
    next_tensor = end;
    return y;
  }

  // What it consists of depends on whether it keeps the number of channels.
  template <std::size_t C, class... Options>
  constexpr flow apply(tag<basic_block<C, Options...>>, const flow& x) {
    return x.channels == C ? apply(tag<typename layers_of_block<C, C, Options...>::type>{}, x)
                           : apply(tag<typename layers_of_block<C + 1, C, Options...>::type>{}, x);
  }

  template <class Layer>
  constexpr flow apply(tag<Layer>, const flow& x) {
    static_assert(inference_cannot_run<Layer>::known);
    return x;
  }
};

template <std::size_t Capacity, class Input, bool Frames, class... Layers>
consteval plan_and_origins<Capacity> make_plan() {
  using shape = typename Input::shape_type;
  planner<Capacity> p;
  p.add_signal({.channels = shape::extents[0],
                .height = shape::extents[1],
                .width = shape::extents[2],
                .each_step = Frames});
  const auto last = p.apply(tag<sequence<Layers...>>{}, p.of_signal(0));
  const auto output = p.in_memory(last);
  p.made.plan.output = output.signal;
  p.made.plan.signals[output.signal].last_used = p.made.plan.stage_count;
  if (output.height * output.width > 1) p.made.plan.problem = plan_problem::flatten_without_linear;
  p.made.tensors = p.next_tensor;
  return p.made;
}

template <class Architecture>
struct planned;

template <class Timesteps, class Input, class... Layers>
struct planned<architecture<Timesteps, Input, Layers...>> {
  static constexpr std::size_t timesteps = Timesteps::value;
  static constexpr std::size_t capacity = 2 + most_stages<sequence<Layers...>>;

 private:
  using input = typename Input::template signal_type<timesteps>;
  static constexpr plan_and_origins<capacity> all = make_plan<capacity, Input, (input::steps > 1), Layers...>();

 public:
  static constexpr detail::plan<capacity> plan = all.plan;
  static constexpr std::array<term_origin, capacity> origins = all.origins;
  static constexpr std::size_t tensors = all.tensors;
  static constexpr std::size_t classes = plan.signals[plan.output].channels;

  static_assert(plan.problem != plan_problem::flatten_without_linear,
                "spikenet: inference takes flatten only where nothing but neurons stands between it and a linear layer");
  static_assert(plan.problem != plan_problem::too_many_normalisations,
                "spikenet: inference folds at most four tdbn that follow each other into one layer");
};

// Where the signals lie: each in a place that no other one needs at the same time. For a chain of layers that comes to
// two buffers in turns; a residual block keeps a third.
template <std::size_t Signals>
struct memory_layout {
  std::array<std::size_t, Signals> offset{}, step{}, image{};  // bytes: of its first value; from one to the next
  std::size_t size = 0;
};

template <std::size_t Capacity>
constexpr auto lay_out(const plan<Capacity>& p, std::size_t value_size, std::size_t images, std::size_t steps) {
  constexpr std::size_t line = 64;  // each starts on a cache line; kernels may read as much beyond its end
  memory_layout<Capacity + 1> layout;
  std::array<std::size_t, Capacity + 1> size{};
  for (std::size_t i = 0; i < p.signal_count; ++i) {
    const planned_signal& s = p.signals[i];
    const std::size_t item = s.padded_pixels() * s.pixel_size() * (s.spikes ? 1 : value_size);
    layout.step[i] = s.each_step ? item : 0;
    layout.image[i] = s.each_step ? steps * item : item;
    size[i] = round_up(layout.image[i] * images, line) + line;
    bool moved = true;
    while (moved) {
      moved = false;
      for (std::size_t j = 0; j < i; ++j) {
        const bool together = p.signals[j].last_used >= s.made_by && s.last_used >= p.signals[j].made_by;
        const bool overlap = layout.offset[j] < layout.offset[i] + size[i] && layout.offset[i] < layout.offset[j] + size[j];
        if (together && overlap) {
          layout.offset[i] = layout.offset[j] + size[j];
          moved = true;
        }
      }
    }
    layout.size = std::max(layout.size, layout.offset[i] + size[i]);
  }
  return layout;
}

}  // namespace detail
}  // namespace spikenet
