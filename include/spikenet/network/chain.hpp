// Layers one after another: binds the input of each to the output of the one before, groups them into stages, keeps
// what lies between two stages for the backward pass, and walks back.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>

#include "spikenet/layer/layer.hpp"
#include "spikenet/network/check.hpp"
#include "spikenet/network/stage.hpp"

namespace spikenet::detail {

// In: the signal it receives; Index: that of its first layer.
template <class Backend, std::size_t T, std::size_t Index, class In, class... Layers>
class chain;

// What a chain begins with.
enum class beginning {
  broken,  // a layer that cannot stand here: that has been reported, nothing that follows shall be reported again
  single,
  fused  // two layers that the backend runs in one pass
};

template <class Backend, class First, class... Rest>
inline constexpr bool begins_fused = false;
template <class Backend, class First, class Second, class... Rest>
inline constexpr bool begins_fused<Backend, First, Second, Rest...> =
    Backend::fuses_stages&& fusible<layer_of<First>, layer_of<Second>>;

// The first stage of a chain, and the chain that remains behind it.
template <beginning Kind, class Backend, std::size_t T, std::size_t Index, class In, class... Layers>
struct first_stage {
  struct stage {
    using output = In;
    static constexpr bool takes_affine_gradient = false, makes_affine_gradient = false;
    static constexpr bool takes_moments = false, makes_moments = false, works_in_place = false;
    static constexpr bool takes_copy = false, makes_copy = false;
    static constexpr bool adds_input_gradient = false;
  };
  using rest = chain<Backend, T, Index, In>;
};
template <class Backend, std::size_t T, std::size_t Index, class In, class First, class... Rest>
struct first_stage<beginning::single, Backend, T, Index, In, First, Rest...> {
  using stage = single_stage<Backend, T, Index, In, First>;
  using rest = chain<Backend, T, Index + 1, typename stage::output, Rest...>;
};
template <class Backend, std::size_t T, std::size_t Index, class In, class First, class Second, class... Rest>
struct first_stage<beginning::fused, Backend, T, Index, In, First, Second, Rest...> {
  using stage = tdbn_lif_stage<Backend, T, Index, In, First, Second>;
  using rest = chain<Backend, T, Index + 2, typename stage::output, Rest...>;
};

template <class Backend, std::size_t T, std::size_t Index, class In>
class chain<Backend, T, Index, In> {
 public:
  using output = In;
  using last_stage = void;
  static constexpr std::size_t length = 0;
  static constexpr std::size_t largest_between = 0, slots_after = 0;
  static constexpr bool makes_affine_gradient = false, takes_moments = false, takes_copy = false;
};

template <class Backend, std::size_t T, std::size_t Index, class In, class... Layers>
class chain {
  template <class First, class... Rest>
  static consteval beginning begin() {
    if (!check_layer<Index, First, In>()) return beginning::broken;
    return begins_fused<Backend, First, Rest...> ? beginning::fused : beginning::single;
  }
  static constexpr bool is_broken = begin<Layers...>() == beginning::broken;
  using link = first_stage<begin<Layers...>(), Backend, T, Index, In, Layers...>;
  using stage = typename link::stage;
  using rest = typename link::rest;
  using between = typename stage::output;
  using between_value = held<Backend, between>;

 public:
  using scalar = typename Backend::scalar;
  using real = real_of<Backend>;
  using output = typename rest::output;
  using in_value = held<Backend, In>;
  using out_value = held<Backend, output>;
  static constexpr std::size_t length = 1 + rest::length;
  using last_stage = std::conditional_t<rest::length == 0, stage, typename rest::last_stage>;
  // The largest signal between two stages, in values of one image over all its timesteps.
  static constexpr std::size_t largest_between =
      rest::length == 0 ? 0 : std::max(between::steps * between::size, rest::largest_between);

  // How many slots the gradients between stages take: two, in turns, unless all stages but one leave theirs by their
  // input where that by their output was. slots_after: with that by the first stage's input.
  static constexpr std::size_t slots = rest::slots_after;
  static constexpr std::size_t slots_after =
      rest::length == 0 ? 1 : std::min<std::size_t>(2, slots + (stage::works_in_place ? 0 : 1));

  // Gradients in parts (see affine_gradient): whether the last stage takes that by its output so, and the first can leave
  // that by its input so.
  static constexpr bool takes_affine_gradient = last_stage::takes_affine_gradient;
  static constexpr bool makes_affine_gradient = stage::makes_affine_gradient;
  // Whether the first stage can add to the gradient by its input that is there.
  static constexpr bool adds_input_gradient =
      stage::adds_input_gradient || (stage::takes_affine_gradient && rest::makes_affine_gradient);

  // Moments: whether the last stage tells those of its output, and the first takes those of its input.
  static constexpr bool makes_moments = last_stage::makes_moments;
  static constexpr bool takes_moments = stage::takes_moments;
  batch_moments input_moments() requires takes_moments { return first_.norm.input_moments(); }
  // Spikes as bits, too: whether the last stage can leave its output so, and the first makes use of its input so.
  static constexpr bool makes_copy = last_stage::makes_copy;
  static constexpr bool takes_copy = stage::takes_copy;
  spike_bits* input_copy(std::size_t batch) requires takes_copy { return first_.input_copy(batch); }

