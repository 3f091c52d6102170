// Names of layers: what their tensors are called in checkpoints and messages. A layer without one is called by its
// index, as PyTorch's Sequential does.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>

#include "spikenet/network/architecture.hpp"

namespace spikenet {

namespace detail {

template <class L>
concept has_name = requires { typename L::named_layer; };

template <class L>
struct naming {
  using layer_type = L;
  static std::string name(std::size_t index) { return std::to_string(index); }
};
template <has_name L>
struct naming<L> {
  using layer_type = typename L::named_layer;
  static std::string name(std::size_t) { return std::string(L::name); }
};

template <class L>
using layer_of = typename naming<L>::layer_type;

// L if it has a name, else L under this one.
template <class L, fixed_string Name>
using named_or = std::conditional_t<has_name<L>, L, named<Name, L>>;

// The way to a layer, as a visit of the network goes along it. Where nobody asks for names none are made: a string may
// take memory, and a training step must not.
struct no_path {};

inline std::string path_to(const std::string& prefix, std::string (*name)()) { return prefix + name(); }
inline no_path path_to(no_path, std::string (*)()) { return {}; }
inline std::string path_into(const std::string& layer) { return layer + "."; }
inline no_path path_into(no_path) { return {}; }

}  // namespace detail
}  // namespace spikenet
