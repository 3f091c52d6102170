// Options of the CUDA backend's policy, spikenet::cuda<Scalar, Options...>.
#pragma once

#include <concepts>

#include "spikenet/backend/options.hpp"

namespace spikenet {

// float convolutions and matrix products may round what they multiply to TF32, 10 bits of mantissa, where the card has
// tensor cores for it (compute capability 8.0 and later). Several times faster; without it, float is float.
struct allow_tf32;

// Time all engines that cuDNN offers for a convolution when it is met for the first time, and keep the fastest, where
// otherwise the first choice of cuDNN's heuristics is taken. Slower to start; which engine is taken, and so how sums are
// rounded, may then differ from run to run.
struct autotune;

// Mixed precision: what layers hand to each other, the gradients by it, and what convolutions and products multiply, is
// stored as Value, __half or __nv_bfloat16, in half of the memory; tensor cores multiply it several times faster. All is
// computed and summed up in float. Parameters, their gradients, statistics, moments of optimizers, logits and the loss
// stay float, and so do images as they are given to a network. See network::set_loss_scale, too.
template <class Value>
struct mixed;

// Record the kernels of a training step's forward and backward pass as a CUDA graph when a batch size comes twice in a row,
// and start them together from then on, which takes the processor next to no time. For networks whose kernels are short.
// Not for layers of one's own whose kernels are given other arguments at each step: a graph repeats what it was made with.
// The optimizer, whose numbers change, is not part of it, nor are running statistics but in steps that are queued.
struct step_graphs;

namespace detail {

// What the real numbers between layers are stored as.
template <class Scalar, class... Options>
struct real_of_options {
  using type = Scalar;
};
template <class Scalar, class Value, class... Rest>
struct real_of_options<Scalar, mixed<Value>, Rest...> {
  using type = Value;
};
template <class Scalar, class First, class... Rest>
struct real_of_options<Scalar, First, Rest...> : real_of_options<Scalar, Rest...> {};

template <class Option, class... Options>
inline constexpr bool has_cuda_option = (std::same_as<Option, Options> || ...);

// Those that spikenet::cuda knows.
template <class Option>
inline constexpr bool is_cuda_option = has_cuda_option<Option, one_by_one, allow_tf32, autotune, step_graphs>;
template <class Value>
inline constexpr bool is_cuda_option<mixed<Value>> = true;

}  // namespace detail
}  // namespace spikenet
