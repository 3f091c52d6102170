// Stages: the units a chain of layers runs in. A stage is one layer, or adjacent layers that the backend can run in one
// pass. The chain groups at compile time; a backend that fuses nothing gets every layer by itself.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>

#include "spikenet/backend/memory.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/core/error.hpp"
#include "spikenet/layer/layer.hpp"
#include "spikenet/layer/lif.hpp"
#include "spikenet/layer/tdbn.hpp"
#include "spikenet/network/name.hpp"
#include "spikenet/network/observation.hpp"
#include "spikenet/network/profile.hpp"
#include "spikenet/network/real_view.hpp"
#include "spikenet/network/sums.hpp"

namespace spikenet::detail {

// Modules that consist of other layers derive from this and have visit and observe of their own.
struct composite {};

// What a stage leaves besides its output, for the one that follows; null where that does not want it.
struct by_products {
  batch_moments moments;         // of the output
  spike_bits* spikes = nullptr;  // the output, where that is held as real numbers, in bits; see copies_spikes
};

// Runs f; an error on its way out learns the name of the layer it comes from. The handlers are compiled once, not for
// every f.
[[gnu::noinline]] inline void named_errors(std::string (*name)(), void (*run)(void*), void* f) {
  try {
    run(f);
  } catch (const argument_error& e) {
    throw e.within(name());
  } catch (const numeric_error& e) {
    throw e.within(name());
  } catch (const device_error& e) {
    throw e.within(name());
  }
}
template <class F>
void named_errors(std::string (*name)(), F&& f) {
  named_errors(
      name, [](void* object) { (*static_cast<std::remove_reference_t<F>*>(object))(); }, std::addressof(f));
}
// The same where only a device can fail.
template <class Backend, class F>
void named_device_errors(std::string (*name)(), F&& f) {
  if constexpr (host_visible<Backend>) {
    f();
  } else {
    named_errors(name, f);
  }
}

// One layer. Packed spikes are unpacked for a layer that does not take them, and packed for one that does not make
// them.
template <class Backend, std::size_t T, std::size_t Index, class In, class L>
struct single_stage {
  using scalar = typename Backend::scalar;
  using real = real_of<Backend>;
  using module_type = typename layer_of<L>::template module<Backend, T, In>;
  using output = typename module_type::output;
  static constexpr bool is_composite = std::derived_from<module_type, composite>;
  static constexpr bool makes_affine_gradient = false, takes_moments = false;
  static constexpr bool makes_copy = is_composite && requires { requires module_type::makes_copy; };
  static constexpr bool takes_copy = is_composite && requires { requires module_type::takes_copy; };
  static constexpr bool makes_moments = !is_composite && requires { requires module_type::makes_moments; };
  static constexpr bool takes_affine_gradient =
      !is_composite && requires { requires module_type::takes_affine_gradient; };
  // Whether it can be added to what is there.
  static constexpr bool adds_input_gradient = requires { requires module_type::adds_input_gradient; };
  // Whether the gradient by the input may be left where that by the output was.
  static constexpr bool works_in_place = is_composite && requires { requires module_type::works_in_place; };

  module_type module;

  static std::string name() { return naming<L>::name(Index); }

  void forward(context<Backend>& c, tensor<In, const held<Backend, In>> x, tensor<output, held<Backend, output>> y,
               const by_products& also = {}) {
    const profile_scope timed(c.times, pass::forward, name);
    named_errors(&name, [&] { run(c, x, y, also); });
  }
  // The same without the layer's name, in errors and profiles.
  void run(context<Backend>& c, tensor<In, const held<Backend, In>> x, tensor<output, held<Backend, output>> y,
           [[maybe_unused]] const by_products& also = {}) {
    const input_view in(c, x);
    if constexpr (makes_moments) {
      module.forward(c, *in, y, also.moments);
    } else if constexpr (makes_copy) {
      module.forward(c, *in, y, also);
    } else if constexpr (is_held<output> || makes_packed<module_type>) {
      module.forward(c, *in, y);
    } else {
      const tensor<output, real> unpacked{c.scratch.take(y.size()), y.batch};
      module.forward(c, *in, unpacked);
      c.backend.template pack<output::channels>(y.rows(), unpacked.data, y.data);
      c.scratch.give_back(1);
    }
  }
  // Value: real, if gy may be written over, or const real.
  template <class Value = const real>
  void backward(context<Backend>& c, tensor<In, const held<Backend, In>> x,
                tensor<output, const held<Backend, output>> y, tensor<output, Value> gy, tensor<In, real> gx,
                bool add = false) {
    const profile_scope timed(c.times, pass::backward, name);
    named_device_errors<Backend>(&name, [&] { run_back(c, x, y, gy, gx, add); });
  }
  template <class Value = const real>
  void run_back(context<Backend>& c, tensor<In, const held<Backend, In>> x,
                tensor<output, const held<Backend, output>> y, tensor<output, Value> gy, tensor<In, real> gx,
                [[maybe_unused]] bool add = false) {
    const input_view in(c, x);
    const output_view out(c, y);
    if constexpr (adds_input_gradient) {
      module.backward(c, *in, *out, gy, gx, add);
    } else {
      module.backward(c, *in, *out, gy, gx);
    }
  }

