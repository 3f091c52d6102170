// sequence<Layers...>: layers one after another, as one layer.
#pragma once

#include <cstddef>
#include <string>

#include "spikenet/network/architecture.hpp"
#include "spikenet/network/chain.hpp"

namespace spikenet {

template <class... Layers>
struct sequence : layer {
  static_assert(sizeof...(Layers) > 0, "spikenet: a sequence needs at least 1 layer");

  template <class Backend, std::size_t T, class In>
  struct module : detail::composite, detail::chain<Backend, T, 0, In, Layers...> {};
};

}  // namespace spikenet
