// What a backend must offer, so that layers can be written without knowing which one runs them.
// docs/backend.md explains each operation; backend/cpu/cpu.hpp is the one to read first.
#pragma once

#include <concepts>
#include <cstddef>

#include "spikenet/backend/memory.hpp"
#include "spikenet/core/compiler.hpp"
#include "spikenet/core/geometry.hpp"
#include "spikenet/core/spikes.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/neuron/lif.hpp"

namespace spikenet {

namespace detail {
// The smallest of everything, to try the operations on.
using any_geometry = conv2d_geometry<1, 1, 1, 1, 1, 1, 0, 1, 1>;
using any_dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
struct any_function {
  void operator()(std::size_t) const {}
};
}  // namespace detail

namespace detail {
template <class B>
struct real_of_backend {
  using type = typename B::scalar;
};
template <class B>
  requires requires { typename B::real; }
struct real_of_backend<B> {
  using type = typename B::real;
};
}  // namespace detail

// What the real numbers between layers, and the gradients by them, are stored as: B::real where the backend has it, in mixed
// precision; else its scalar. Parameters, their gradients, statistics and logits are scalars in any case, and so is all
// that is computed with.
template <class B>
using real_of = typename detail::real_of_backend<B>::type;

// Scalar, default-constructible, and the memory it computes in.
template <class B>
concept backend_memory = requires(B& b, std::size_t n) {
  typename B::scalar;
  typename B::template storage<typename B::scalar>;
  { B::fuses_stages } -> std::convertible_to<bool>;
  { b.for_each(n, detail::any_function{}) };
};

// Where the host cannot touch that memory (see memory.hpp): copies, and whether what was computed is finite.
template <class B>
concept backend_transfers = host_visible<B> || requires(B& b, std::size_t n, const typename B::scalar* in,
                                                        typename B::scalar* out, void (*write)(typename B::scalar*)) {
  b.fill(out, n, write);
  b.download(in, n, out);
  b.clear(out, n);
  b.watch(n, in);
  { b.all_finite() } -> std::same_as<bool>;
};

// x, y: what lies between layers; p, q: parameters and statistics of channels.
template <class B>
concept backend_convolution = requires(B& b, std::size_t items, const real_of<B>* x, real_of<B>* y,
                                       const typename B::scalar* p, typename B::scalar* q) {
  b.template conv2d_forward<detail::any_geometry>(items, x, p, p, y);
  b.template conv2d_backward_input<detail::any_geometry>(items, x, p, y);
  b.template conv2d_backward_weight<detail::any_geometry>(items, x, x, q);
};

template <class B>
concept backend_linear = requires(B& b, std::size_t items, const real_of<B>* x, real_of<B>* y,
                                  const typename B::scalar* p, typename B::scalar* q) {
  b.template linear_forward<1, 1>(items, x, p, p, y);
  b.template linear_backward_input<1, 1>(items, x, p, y);
  b.template linear_backward_weight<1, 1>(items, x, x, q);
  b.template channel_sums<1>(items, x, q);
};

template <class B>
concept backend_normalisation = requires(B& b, std::size_t rows, const real_of<B>* x, real_of<B>* y,
                                         const typename B::scalar* p, double* sums) {
  b.template channel_moments<1>(rows, x, sums, sums);
  b.template normalisation_sums<1>(rows, x, x, p, p, sums);
  b.template channel_affine<1>(rows, x, x, p, p, p, y);
};

template <class B>
concept backend_neurons = requires(B& b, std::size_t n, const real_of<B>* x, real_of<B>* y,
                                   const neuron_constants<typename B::scalar>& k) {
  b.template lif_forward<detail::any_dynamics, 1, 1>(n, k, x, y);
  b.template lif_backward<detail::any_dynamics, 1, 1>(n, k, x, x, y);
};

// Optional: stages in one pass. Where fuses_stages is false the layers run one by one and none of this is needed.
template <class B>
concept backend_stages = !B::fuses_stages || requires(B& b, std::size_t n, const real_of<B>* x, real_of<B>* y,
                                                      const typename B::scalar* p, double* sums,
                                                      const neuron_constants<typename B::scalar>& k) {
  b.template tdbn_lif_forward<detail::any_dynamics, 1, 1, 1>(n, k, x, p, p, x, y);
  b.template tdbn_lif_backward<detail::any_dynamics, 1, 1, 1>(n, k, x, p, p, x, p, p, x, y, sums);
};

// Optional, where the host does not see the memory: channel_moments watches what it writes.
template <class B>
inline constexpr bool watches_moments = requires { requires B::watches_moments; };

// In mixed precision the gradients are divided by the loss scale, and what is not finite then is noted.
template <class B>
concept backend_mixed_precision = std::same_as<real_of<B>, typename B::scalar> ||
    requires(B& b, std::size_t n, const double* by, typename B::scalar* values) { b.divide_and_watch(n, by, values); };

// Optional: channel_moments, normalisation_sums and tdbn_lif_backward take a function that they call for each channel once what
// they write of it is there, so that it needs no for_each of its own.
template <class B>
inline constexpr bool continues_reductions = requires { requires B::continues_reductions; };
struct nothing_then {
  SPIKENET_HOST_DEVICE void operator()(std::size_t) const {}
};

template <class B>
concept backend_continuation = !continues_reductions<B> || requires(B& b, std::size_t rows, const real_of<B>* x,
                                                                    const typename B::scalar* p, double* sums) {
  b.template channel_moments<1>(rows, x, sums, sums, nothing_then{});
  b.template normalisation_sums<1>(rows, x, x, p, p, sums, nothing_then{});
};

// Optional: conv2d_backward_input may add to what it would else write.
template <class B>
inline constexpr bool adds_input_gradient = requires { requires B::adds_input_gradient; };

template <class B>
concept backend_addition = !adds_input_gradient<B> || requires(B& b, std::size_t items, const real_of<B>* x, real_of<B>* y,
                                                               const typename B::scalar* p) {
  b.template conv2d_backward_input<detail::any_geometry>(items, x, p, y, true);
};

// Optional: stages leave their spikes as bits, too, where a residual sum will read them; the numbers are for convolutions.
template <class B, std::size_t Channels, std::size_t T>
inline constexpr bool copies_spikes = requires { requires B::template copies_spikes<Channels, T>; };

template <class B>
concept backend_copies = !copies_spikes<B, 8, 1> || requires(B& b, std::size_t n, const real_of<B>* x, real_of<B>* y,
                                                             const typename B::scalar* p, double* sums, spike_bits* copy,
                                                             const addend<real_of<B>>& residual,
                                                             const neuron_constants<typename B::scalar>& k) {
  b.template tdbn_lif_forward<detail::any_dynamics, 1, 1, 8>(n, k, x, p, p, residual, y, copy);
  b.template tdbn_lif_backward<detail::any_dynamics, 1, 1, 8>(n, k, x, p, p, residual, p, p, x, y, sums);
};

// Optional: the gradient at a stage's neurons computed twice, for its sums and for what it contributes to that by the stage's
// input, and never written.
template <class B>
inline constexpr bool recomputes_neurons = requires { requires B::recomputes_neurons; };

template <class B>
concept backend_recomputation = !recomputes_neurons<B> || requires(B& b, std::size_t n, const real_of<B>* x, real_of<B>* y,
                                                                   const typename B::scalar* p,
                                                                   const neuron_constants<typename B::scalar>& k) {
  b.template tdbn_lif_backward_input<detail::any_dynamics, 1, 1, 1>(n, k, x, p, p, x, p, p, p, y);
};

// Optional: spikes held as bits between layers. Where packs_spikes is false or missing they are real numbers.
template <class B>
inline constexpr bool packs_spikes = requires { requires B::packs_spikes; };

template <class B>
concept backend_spikes = !packs_spikes<B> || requires(B& b, std::size_t n, const typename B::scalar* in,
                                                      typename B::scalar* out, const spike_bits* bits_in,
                                                      spike_bits* bits_out,
                                                      const neuron_constants<typename B::scalar>& k) {
  b.template pack<1>(n, in, bits_out);
  b.template unpack<1>(n, bits_in, out);
  b.template conv2d_forward<detail::any_geometry>(n, bits_in, in, in, out);
  b.template conv2d_backward_weight<detail::any_geometry>(n, bits_in, in, out);
  b.template lif_forward<detail::any_dynamics, 1, 1, 1>(n, k, in, bits_out);
};

// Both: the stages on bits.
template <class B>
concept backend_packed_stages = !packs_spikes<B> || !B::fuses_stages ||
    requires(B& b, std::size_t n, const typename B::scalar* in, typename B::scalar* out, const spike_bits* bits_in,
             spike_bits* bits_out, double* sums, const neuron_constants<typename B::scalar>& k) {
  b.template tdbn_lif_forward<detail::any_dynamics, 1, 1, 1>(n, k, in, in, in, in, bits_out);
  b.template tdbn_lif_forward<detail::any_dynamics, 1, 1, 1>(n, k, in, in, in, bits_in, bits_out);
  b.template tdbn_lif_backward<detail::any_dynamics, 1, 1, 1>(n, k, in, in, in, bits_in, in, in, in, out, sums);
};

template <class B>
concept backend = backend_memory<B> && backend_transfers<B> && backend_convolution<B> && backend_linear<B> && backend_normalisation<B> &&
                  backend_neurons<B> && backend_stages<B> && backend_recomputation<B> && backend_addition<B> &&
                  backend_copies<B> && backend_continuation<B> && backend_mixed_precision<B> &&
                  backend_spikes<B> && backend_packed_stages<B>;

}  // namespace spikenet