  void backward(context<Backend>& c, tensor<In, const held<Backend, In>> x,
                const affine_gradient<output, real, scalar>& gy, tensor<In, real> gx, bool add) {
    const profile_scope timed(c.times, pass::backward, name);
    module.backward(c, x, gy, gx, add);
  }

  // Where the copy of the input goes.
  spike_bits* input_copy(std::size_t batch) requires takes_copy { return module.input_copy(batch); }

  // Calls f(path, module) for every layer that is not made of others.
  template <class F>
  void visit(const layer_path* around, F& f) {
    const layer_path path{around, &name};
    if constexpr (is_composite) {
      module.visit(&path, f);
    } else {
      f(path, module);
    }
  }
  // Shows f every layer (see observation.hpp), as the last forward pass left it.
  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const held<Backend, In>> x,
               tensor<output, const held<Backend, output>> y, F& f) {
    if constexpr (is_composite) {
      module.observe(c, prefix + name() + ".", x, y, f);
    } else {
      show(f, c, prefix + name(), module, x, y);
    }
  }

 private:
  template <class Signal>
  static constexpr bool is_held = is_composite || std::same_as<held<Backend, Signal>, real>;
  using input_view =
      std::conditional_t<is_held<In> || takes_packed<module_type>, held_view<Backend, In>, real_view<Backend, In>>;
  using output_view = std::conditional_t<is_held<output> || makes_packed<module_type>, held_view<Backend, output>,
                                         real_view<Backend, output>>;
};

template <class A, class B>
inline constexpr bool fusible = false;
template <std::size_t Branches, class... Options>
inline constexpr bool fusible<tdbn<Branches>, lif<Options...>> = true;

// tdBN and LIF in one pass: the normalised input of the neurons is never written to memory. With a residual, the sum at
// the end of a residual block is part of the same pass; `residual` and the gradient at the sum then belong to the
// block.
template <class Backend, std::size_t T, std::size_t Index, class In, class Norm, class Spike>
struct tdbn_lif_stage {
  using scalar = typename Backend::scalar;
  using real = real_of<Backend>;
  using norm_type = typename layer_of<Norm>::template module<Backend, T, In>;
  using spike_type = typename layer_of<Spike>::template module<Backend, T, typename norm_type::output>;
  using dynamics = typename layer_of<Spike>::dynamics;
  using output = typename spike_type::output;
  static constexpr std::size_t channels = In::channels;
  static constexpr bool takes_affine_gradient = false, makes_moments = false, takes_moments = true;
  static constexpr bool adds_input_gradient = false;
  static constexpr bool makes_copy = copies_spikes<Backend, channels, T>, takes_copy = false;
  static constexpr bool makes_affine_gradient = std::same_as<held<Backend, In>, real>;
  static constexpr bool works_in_place = true;

  norm_type norm;
  spike_type spike;

  static std::string norm_name() { return naming<Norm>::name(Index); }
  static std::string spike_name() { return naming<Spike>::name(Index + 1); }
  static std::string joint_name() { return norm_name() + " + " + spike_name(); }
  static std::string name() { return joint_name(); }
  static constexpr const real* no_residual = nullptr;
  // Real numbers or packed spikes of the same shape and timesteps, or null; or both.
  template <class Value>
  using residual_of = std::conditional_t<makes_copy, addend<real>, const Value*>;

  using in_value = held<Backend, In>;
  using out_value = held<Backend, output>;

