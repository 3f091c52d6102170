// Memory that only grows: taken once, reused ever after, aligned for the widest vector registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "spikenet/core/compiler.hpp"

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace spikenet {
namespace detail {

inline constexpr std::size_t huge_page = 2 << 20;

// A walk through megabytes in pages of 4 KB misses the TLB again and again, in a virtual machine at twice the price. The
// kernel gives larger pages to those who ask before they touch the memory; where it does not, nothing is lost.
inline void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef MADV_HUGEPAGE
  if (bytes >= huge_page) madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
}

}  // namespace detail

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
  ~buffer() { release(); }

  // Makes room for count values, all zero where memory had to be taken; what was there before is then gone.
  T* reserve(std::size_t count) {
    if (count > capacity_) grow(count);
    return data_;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  static std::align_val_t alignment_of(std::size_t count) {
    return std::align_val_t{count * sizeof(T) < detail::huge_page ? alignment : detail::huge_page};
  }

  // Not inlined: networks have many buffers.
  [[gnu::noinline]] void grow(std::size_t count) {
    release();
    data_ = static_cast<T*>(::operator new (count * sizeof(T), alignment_of(count)));
    capacity_ = count;
    detail::prefer_huge_pages(data_, count * sizeof(T));
    std::fill_n(data_, count, T{});
  }
  [[gnu::noinline]] void release() noexcept {
    ::operator delete (data_, alignment_of(capacity_));
    data_ = nullptr;
    capacity_ = 0;
  }

  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace spikenet
