// A trained network where it is only used: tdBN folded into the weights, no gradients, no history, spikes as bits, and
// all memory known when it is compiled. This header needs no more than the standard library's freestanding parts and
// no heap, exceptions, type information, streams or threads; inference/fold.hpp makes the parameters from a network.
//
//     using model = spikenet::inference<net_t::architecture>;
//     const auto parameters = spikenet::fold<model>(net);
//     const auto run = std::make_unique<model>(*parameters);    // or in static storage: it may be large
//     run->logits(image, logits);
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "spikenet/inference/kernels.hpp"
#include "spikenet/inference/number.hpp"
#include "spikenet/inference/plan.hpp"
#include "spikenet/network/architecture.hpp"

namespace spikenet {

// Weights, biases and what the neurons need: a value without pointers, which may be constexpr.
template <class Architecture, class Number>
struct inference_parameters {
 private:
  using number = detail::arithmetic<Number>;
  using planned = detail::planned<Architecture>;
  // Kernels read whole vectors, and may read beyond the end of what they need.
  static constexpr std::size_t beyond = 64;

 public:
  // In the order that the plan counts them; see inference/plan.hpp.
  alignas(64) std::array<typename number::weight, planned::plan.weights + beyond> weights{};
  alignas(64) std::array<typename number::sum, planned::plan.units + beyond> units{};
  alignas(64) std::array<typename number::sum, planned::plan.biases + beyond> biases{};
  typename number::template constants<planned> constants{};
};

// What a layer of neurons did in a call of logits().
struct fired_layer {
  std::size_t index;  // of the layer among those of neurons, in the order in which a network shows them to observers
  std::size_t channels, height, width;
  std::size_t first_image, images, steps;

  // Whether it has fired; image < images is counted from first_image.
  bool fired(std::size_t image, std::size_t t, std::size_t row, std::size_t column, std::size_t channel) const {
    const std::byte* const pixel =
        data_ + image * image_size_ + t * step_size_ + row * row_size_ + column * pixel_size_;
    return (std::to_integer<unsigned>(pixel[channel / 8]) >> (channel % 8) & 1) != 0;
  }

  const std::byte* data_;
  std::size_t image_size_, step_size_, row_size_, pixel_size_;
};

// Architecture: of the library's layers, network<...>::architecture or written out; Number: float or double.
// Images: how many are computed together. 1 is for the shortest time from an image to its answer and for little memory;
// some tens are for many images a second, with up to 2 MB of tables and sums. More than one thread: see
// inference/parallel.hpp.
//
// An object is workspace and a reference to its parameters, which must live as long. Calls change the workspace only,
// so what one call leaves never matters to the next; two threads need an object each and may share the parameters.
// Results with Images = 1 and with more agree but for rounding; how many images a call has makes no difference.
template <class Architecture, class Number = float, std::size_t Images = 1>
class inference {
  template <class, class, std::size_t>
  friend class parallel_inference;

  static_assert(Images > 0, "spikenet: inference computes at least 1 image at a time");
  using number = detail::arithmetic<Number>;
  using planned = detail::planned<Architecture>;
  static constexpr const auto& plan = planned::plan;
  static constexpr const detail::planned_signal& input = plan.signals[0];
  struct nobody {};  // observes nothing

 public:
  using architecture = Architecture;
  using number_type = Number;
  using parameters = inference_parameters<Architecture, Number>;
  using value = typename number::input;
  using logit = typename number::logit;

  static constexpr std::size_t timesteps = planned::timesteps;
  static constexpr std::size_t channels = input.channels, height = input.height, width = input.width;
  static constexpr std::size_t classes = planned::classes;
  static constexpr std::size_t frame_size = channels * height * width;
  // Values of one image: [C, H, W], or [T, C, H, W] where the network takes frames.
  static constexpr std::size_t image_size = frame_size * (input.each_step ? timesteps : 1);

  // What lies between two timesteps: one membrane for each neuron, and the sum of the last layer's outputs so far. A
  // value: copy it to save it, and assign state{} to begin anew.
  struct state {
    std::array<typename number::sum, plan.membranes> membranes{};
    std::array<logit, planned::classes> totals{};
    std::size_t steps = 0;  // taken so far
  };

  explicit inference(const parameters& p) noexcept : parameters_{&p} {}
  inference(const inference&) = delete;
  inference& operator=(const inference&) = delete;

