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

// The path to a layer, which a visit of the network passes down. It becomes a string only on request: a string may take
// memory, and a training step must not.
struct layer_path {
  const layer_path* around;  // null for a layer of the network itself
  std::string (*name)();

  [[gnu::noinline]] std::string string() const { return around ? around->string() + "." + name() : name(); }
};

}  // namespace detail
}  // namespace spikenet
