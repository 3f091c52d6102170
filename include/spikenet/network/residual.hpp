// Residual blocks (He et al. 2015; for spiking networks Zheng et al., arXiv 2011.05280):
//
//     y = Join( Main(x) + Shortcut(x) )
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "spikenet/core/compiler.hpp"
#include "spikenet/layer/conv2d.hpp"
#include "spikenet/layer/lif.hpp"
#include "spikenet/layer/tdbn.hpp"
#include "spikenet/network/architecture.hpp"
#include "spikenet/network/chain.hpp"
#include "spikenet/network/sequence.hpp"

namespace spikenet {

struct identity : layer {};

// A compile-time error, like those of check.hpp.
template <class MainShape, class ShortcutShape>
struct residual_branches_differ {
  static_assert(std::is_same_v<MainShape, ShortcutShape>,
                "spikenet: the two branches of a residual block produce different shapes (see "
                "residual_branches_differ<main, shortcut>); a projection shortcut makes them equal");
  static constexpr bool checked = true;
};

namespace detail {

template <class Backend, std::size_t T, class In, class Shortcut>
struct shortcut_of {
  using type = single_stage<Backend, T, 0, In, named_or<Shortcut, "shortcut">>;
  using output = typename type::output;
};
template <class Backend, std::size_t T, class In>
struct shortcut_of<Backend, T, In, identity> {
  struct type {};
  using output = In;
};

// A sequence of at least two layers, taken apart: the chain of all but its last layer, and the last.
template <class Head, class... Layers>
struct split_last;
template <class... Head, class Last>
struct split_last<sequence<Head...>, Last> {
  template <class Backend, std::size_t T, class In>
  using head = chain<Backend, T, 0, In, Head...>;
  using last = Last;
  static constexpr std::size_t last_index = sizeof...(Head);
};
template <class... Head, class Next, class After, class... Rest>
struct split_last<sequence<Head...>, Next, After, Rest...> : split_last<sequence<Head..., Next>, After, Rest...> {};

template <class Main>
struct split;
template <class First, class Second, class... Rest>
struct split<sequence<First, Second, Rest...>> : split_last<sequence<First>, Second, Rest...> {};

// What both ways of running a residual block share: the shortcut and its gradient.
template <class Backend, std::size_t T, class In, class Shortcut>
class residual_shortcut {
 public:
  using real = real_of<Backend>;
  using output = typename shortcut_of<Backend, T, In, Shortcut>::output;
  using in_value = held<Backend, In>;
  using out_value = held<Backend, output>;
  static constexpr bool is_identity = std::same_as<Shortcut, identity>;
  static constexpr bool adds_input_gradient = [] {
    using type = typename shortcut_of<Backend, T, In, Shortcut>::type;
    if constexpr (is_identity) {
      return false;
    } else {
      return type::adds_input_gradient;
    }
  }();

  tensor<output, const out_value> forward(context<Backend>& c, tensor<In, const in_value> x) {
    if constexpr (is_identity) {
      return x;
    } else {
      const auto y = keep<output>(kept_, x.batch);
      stage_.forward(c, x, y);
      return y;
    }
  }
  tensor<output, const out_value> result(tensor<In, const in_value> x) const {
    if constexpr (is_identity) {
      return x;
    } else {
      return {kept_.data(), x.batch};
    }
  }

  // gx += the gradient through the shortcut; gsum [Steps, ...] is the gradient at the sum.
  template <std::size_t Steps>
  void backward(context<Backend>& c, tensor<In, const in_value> x, const real* gsum, tensor<In, real> gx) {
    const real* gy = gsum;
    std::size_t taken = 0;
    if constexpr (output::steps != Steps) {  // one value was added at every timestep: its gradient is their sum
      const std::size_t step = x.batch * output::size;
      real* total = c.scratch.take(step);
      ++taken;
      sum_over_steps(c.backend, Steps, step, gsum, total);
      gy = total;
    }
    if constexpr (adds_input_gradient) {
      stage_.backward(c, x, result(x), tensor<output, const real>{gy, x.batch}, gx, true);
    } else {
      if constexpr (!is_identity) {
        real* through = gx ? c.scratch.take(gx.size()) : nullptr;
        if (gx) ++taken;
        stage_.backward(c, x, result(x), {gy, x.batch}, {through, x.batch});
        gy = through;
      }
      if (gx) {
        const profile_scope timed(c.times, pass::backward, "sum");
        add_to(c.backend, gx.size(), gy, gx.data);
      }
    }
    c.scratch.give_back(taken);
  }

  template <class F>
  void visit(const layer_path* around, F& f) {
    if constexpr (!is_identity) stage_.visit(around, f);
  }
  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> x, F& f) {
    if constexpr (!is_identity) stage_.observe(c, prefix, x, result(x), f);
  }