  // Logits of one image over all timesteps: the mean of the last layer's output, as network::evaluate has them.
  // image: [C, H, W], or [T, C, H, W]; finite.
  void logits(std::span<const value, image_size> image, std::span<logit, classes> result) noexcept {
    logits(image.data(), 1, result.data());
  }

  // Of `count` images: images [N, C, H, W], or [T, N, C, H, W]; result [N, classes].
  void logits(const value* images, std::size_t count, logit* result) noexcept {
    logits(images, count, 0, count, result);
  }

  // The same, and shows every layer of neurons to observer(const fired_layer&).
  template <class Observer>
  void logits(const value* images, std::size_t count, logit* result, Observer&& observer) {
    logits(images, count, 0, count, result, observer);
  }

  // Of the images first ... last-1 of `count`; `images` and `result` are those of all.
  template <class Observer = nobody>
  void logits(const value* images, std::size_t count, std::size_t first, std::size_t last, logit* result,
              Observer&& observer = {}) noexcept(std::is_same_v<std::remove_cvref_t<Observer>, nobody>) {
    for (; first < last; first += Images) {
      const std::size_t size = std::min(Images, last - first);
      take_in(images, count, first, size, input.each_step ? timesteps : 1);
      std::size_t neurons = 0;
      for (std::size_t i = 0; i < plan.stage_count; ++i) {
        run_stage(i, size, timesteps, nullptr);
        if constexpr (!std::is_same_v<std::remove_cvref_t<Observer>, nobody>) {
          if (plan.stages[i].kind == detail::planned_stage::kind_type::neurons)
            observer(show(plan.stages[i].target, neurons++, first, size));
        }
      }
      hand_out(first, size, result);
    }
  }

  // One timestep more, for streams. frame: [C, H, W].
  void step(state& s, std::span<const value, frame_size> frame) noexcept {
    take_in(frame.data(), 1, 0, 1, 1);
    for (std::size_t i = 0; i < plan.stage_count; ++i) run_stage(i, 1, 1, s.membranes.data());
    add_output(0, 0, s.totals);
    ++s.steps;
  }

  // The mean over the timesteps so far; there must be at least one. After as many as the network has, and with the same
  // input, they are those of logits().
  static void read_out(const state& s, std::span<logit, classes> result) noexcept {
    for (std::size_t k = 0; k < classes; ++k) result[k] = number::mean(s.totals[k], s.steps, timesteps);
  }

  // Logits of one image, and how many timesteps they took: as soon as the largest is `margin` above all others the rest
  // is left out. image as in logits().
  std::size_t logits_until(logit margin, std::span<const value, image_size> image,
                           std::span<logit, classes> result) noexcept {
    state s;
    while (s.steps < timesteps) {
      const std::size_t at = input.each_step ? s.steps * frame_size : 0;
      step(s, std::span<const value, frame_size>(image.data() + at, frame_size));
      read_out(s, result);
      if (lead(result) >= margin) break;
    }
    return s.steps;
  }

  // The class of the largest logit; the first of equal ones.
  static std::size_t class_of(std::span<const logit, classes> values) noexcept {
    return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
  }

  // By how much the largest logit exceeds the others.
  static logit lead(std::span<const logit, classes> values) noexcept {
    const std::size_t best = class_of(values);
    logit lead{};
    bool first = true;
    for (std::size_t k = 0; k < classes; ++k) {
      if (k == best) continue;
      const logit by = static_cast<logit>(values[best] - values[k]);
      lead = first ? by : std::min(lead, by);
      first = false;
    }
    return lead;
  }

 private:
  using sum = typename number::sum;
  using held_value = typename number::value;

  static constexpr auto layout = detail::lay_out(plan, sizeof(held_value), Images, timesteps);

  // How a stage is computed: by tables, or else by events where possible, or else by rows; see inference/kernels.hpp.
  struct way {
    std::size_t table_bits = 0;  // 0: none
    detail::event_extents events;
  };

  // Of one image, small tables are worth it where there are two sums for each of their rows. Large ones halve the look-ups;
  // by then there must be four, for each thread of parallel_inference may build them for itself.
  static constexpr std::size_t bits_of_tables(const detail::planned_stage& stage, const detail::planned_signal& target) {
    if (Images > 1) return 8;
    if (!detail::has_simd || !stage.changes) return 0;
    const std::size_t sums = target.pixels() * timesteps;
    return sums >= 4 * detail::table_rows<8> ? 8 : sums >= 2 * detail::table_rows<4> ? 4 : 0;
  }