  // known: see tdbn::prepare
  void forward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, out_value> y,
               const by_products& also = {}, bool known = false) {
    forward_with_residual(c, x, y, residual_of<real>(no_residual), also, known);
  }
  // Residual: residual_of<...>
  template <class Residual>
  void forward_with_residual(context<Backend>& c, tensor<In, const in_value> in, tensor<output, out_value> y,
                             Residual residual, [[maybe_unused]] const by_products& also, bool known) {
    const profile_scope timed(c.times, pass::forward, joint_name);
    const real_view<Backend, In> view(c, in);
    const tensor<In, const real> x = *view;
    named_errors(&norm_name, [&] { norm.prepare(c, x, known); });
    named_device_errors<Backend>(&joint_name, [&] {
      const std::size_t rows = x.step_size() / channels;
      const auto k = c.neurons.template constants<scalar>();
      const scalar *const scale = norm.of_channels.scale(), *const shift = norm.of_channels.shift();
      if constexpr (makes_copy) {
        c.backend.template tdbn_lif_forward<dynamics, T, In::steps, channels>(rows, k, x.data, scale, shift, residual,
                                                                              y.data, also.spikes);
      } else {
        c.backend.template tdbn_lif_forward<dynamics, T, In::steps, channels>(rows, k, x.data, scale, shift, residual,
                                                                              y.data);
      }
    });
  }

  void backward(context<Backend>& c, tensor<In, const in_value> x, tensor<output, const out_value>,
                tensor<output, const real> gy, tensor<In, real> gx) {
    if constexpr (recomputes_neurons<Backend>) {
      const profile_scope timed(c.times, pass::backward, joint_name);
      const real_view<Backend, In> view(c, x);
      named_device_errors<Backend>(&joint_name, [&] { backward_twice(c, *view, gy, gx); });
    } else {
      real* gsum = gx ? gx.data : c.scratch.take(x.size());
      backward_with_residual(c, x, gy, residual_of<real>(no_residual), gsum, gx);
      if (!gx) c.scratch.give_back(1);
    }
  }

  // gsum [In]: the gradient at the neurons' input, which is the residual's too. gx and gy may be the same memory.
  template <class Residual>
  void backward_with_residual(context<Backend>& c, tensor<In, const in_value> in, tensor<output, const real> gy,
                              Residual residual, real* gsum, tensor<In, real> gx) {
    const profile_scope timed(c.times, pass::backward, joint_name);
    const real_view<Backend, In> view(c, in);
    named_device_errors<Backend>(&joint_name, [&] {
      backward_to_sum(c, *view, gy, residual, gsum);
      norm.finish_backward(c, *view, gsum, gx);
    });
  }
  // The same with gx in parts, of which gsum is one.
  template <class Residual = residual_of<real>>
  affine_gradient<In, real, scalar> backward_affine(context<Backend>& c, tensor<In, const real> x,
                                                    tensor<output, const real> gy, real* gsum,
                                                    Residual residual = no_residual)
      requires makes_affine_gradient {
    const profile_scope timed(c.times, pass::backward, joint_name);
    backward_to_sum(c, x, gy, residual, gsum);
    return norm.affine(x, gsum);
  }

  template <class F>
  void visit(const layer_path* around, F& f) {
    f(layer_path{around, &norm_name}, norm);
    f(layer_path{around, &spike_name}, spike);
  }

  // What forward never wrote is computed again, by the layer-by-layer operations, unless f asks for outputs only: the
  // tdBN's output, and the sum of that and the residual, which the neurons received. The shortcut of a residual block
  // is shown in between, as where nothing is fused.
  template <class F>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> x,
               tensor<output, const out_value> y, F& f) {
    observe(
        c, prefix, x, y, f, [] {}, no_residual);
  }
  template <class F, class ShowShortcut>
  void observe(context<Backend>& c, const std::string& prefix, tensor<In, const in_value> in,
               tensor<output, const out_value> y, F& f, ShowShortcut show_shortcut, const real* residual) {
    if constexpr (observes_outputs<F, output, scalar>) {
      show_shortcut();
      show(f, c, prefix + spike_name(), spike, in, y);
    } else {
      using normalised = typename norm_type::output;
      const real_view<Backend, In> view(c, in);
      const tensor<In, const real> x = *view;
      const tensor<normalised, real> sum{c.scratch.take(x.size()), x.batch};
      c.backend.template channel_affine<channels>(x.rows(), x.data, nullptr, norm.of_channels.scale(), nullptr,
                                                  norm.of_channels.shift(), sum.data);
      show(f, c, prefix + norm_name(), norm, x, tensor<normalised, const real>(sum));
      show_shortcut();
      if (residual) add_to(c.backend, sum.size(), residual, sum.data);
      show(f, c, prefix + spike_name(), spike, tensor<normalised, const real>(sum), y);
      c.scratch.give_back(1);
    }
  }

 private:
  // The gradient at the neurons' input is computed for its sums, and once more for gx.
  void backward_twice(context<Backend>& c, tensor<In, const real> x, tensor<output, const real> gy, tensor<In, real> gx) {
    backward_to_sum(c, x, gy, residual_of<real>(no_residual), nullptr);
    if (!gx) return;
    const affine_gradient<In, real, scalar> parts = norm.affine(x, nullptr);
    c.backend.template tdbn_lif_backward_input<dynamics, T, In::steps, channels>(
        x.step_size() / channels, c.neurons.template constants<scalar>(), x.data, norm.of_channels.scale(),
        norm.of_channels.shift(), gy.data, parts.a, parts.b, parts.d, gx.data);
  }

  // Writes gsum, the sums [2, channels] of it that tdBN's backward pass needs, and what follows for each channel.
  template <class Residual>
  void backward_to_sum(context<Backend>& c, tensor<In, const real> x, tensor<output, const real> gy,
                       Residual residual, real* gsum) {
    auto& n = norm.of_channels;
    const std::size_t rows = x.step_size() / channels;
    const auto k = c.neurons.template constants<scalar>();
    const auto differentiate = norm.differentiation(c, x);
    if constexpr (continues_reductions<Backend>) {
      c.backend.template tdbn_lif_backward<dynamics, T, In::steps, channels>(
          rows, k, x.data, n.scale(), n.shift(), residual, n.mean(), n.inverse_stddev(), gy.data, gsum, n.sums(),
          differentiate);
    } else {
      c.backend.template tdbn_lif_backward<dynamics, T, In::steps, channels>(
          rows, k, x.data, n.scale(), n.shift(), residual, n.mean(), n.inverse_stddev(), gy.data, gsum, n.sums());
      c.backend.for_each(channels, differentiate);
    }
  }
};

}  // namespace spikenet::detail