 private:
  typename shortcut_of<Backend, T, In, Shortcut>::type stage_;
  typename Backend::template storage<out_value> kept_;
};

// Layer by layer: main, shortcut, sum, join.
template <class Backend, std::size_t T, class In, class Main, class Shortcut, class Join>
class plain_residual {
 public:
  using real = real_of<Backend>;
  using main_stage = single_stage<Backend, T, 0, In, Main>;
  using sum = signal<typename main_stage::output::shape, main_stage::output::steps>;
  using join_stage = single_stage<Backend, T, 1, sum, named_or<Join, "join">>;
  using output = typename join_stage::output;
  using shortcut_type = residual_shortcut<Backend, T, In, Shortcut>;
  using branch = typename shortcut_type::output;
  using main_output = typename main_stage::output;
  using main_value = held<Backend, main_output>;
  using in_value = held<Backend, In>;
  using out_value = held<Backend, output>;

  using branches = residual_branches_differ<typename sum::shape, typename branch::shape>;
  static_assert(branch::steps == sum::steps || branch::steps == 1,
                "spikenet: a residual block whose shortcut spikes needs neurons in its main branch too");

  void forward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, out_value> y) {
    const auto from_main = keep<main_output>(main_kept_, x.batch);
    const auto total = keep<sum>(sum_kept_, x.batch);
    main_.run(c, x, from_main);
    add(c, from_main, shortcut_.forward(c, x), total);
    join_.forward(c, total, y);
  }

  void backward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value> y,
                tensor<output, const real> gy, tensor<In, real> gx) {
    const tensor<sum, const real> total{sum_kept_.data(), x.batch};
    const tensor<sum, real> gsum{c.scratch.take(total.size()), x.batch};
    join_.backward(c, total, y, gy, gsum);
    main_.run_back(c, x, {main_kept_.data(), x.batch}, {gsum.data, x.batch}, gx);
    shortcut_.template backward<sum::steps>(c, x, gsum.data, gx);
    c.scratch.give_back(1);
  }

  template <class F>
  void visit(const layer_path* around, F& f) {
    main_.module.visit(around, f);
    join_.visit(around, f);
    shortcut_.visit(around, f);
  }
  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> x,
               tensor<output, const out_value> y, F& f) {
    main_.module.observe(c, prefix, x, {main_kept_.data(), x.batch}, f);
    shortcut_.observe(c, prefix, x, f);
    join_.observe(c, prefix, {sum_kept_.data(), x.batch}, y, f);
  }

  static void add(context<Backend>& c, tensor<main_output, const main_value> from_main,
                  tensor<branch, const held<Backend, branch>> from_shortcut, tensor<sum, real> total) {
    const profile_scope timed(c.times, pass::forward, "sum");
    const real_view<Backend, main_output> main(c, from_main);
    const real_view<Backend, branch> shortcut(c, from_shortcut);
    detail::add(c.backend, total.size(), (*main).data, (*shortcut).data, from_shortcut.size(), total.data);
  }

 private:
  main_stage main_;
  join_stage join_;
  shortcut_type shortcut_;
  typename Backend::template storage<main_value> main_kept_;
  typename Backend::template storage<real> sum_kept_;
};

// A main branch that ends in a tdBN, joined by a LIF: normalisation, sum and neurons in one pass.
template <class Backend, std::size_t T, class In, class Main, class Shortcut, class Join>
class fused_residual {
 public:
  using real = real_of<Backend>;
  using head_type = typename split<Main>::template head<Backend, T, In>;
  using norm_input = typename head_type::output;
  using stage = tdbn_lif_stage<Backend, T, split<Main>::last_index, norm_input, typename split<Main>::last,
                               named_or<Join, "join">>;
  using output = typename stage::output;
  using shortcut_type = residual_shortcut<Backend, T, In, Shortcut>;

  using branches = residual_branches_differ<typename norm_input::shape, typename shortcut_type::output::shape>;
  using norm_value = held<Backend, norm_input>;
  using in_value = held<Backend, In>;
  using out_value = held<Backend, output>;

  // The spikes that an identity adds are read as bits where the stage before this block leaves them so: where input_copy says,
  // and then in every pass.
  static constexpr bool makes_copy = stage::makes_copy;
  static constexpr bool takes_copy = shortcut_type::is_identity && makes_copy && In::holds == content::spikes;
  spike_bits* input_copy(std::size_t batch) requires takes_copy { return keep<In>(copy_, batch).data; }