  static constexpr way way_of(const detail::planned_stage& stage) {
    const detail::planned_signal& target = plan.signals[stage.target];
    way w;
    if (stage.kind != detail::planned_stage::kind_type::average) w.table_bits = bits_of_tables(stage, target);
    for (std::size_t i = stage.first_term; i < stage.first_term + stage.terms; ++i) {
      const detail::planned_term& term = plan.terms[i];
      const detail::planned_signal& source = plan.signals[term.source];
      if (!source.spikes) w.table_bits = 0;
      if (term.diagonal) continue;
      w.events.possible = w.events.possible && source.spikes;
      w.events.add(term.kernel_height, term.kernel_width, term.stride, term.dilation, target.width,
                   source.pixel_size());
    }
    w.events.possible = w.events.possible && w.events.list > 0 && target.pixels() > 1;
    return w;
  }
  static constexpr auto ways = [] {
    std::array<way, plan.stages.size()> all{};
    for (std::size_t i = 0; i < plan.stage_count; ++i) all[i] = way_of(plan.stages[i]);
    return all;
  }();

  // Blocks of channels that have tables of their own, or one block of all; and the first channel of a block, or behind the
  // last.
  static constexpr std::size_t channels_of_block(std::size_t stage) {
    const std::size_t row_size = plan.stages[stage].row_size;
    return ways[stage].table_bits == 0 ? row_size : detail::widest_block<sum>(row_size, detail::vectors_of_tables);
  }
  static constexpr std::size_t blocks_of_stage(std::size_t stage) {
    const std::size_t block = channels_of_block(stage);
    return (plan.stages[stage].row_size + block - 1) / block;
  }
  static constexpr std::size_t first_of_block(std::size_t stage, std::size_t block) {
    return std::min(block * channels_of_block(stage), plan.stages[stage].row_size);
  }

  // Tables take the memory that is best for many images at a time: most of their rows are seldom read, so it may be
  // more than a second-level cache. For one image, what is built for it alone must stay near.
  static constexpr std::size_t most_tables = (std::size_t{Images > 1 ? 1280 : 320} << 10) / sizeof(sum);
  static constexpr std::size_t most_sums = (std::size_t{Images > 1 ? 1024 : 0} << 10) / sizeof(sum);

  // The most that a stage takes of each kind of memory.
  struct extents {
    std::size_t list = 1;                           // spikes
    std::size_t event_sums = 0;                     // by events
    std::size_t entries = 0, tables = 0, sums = 0;  // by tables
  };
  static constexpr extents largest = [] {
    extents e;
    for (std::size_t i = 0; i < plan.stage_count; ++i) {
      const detail::planned_stage& stage = plan.stages[i];
      const detail::planned_signal& target = plan.signals[stage.target];
      std::size_t entries = 0;
      for (std::size_t j = stage.first_term; j < stage.first_term + stage.terms; ++j) {
        const detail::planned_term& term = plan.terms[j];
        if (term.diagonal) continue;
        const std::size_t rows = term.kernel_height * term.kernel_width * term.inputs;
        if (plan.signals[term.source].spikes) e.list = std::max(e.list, rows);
        entries += rows / 8;
      }
      if (const std::size_t bits = ways[i].table_bits; bits > 0) {
        const std::size_t block = channels_of_block(i);
        const std::size_t values = entries * (bits == 8 ? detail::table_rows<8> : detail::table_rows<4>) * block;
        e.entries = std::max(e.entries, entries);
        e.tables = std::max(e.tables, std::min(most_tables, values));
        if (values > most_tables) e.sums = std::max({e.sums, most_sums, target.pixels() * timesteps * block});
      }
      const bool always_tables = Images == 1 && ways[i].table_bits > 0;
      if (const detail::event_extents& events = ways[i].events; events.possible && !always_tables) {
        e.list = std::max(e.list, events.list);
        e.event_sums =
            std::max(e.event_sums, (stage.changes ? timesteps : 1) * events.rows * (target.width + 2 * events.margin) *
                                       detail::widest_block<sum>(stage.row_size, detail::vectors_of_rows<sum>));
      }
    }
    return e;
  }();
  struct no_tables {};
  struct tables_type {
    alignas(64) std::array<sum, largest.tables> tables;
    alignas(64) std::array<sum, largest.sums> sums;
    std::array<std::uint32_t, largest.entries> taps;
  };
  using tables = std::conditional_t<(largest.entries > 0), tables_type, no_tables>;

