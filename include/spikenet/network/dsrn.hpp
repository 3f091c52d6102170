// The deep spiking residual network of 19 weight layers ("ResNet-19", Zheng et al., arXiv 2011.05280), on any backend:
//
//     conv3x3(S) tdBN LIF                            S: stem channels
//     layer1: 3 blocks of W      stride 1
//     layer2: 3 blocks of 2W     first stride 2
//     layer3: 2 blocks of 4W     first stride 2
//     global average pooling, linear 256, LIF, linear classes, LIF (mean_spikes) or nothing (mean_current)
#pragma once

#include <concepts>
#include <cstddef>

#include "spikenet/layer/conv2d.hpp"
#include "spikenet/layer/lif.hpp"
#include "spikenet/layer/linear.hpp"
#include "spikenet/layer/pooling.hpp"
#include "spikenet/layer/tdbn.hpp"
#include "spikenet/network/architecture.hpp"
#include "spikenet/network/network.hpp"
#include "spikenet/network/residual.hpp"
#include "spikenet/network/sequence.hpp"

namespace spikenet {

// Options of dsrn. Those of lif (soft_reset, detached_reset, ramp) are passed on to every neuron.
template <std::size_t Channels>
struct stem {};  // channels of the first convolution; W by default, 64 with W = 128 in the published code
template <std::size_t N>
struct classes {};
struct mean_spikes;   // logits: the mean over time of the last neurons' spikes
struct mean_current;  // logits: the mean over time of the last linear layer (default)

namespace detail {

template <class... Options>
struct image_option {
  using type = image<1, 28, 28>;
};
template <class First, class... Rest>
struct image_option<First, Rest...> : image_option<Rest...> {};
template <std::size_t C, std::size_t H, std::size_t W, class... Rest>
struct image_option<image<C, H, W>, Rest...> {
  using type = image<C, H, W>;
};
template <std::size_t C, std::size_t H, std::size_t W, class... Rest>
struct image_option<frames<C, H, W>, Rest...> {
  using type = frames<C, H, W>;
};

// The options that concern the neurons.
template <class Lif, class... Options>
struct neurons_of_dsrn {
  using type = Lif;
};
template <class... Taken, class First, class... Rest>
struct neurons_of_dsrn<lif<Taken...>, First, Rest...>
    : neurons_of_dsrn<
          std::conditional_t<has_option<First, soft_reset, hard_reset, detached_reset, through_reset, ramp, heaviside>,
                             lif<Taken..., First>, lif<Taken...>>,
          Rest...> {};

template <class Option>
inline constexpr bool is_dsrn_option =
    is_option<stem, Option> || is_option<classes, Option> ||
    !std::same_as<typename image_option<Option>::type, image<1, 28, 28>> || std::same_as<Option, image<1, 28, 28>> ||
    has_option<Option, mean_spikes, mean_current, soft_reset, hard_reset, detached_reset, through_reset, ramp,
               heaviside, raw_shortcut, normalised_shortcut>;

template <class Backend, std::size_t W, std::size_t T, class... Options>
struct make_dsrn {
  static_assert(W > 0, "spikenet: dsrn needs a width of at least 1");
  static_assert(
      (is_dsrn_option<Options> && ...),
      "spikenet: dsrn takes the options stem, classes, image, frames, mean_spikes, mean_current, raw_shortcut, "
      "normalised_shortcut and those of lif");

  using spike = typename neurons_of_dsrn<lif<>, Options...>::type;
  using shortcut = std::conditional_t<has_option<normalised_shortcut, Options...>, normalised_shortcut, raw_shortcut>;

  template <class Lif>
  struct blocks;
  template <class... N>
  struct blocks<lif<N...>> {
    template <std::size_t C, std::size_t S = 1>
    using block = basic_block<C, stride<S>, shortcut, N...>;
  };
  template <std::size_t C, std::size_t S = 1>
  using block = typename blocks<spike>::template block<C, S>;

  template <class... Last>
  using network_with = network<Backend, timesteps<T>, typename image_option<Options...>::type,
                               named<"conv1", conv2d<option_value<stem, W, Options...>, 3>>, named<"bn1", tdbn<>>,
                               named<"spike", spike>, named<"layer1", sequence<block<W>, block<W>, block<W>>>,
                               named<"layer2", sequence<block<2 * W, 2>, block<2 * W>, block<2 * W>>>,
                               named<"layer3", sequence<block<4 * W, 2>, block<4 * W>>>, named<"gap", global_avg_pool>,
                               named<"fc1", linear<256>>, named<"fc1.spike", spike>,
                               named<"fc2", linear<option_value<classes, 10, Options...>>>, Last...>;

  using type = typename std::conditional_t<has_option<mean_spikes, Options...>,
                                           std::type_identity<network_with<named<"fc2.spike", spike>>>,
                                           std::type_identity<network_with<>>>::type;
};

}  // namespace detail

// Backend: cpu<float>, ...; Width: W; Timesteps: T. Options: image<1, 28, 28> (or frames), classes<10>, stem<W>,
// mean_current (default) or mean_spikes, raw_shortcut (default) or normalised_shortcut, soft_reset, detached_reset.
template <class Backend, std::size_t Width, std::size_t Timesteps, class... Options>
using dsrn = typename detail::make_dsrn<Backend, Width, Timesteps, Options...>::type;

}  // namespace spikenet