  // also: what to leave besides y. known: the moments of x are where input_moments() says.
  void forward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, out_value> y,
               const by_products& also = {}, bool known = false) {
    if constexpr (is_broken) {
    } else if constexpr (rest::length == 0) {
      forward_first(c, x, y, also, known);
    } else {
      constexpr bool tell = stage::makes_moments && rest::takes_moments;
      tensor<between, between_value> kept;
      by_products of_kept;
      named_device_errors<Backend>(&stage::name, [&] {
        kept = keep<between>(kept_, x.batch);
        if constexpr (stage::makes_copy && rest::takes_copy) of_kept.spikes = rest_.input_copy(x.batch);
      });
      if constexpr (tell) {
        if (c.training) of_kept.moments = rest_.input_moments();
      }
      forward_first(c, x, kept, of_kept, known);
      rest_.forward(c, kept, y, also, tell);
    }
  }

  // gy, whole or in parts, may be written over unless its values are const; gx may be null. add: to the gx that is there,
  // see adds_input_gradient.
  template <class Gradient>
  void backward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value> y,
                const Gradient& gy, tensor<In, real> gx, bool add = false) {
    if constexpr (!is_broken) {
      std::array<real*, 2> memory{};
      for (std::size_t i = 0; i < slots; ++i) memory[i] = c.scratch.take(largest_between * x.batch);
      first_backward(c, x, y, back_to_first(c, x.batch, y, gy, memory), gx, add);
      c.scratch.give_back(slots);
    }
  }

  // The gradient by x, whole or in parts, in one of the two slots or where that by the first stage's output was.
  template <class Gradient>
  tensor<In, real> walk_back(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value> y,
                             const Gradient& gy, const std::array<real*, 2>& memory) {
    if constexpr (is_broken) {
      return {};
    } else {
      const auto gradient = back_to_first(c, x.batch, y, gy, memory);
      const tensor<In, real> gx{place(gradient, memory), x.batch};
      first_backward(c, x, y, gradient, gx, false);
      return gx;
    }
  }
  template <class Gradient>
  affine_gradient<In, real, scalar> walk_back_affine(context<Backend>& c, tensor<In, const in_value> x,
                                                     tensor<output, const out_value> y, const Gradient& gy,
                                                     const std::array<real*, 2>& memory) {
    const auto gradient = back_to_first(c, x.batch, y, gy, memory);
    return first_.backward_affine(c, x, gradient, place(gradient, memory));
  }

  template <class F>
  void visit(const layer_path* around, F& f) {
    if constexpr (!is_broken) {
      first_.visit(around, f);
      if constexpr (rest::length > 0) rest_.visit(around, f);
    }
  }

  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> x,
               tensor<output, const out_value> y, F& f) {
    if constexpr (is_broken) {
    } else if constexpr (rest::length == 0) {
      first_.observe(c, prefix, x, y, f);
    } else {
      const tensor<between, const between_value> kept{kept_.data(), x.batch};
      first_.observe(c, prefix, x, kept, f);
      rest_.observe(c, prefix, kept, y, f);
    }
  }

 private:
  void forward_first(context<Backend>& c, tensor<In, const in_value> x, tensor<between, between_value> y,
                     const by_products& also, [[maybe_unused]] bool known) {
    if constexpr (stage::takes_moments) {
      first_.forward(c, x, y, also, known);
    } else {
      first_.forward(c, x, y, also);
    }
  }

  auto first_output(std::size_t batch, tensor<output, const out_value> y) const {
    if constexpr (rest::length == 0) {
      return y;
    } else {
      return tensor<between, const between_value>{kept_.data(), batch};
    }
  }

  // The gradient by the first stage's output.
  template <class Gradient>
  auto back_to_first(context<Backend>& c, std::size_t batch, tensor<output, const out_value> y, const Gradient& gy,
                     const std::array<real*, 2>& memory) {
    if constexpr (rest::length == 0) {
      return gy;
    } else if constexpr (stage::takes_affine_gradient && rest::makes_affine_gradient) {
      return rest_.walk_back_affine(c, first_output(batch, y), y, gy, memory);
    } else {
      return rest_.walk_back(c, first_output(batch, y), y, gy, memory);
    }
  }

  template <class Gradient>
  void first_backward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value> y,
                      const Gradient& gradient, tensor<In, real> gx, [[maybe_unused]] bool add) {
    if constexpr (std::same_as<Gradient, affine_gradient<between, real, scalar>>) {
      first_.backward(c, x, gradient, gx, add);
    } else if constexpr (stage::adds_input_gradient) {
      first_.backward(c, x, first_output(x.batch, y), gradient, gx, add);
    } else {
      first_.backward(c, x, first_output(x.batch, y), gradient, gx);
    }
  }

  // Where the gradient by the first stage's input goes, from that by its output.
  static real* place(const tensor<between, real>& gradient, const std::array<real*, 2>& memory) {
    return stage::works_in_place ? gradient.data : other(gradient.data, memory);
  }
  static real* place(const tensor<between, const real>& gradient, const std::array<real*, 2>& memory) {
    return other(gradient.data, memory);
  }
  static real* place(const affine_gradient<between, real, scalar>& gradient, const std::array<real*, 2>& memory) {
    return other(gradient.g.data, memory);
  }
  static real* other(const real* taken, const std::array<real*, 2>& memory) {
    return memory[taken == memory[0] ? 1 : 0];
  }

  stage first_;
  rest rest_;
  typename Backend::template storage<between_value> kept_;
};

}  // namespace spikenet::detail
