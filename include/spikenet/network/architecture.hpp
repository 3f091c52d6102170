// A network's layers as a type, apart from what runs them: architecture<timesteps<2>, image<1, 28, 28>, conv2d<32, 3>,
// ...>. It needs none of the layers' definitions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "spikenet/core/shape.hpp"
#include "spikenet/core/tensor.hpp"
#include "spikenet/layer/declarations.hpp"

namespace spikenet {

// The number of timesteps a network unrolls over.
template <std::size_t T>
struct timesteps {
  static_assert(T > 0, "spikenet: timesteps<0>: a network needs at least 1 timestep");
  static constexpr std::size_t value = T;
};

// The input: an image, given to the first layer unchanged at every timestep (direct encoding). What is computed from it
// before the first neurons is computed once.
template <std::size_t Channels, std::size_t Height, std::size_t Width>
struct image {
  using shape_type = shape<Channels, Height, Width>;
  template <std::size_t T>
  using signal_type = signal<shape_type, 1>;
};

// The input: a frame of its own for every timestep, [T, N, C, H, W]: event data, or an encoding of one's own.
template <std::size_t Channels, std::size_t Height, std::size_t Width>
struct frames {
  using shape_type = shape<Channels, Height, Width>;
  template <std::size_t T>
  using signal_type = signal<shape_type, T>;
};

// Timesteps: timesteps<T>; Input: image or frames; network<Backend, Timesteps, Input, Layers...>::architecture is one.
template <class Timesteps, class Input, class... Layers>
struct architecture;

template <std::size_t N>
struct fixed_string {
  char characters[N]{};
  constexpr fixed_string(const char (&text)[N]) { std::copy_n(text, N, characters); }  // NOLINT: implicit on purpose
  constexpr std::string_view view() const { return {characters, N - 1}; }
};

// named<"conv1", conv2d<16, 3>>. What it has are members and not deduced from its type: nvcc 13 matches no specialisation
// for a class template whose argument is a string.
template <fixed_string Name, class Layer>
struct named {
  using named_layer = Layer;
  static constexpr std::string_view name = Name.view();
};

// sequence<Layers...>: layers one after another, as one layer.
template <class... Layers>
struct sequence;

// A shortcut that hands x on as it is.
struct identity;

// Join(Main(x) + Shortcut(x)): see network/residual.hpp.
template <class Main, class Shortcut = identity, class Join = lif<>>
struct residual;

template <std::size_t Channels, class... Options>
struct basic_block;

// How basic_block's shortcut treats a block that changes neither shape nor resolution. The published code adds x
// itself; the tdBN paper's figure normalises every shortcut.
struct raw_shortcut;
struct normalised_shortcut;

namespace detail {

// The lif<...> with those options of a block that are not the block's own.
template <class Lif, class... Options>
struct neurons_of_block {
  using type = Lif;
};
template <class... Taken, class First, class... Rest>
struct neurons_of_block<lif<Taken...>, First, Rest...>
    : neurons_of_block<
          std::conditional_t<is_option<stride, First> || has_option<First, raw_shortcut, normalised_shortcut>,
                             lif<Taken...>, lif<Taken..., First>>,
          Rest...> {};

// The layers that a basic_block<Channels, Options...> consists of, where it receives InChannels.
template <std::size_t InChannels, std::size_t Channels, class... Options>
struct layers_of_block {
 private:
  static constexpr std::size_t S = option_value<stride, 1, Options...>;
  using spike = typename neurons_of_block<lif<>, Options...>::type;

  using main = sequence<named<"conv1", conv2d<Channels, 3, stride<S>>>, named<"bn1", tdbn<>>, named<"spike1", spike>,
                        named<"conv2", conv2d<Channels, 3>>, named<"bn2", tdbn<2>>>;
  using projection = named<"downsample", sequence<conv2d<Channels, 1, stride<S>>, tdbn<2>>>;
  using normalised = named<"downsample", sequence<tdbn<2>>>;
  using shortcut =
      std::conditional_t<S != 1 || InChannels != Channels, projection,
                         std::conditional_t<has_option<normalised_shortcut, Options...>, normalised, identity>>;

 public:
  using type = residual<main, shortcut, named<"spike2", spike>>;
};

}  // namespace detail
}  // namespace spikenet
