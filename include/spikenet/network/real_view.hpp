// A signal as real numbers, for whoever cannot use the bits that a backend holds its spikes as.
#pragma once

#include <concepts>

#include "spikenet/layer/layer.hpp"

namespace spikenet::detail {

// Unpacked into scratch memory until the end of its life; real numbers are handed on as they are.
template <class Backend, class Signal>
class real_view {
 public:
  using real = real_of<Backend>;

  real_view(context<Backend>&, tensor<Signal, const real> x) : x_{x} {}
  real_view(context<Backend>& c, tensor<Signal, const spike_bits> x) : scratch_{&c.scratch} {
    real* const values = c.scratch.take(x.size());
    c.backend.template unpack<Signal::channels>(x.rows(), x.data, values);
    x_ = {values, x.batch};
  }
  ~real_view() {
    if (scratch_) scratch_->give_back(1);
  }
  real_view(const real_view&) = delete;
  real_view& operator=(const real_view&) = delete;

  operator tensor<Signal, const real>() const noexcept { return x_; }
  tensor<Signal, const real> operator*() const noexcept { return x_; }

 private:
  tensor<Signal, const real> x_;
  workspace<Backend>* scratch_ = nullptr;
};

// A signal as it is held, for whoever can use that.
template <class Backend, class Signal>
struct held_view {
  tensor<Signal, const held<Backend, Signal>> x;

  held_view(context<Backend>&, tensor<Signal, const held<Backend, Signal>> as_held) : x{as_held} {}
  auto operator*() const noexcept { return x; }
};

template <class Module>
inline constexpr bool takes_packed = requires {
  requires Module::takes_packed;
};
template <class Module>
inline constexpr bool makes_packed = requires {
  requires Module::makes_packed;
};

}  // namespace spikenet::detail
