// Names of layers: what their tensors are called in checkpoints and messages. A layer without one is called by its
// index, as PyTorch's Sequential does.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace spikenet {

template <std::size_t N>
struct fixed_string {
  char characters[N]{};
  constexpr fixed_string(const char (&text)[N]) { std::copy_n(text, N, characters); }  // NOLINT: implicit on purpose
  constexpr std::string_view view() const { return {characters, N - 1}; }
};

// named<"conv1", conv2d<16, 3>>
template <fixed_string Name, class Layer>
struct named;

namespace detail {

template <class L>
struct naming {
  using layer_type = L;
  static std::string name(std::size_t index) { return std::to_string(index); }
};
template <fixed_string Name, class L>
struct naming<named<Name, L>> {
  using layer_type = L;
  static std::string name(std::size_t) { return std::string(Name.view()); }
};

template <class L>
using layer_of = typename naming<L>::layer_type;

}  // namespace detail
}  // namespace spikenet
