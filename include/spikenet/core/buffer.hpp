// Memory that only grows: taken once, reused ever after, aligned for the widest vector registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace spikenet {

template <class T>
class buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr std::size_t alignment = 64;

  buffer() = default;
  explicit buffer(std::size_t count) { reserve(count); }
  buffer(buffer&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, capacity_{std::exchange(other.capacity_, 0)} {}
  buffer& operator=(buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~buffer() { ::operator delete (data_, std::align_val_t{alignment}); }

  // Makes room for count values, all zero where memory had to be taken; what was there before is then gone.
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      ::operator delete (data_, std::align_val_t{alignment});
      data_ = nullptr;
      capacity_ = 0;
      data_ = static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{alignment}));
      capacity_ = count;
      std::fill_n(data_, count, T{});
    }
    return data_;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace spikenet