  std::byte* at(std::size_t signal) noexcept { return memory_.data() + layout.offset[signal]; }

  static constexpr std::size_t element_size(const detail::planned_signal& s) {
    return s.spikes ? 1 : sizeof(held_value);
  }
  static constexpr std::size_t pixel_bytes(const detail::planned_signal& s) { return s.pixel_size() * element_size(s); }
  static constexpr std::size_t row_bytes(const detail::planned_signal& s) {
    return (s.width + 2 * s.border) * pixel_bytes(s);
  }

  // Zeros around the map, for it may lie where something else lay before.
  void clear(std::size_t signal, std::size_t images, std::size_t steps) noexcept {
    const detail::planned_signal& s = plan.signals[signal];
    if (s.border == 0) return;
    const std::size_t item = s.padded_pixels() * pixel_bytes(s);
    for (std::size_t n = 0; n < images; ++n) std::memset(at(signal) + n * layout.image[signal], 0, steps * item);
  }

  void take_in(const value* images, std::size_t count, std::size_t first, std::size_t size,
               std::size_t steps) noexcept {
    clear(0, size, steps);
    // Copies, which nothing that is written can be: the compiler then makes vectors of the loop.
    const auto take = parameters_->constants.taker();
    std::array<value, std::min<std::size_t>(width, 64)> some;
    for (std::size_t n = 0; n < size; ++n) {
      for (std::size_t t = 0; t < steps; ++t) {
        const value* const from = images + (t * count + first + n) * frame_size;
        std::byte* const to =
            at(0) + n * layout.image[0] + t * layout.step[0] + input.border * (row_bytes(input) + pixel_bytes(input));
        for (std::size_t row = 0; row < height; ++row) {
          for (std::size_t column = 0; column < width; column += some.size()) {
            const std::size_t pixels = std::min(some.size(), width - column);
            auto* const pixel =
                reinterpret_cast<held_value*>(to + row * row_bytes(input) + column * pixel_bytes(input));
            for (std::size_t c = 0; c < channels; ++c) {
              std::memcpy(some.data(), from + (c * height + row) * width + column, pixels * sizeof(value));
              for (std::size_t i = 0; i < pixels; ++i) pixel[i * channels + c] = take(c, some[i]);
            }
          }
        }
      }
    }
  }

  // result [N, classes]: of all images; those in the workspace are `size` from `first` on.
  void hand_out(std::size_t first, std::size_t size, logit* result) noexcept {
    const std::size_t steps = plan.signals[plan.output].each_step ? timesteps : 1;
    for (std::size_t n = 0; n < size; ++n) {
      std::array<logit, classes> totals{};
      for (std::size_t t = 0; t < steps; ++t) add_output(n, t, totals);
      for (std::size_t k = 0; k < classes; ++k)
        result[(first + n) * classes + k] = number::mean(totals[k], steps, timesteps);
    }
  }

  detail::term_view<Number> view_of(const detail::planned_term& term, bool average) noexcept {
    const detail::planned_signal& s = plan.signals[term.source];
    const std::size_t pixel = pixel_bytes(s), row = row_bytes(s);
    detail::term_view<Number> v;
    v.spikes = s.spikes;
    v.diagonal = term.diagonal;
    v.source = at(term.source) + (s.border - term.padding) * (row + pixel);
    v.step = layout.step[term.source];
    v.image = layout.image[term.source];
    v.row = term.stride * row;
    v.column = term.stride * pixel;
    v.stride = term.stride;
    v.runs_down = term.kernel_height;
    v.down = term.dilation * row;
    if (term.dilation == 1 && !average) {
      v.run = term.kernel_width * s.pixel_size();
    } else {
      v.runs_across = term.kernel_width;
      v.across = term.dilation * pixel;
      v.run = s.pixel_size();
    }
    v.taps = term.kernel_width;
    v.along = term.dilation * pixel;
    v.pixel = s.pixel_size();
    if (term.diagonal)
      v.units = parameters_->units.data() + term.first_weight;
    else
      v.weights = parameters_->weights.data() + term.first_weight;
    return v;
  }