  void forward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, out_value> y,
               const by_products& also = {}) {
    const auto kept = keep<norm_input>(kept_, x.batch);
    constexpr bool tell = head_type::makes_moments;
    head_.forward(c, x, kept, {tell && c.training ? stage_.norm.input_moments() : batch_moments{}});
    stage_.forward_with_residual(c, kept, y, residual(shortcut_.forward(c, x)), also, tell);
  }

  // The gradient at the sum is that by x through an identity as well; where the head adds its own to it, it lies in gx
  // from the start, which may be where gy is.
  static constexpr bool works_in_place = shortcut_type::is_identity && head_type::adds_input_gradient;

  template <class Value>
  void backward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value>,
                tensor<output, Value> gy, tensor<In, real> gx) {
    const tensor<norm_input, const norm_value> kept{kept_.data(), x.batch};
    const bool in_gx = works_in_place && gx;
    const bool take = std::is_const_v<Value> && !in_gx;
    real* gsum = nullptr;
    if constexpr (!std::is_const_v<Value>) gsum = gy.data;
    if (in_gx) gsum = gx.data;
    if (take) gsum = c.scratch.take(kept.size());
    const auto from_shortcut = residual(shortcut_.result(x));
    if constexpr (head_type::takes_affine_gradient && stage::makes_affine_gradient) {
      head_.backward(c, x, kept, stage_.backward_affine(c, kept, gy, gsum, from_shortcut), gx, in_gx);
    } else {
      const tensor<norm_input, real> gkept{c.scratch.take(kept.size()), x.batch};
      stage_.backward_with_residual(c, kept, gy, from_shortcut, gsum, gkept);
      head_.backward(c, x, kept, gkept, gx, in_gx);
      c.scratch.give_back(1);
    }
    if (!in_gx) shortcut_.template backward<norm_input::steps>(c, x, gsum, gx);
    if (take) c.scratch.give_back(1);
  }

  template <class F>
  void visit(const layer_path* around, F& f) {
    head_.visit(around, f);
    stage_.visit(around, f);
    shortcut_.visit(around, f);
  }
  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> x,
               tensor<output, const out_value> y, F& f) {
    const tensor<norm_input, const norm_value> kept{kept_.data(), x.batch};
    const real_view<Backend, typename shortcut_type::output> from_shortcut(c, shortcut_.result(x));
    head_.observe(c, prefix, x, kept, f);
    stage_.observe(
        c, prefix, kept, y, f, [&] { shortcut_.observe(c, prefix, x, f); }, (*from_shortcut).data);
  }

 private:
  template <class Value>
  auto residual(tensor<typename shortcut_type::output, const Value> from_shortcut) const {
    using type = typename stage::template residual_of<Value>;
    if constexpr (takes_copy) {
      return type(from_shortcut.data, copy_.data());
    } else {
      return type(from_shortcut.data);
    }
  }

  head_type head_;
  stage stage_;
  shortcut_type shortcut_;
  typename Backend::template storage<norm_value> kept_;
  typename Backend::template storage<spike_bits> copy_;
};

// Whether the fused way applies: main, shortcut and neurons must have the same shape and number of timesteps.
template <class Backend, std::size_t T, class In, class Main, class Shortcut, class Join>
consteval bool residual_is_fusible() {
  if constexpr (!Backend::fuses_stages) {
    return false;
  } else if constexpr (requires { typename split<Main>::last; }) {
    using head = typename split<Main>::template head<Backend, T, In>::output;
    using branch = typename shortcut_of<Backend, T, In, Shortcut>::output;
    return fusible<layer_of<typename split<Main>::last>, layer_of<Join>> && head::steps == T && branch::steps == T &&
           std::same_as<typename head::shape, typename branch::shape>;
  } else {
    return false;
  }
}

}  // namespace detail

// Main: sequence<Layers...>; Shortcut: identity or a layer (a sequence, too); Join: what follows the sum. The layers of
// Main have their own names or indices; Shortcut and Join are called "shortcut" and "join" unless they are named.
template <class Main, class Shortcut, class Join>
struct residual : layer {
  template <class Backend, std::size_t T, class In>
  struct module
      : detail::composite,
        std::conditional_t<detail::residual_is_fusible<Backend, T, In, Main, Shortcut, Join>(),
                           std::type_identity<detail::fused_residual<Backend, T, In, Main, Shortcut, Join>>,
                           std::type_identity<detail::plain_residual<Backend, T, In, Main, Shortcut, Join>>>::type {
    // here and not in plain_residual, so that the message is a step nearer to the network
    static_assert(module::branches::checked);
  };
};

// The block of ResNet-18/34 with spiking neurons, two branches summed before the last neurons:
//
//     y = LIF( tdBN[1/sqrt 2]( conv3x3( LIF( tdBN( conv3x3(x, stride) ) ) ) ) + shortcut(x) )
//
// shortcut(x): x itself, or tdBN[1/sqrt 2](conv1x1(x, stride)) where channels or stride change.
// Options: stride<1>, raw_shortcut (default) or normalised_shortcut, and those of lif.
template <std::size_t Channels, class... Options>
struct basic_block : layer {
  static_assert(Channels > 0, "spikenet: basic_block needs at least 1 channel");

  template <class In>
  using problem =
      std::conditional_t<map_shape<typename In::shape>, no_problem, conv2d_needs_a_map_of_channels_height_width>;

  template <class Backend, std::size_t T, class In>
  struct module : detail::layers_of_block<In::channels, Channels, Options...>::type::template module<Backend, T, In> {};
};

}  // namespace spikenet
