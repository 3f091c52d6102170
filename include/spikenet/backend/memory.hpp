// Where a backend's memory is, as seen from the host. Most can be read and written there, as the CPU's. A device's cannot:
// its backend says so, `static constexpr bool host_visible = false`, and copies. What is here does the right thing for
// both, and nothing at all where there is nothing to do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

template <class Backend>
inline constexpr bool host_visible = [] {
  if constexpr (requires { Backend::host_visible; }) {
    return Backend::host_visible;
  } else {
    return true;
  }
}();

namespace detail {

// write(T* values), on the host, writes all `count` values that the backend's memory at `to` then holds.
template <class Backend, class T, class F>
void fill(Backend& backend, T* to, std::size_t count, F&& write) {
  if constexpr (host_visible<Backend>) {
    write(to);
  } else {
    backend.fill(to, count, write);
  }
}

// f(span) of the values at `at` as the host sees them; what f changes of values that are not const is changed there.
template <class Backend, class T, class F>
void on_host(Backend& backend, T* at, std::size_t count, F&& f) {
  if constexpr (host_visible<Backend>) {
    f(std::span<T>(at, count));
  } else {
    using value = std::remove_const_t<T>;
    std::vector<value> copy(count);
    if (count > 0) backend.download(at, count, copy.data());
    f(std::span<T>(copy));
    if constexpr (!std::is_const_v<T>) {
      if (count > 0) backend.fill(at, count, [&](value* to) { std::copy(copy.begin(), copy.end(), to); });
    }
  }
}

template <class Backend, class T>
void clear(Backend& backend, T* values, std::size_t count) {
  if constexpr (host_visible<Backend>) {
    std::fill_n(values, count, T{});
  } else {
    backend.clear(values, count);
  }
}

// Values that the host has read of the backend's memory: those themselves, or a copy.
template <class Backend, class T>
class host_copy {
 public:
  std::span<const T> fetch(Backend& backend, const T* from, std::size_t count) {
    if constexpr (host_visible<Backend>) {
      values_ = {from, count};
    } else {
      values_.resize(count);
      if (count > 0) backend.download(from, count, values_.data());
    }
    return values_;
  }
  std::span<const T> last() const { return values_; }

 private:
  std::conditional_t<host_visible<Backend>, std::span<const T>, std::vector<T>> values_;
};

}  // namespace detail
}  // namespace spikenet