  // A stage at work, of this object's signals. Its target has zeros around it. membranes: those of all stages, or null
  detail::stage_view<Number> view_of_stage(std::size_t i, std::size_t images, std::size_t steps,
                                           sum* membranes) noexcept {
    using kind = detail::planned_stage::kind_type;
    const detail::planned_stage& stage = plan.stages[i];
    const detail::planned_signal& target = plan.signals[stage.target];
    detail::stage_view<Number> v;
    for (; v.count < stage.terms; ++v.count)
      v.terms[v.count] = view_of(plan.terms[stage.first_term + v.count], stage.kind == kind::average);
    v.channels = target.channels;
    v.row_size = v.last_channel = stage.row_size;
    v.height = target.height, v.width = target.width;
    v.neurons = stage.kind == kind::neurons;
    v.changes = stage.changes;
    v.images = images;
    v.steps = target.each_step ? steps : 1;
    v.biases = parameters_->biases.data() + stage.first_bias;
    v.constants = parameters_->constants.of_stage(i);
    if (membranes && v.neurons) v.membranes = membranes + stage.first_membrane;
    v.target = at(stage.target) + target.border * (row_bytes(target) + pixel_bytes(target));
    v.target_step = layout.step[stage.target];
    v.target_image = layout.image[stage.target];
    v.target_row = row_bytes(target);
    v.target_pixel = pixel_bytes(target);
    clear(stage.target, images, v.steps);
    return v;
  }

  // v: stage i, of this object or of one like it, or rows of it
  void compute(std::size_t i, const detail::stage_view<Number>& v) noexcept {
    const detail::planned_stage& stage = plan.stages[i];
    if (stage.kind == detail::planned_stage::kind_type::average) {
      detail::run_average(v);
    } else if (has_soft_reset && stage.soft_reset) {
      if constexpr (has_soft_reset) run_sum<soft_reset>(v, ways[i]);
    } else {
      run_sum<hard_reset>(v, ways[i]);
    }
  }

  void run_stage(std::size_t i, std::size_t images, std::size_t steps, sum* membranes) noexcept {
    compute(i, view_of_stage(i, images, steps, membranes));
  }

  static constexpr bool has_soft_reset = [] {
    for (std::size_t i = 0; i < plan.stage_count; ++i) {
      if (plan.stages[i].soft_reset) return true;
    }
    return false;
  }();

  template <class Reset>
  void run_sum(const detail::stage_view<Number>& v, const way& by) noexcept {
    if constexpr (largest.entries > 0) {
      // One step of one image is too little for the tables of many.
      if (by.table_bits > 0 && (Images == 1 || !v.membranes)) {
        const detail::look_up_memory<sum> memory{tables_.tables, tables_.sums, tables_.taps.data()};
        if (by.table_bits == 8) {
          detail::run_stage_by_tables<Number, Reset, 8>(v, memory);
        } else if constexpr (Images == 1) {
          detail::run_stage_by_tables<Number, Reset, 4>(v, memory);
        }
        return;
      }
    }
    if constexpr (detail::has_simd) {
      if (by.events.possible) {
        detail::run_stage_by_events<Number, Reset>(v, by.events, list_.data(), event_sums_.data());
        return;
      }
    }
    detail::run_stage_by_rows<Number, Reset>(v, list_.data());
  }

  void add_output(std::size_t image, std::size_t t, std::array<logit, classes>& totals) noexcept {
    const detail::planned_signal& s = plan.signals[plan.output];
    const std::byte* const from = at(plan.output) + image * layout.image[plan.output] + t * layout.step[plan.output];
    for (std::size_t k = 0; k < classes; ++k) {
      if (s.spikes)
        totals[k] += static_cast<logit>(std::to_integer<unsigned>(from[k / 8]) >> (k % 8) & 1);
      else
        totals[k] += static_cast<logit>(reinterpret_cast<const held_value*>(from)[k]);
    }
  }

  fired_layer show(std::size_t signal, std::size_t index, std::size_t first, std::size_t images) noexcept {
    const detail::planned_signal& s = plan.signals[signal];
    return {index,
            s.channels,
            s.height,
            s.width,
            first,
            images,
            timesteps,
            at(signal) + s.border * (row_bytes(s) + pixel_bytes(s)),
            layout.image[signal],
            layout.step[signal],
            row_bytes(s),
            pixel_bytes(s)};
  }

  const parameters* parameters_;
  alignas(64) std::array<std::byte, layout.size> memory_;
  std::array<std::uint32_t, largest.list + 8> list_;
  alignas(detail::simd_bytes) std::array<sum, largest.event_sums> event_sums_;
  [[no_unique_address]] tables tables_;
};

}  // namespace spikenet
