// Counts what operator new takes, so that a reader's memory can be compared with its input. What C libraries take with
// malloc is left to libFuzzer's limit: zlib takes the same for every stream.
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#include "fuzz/fuzz.hpp"

namespace {

thread_local std::size_t live = 0, peak = 0;

}  // namespace

namespace fuzz {

std::size_t live_memory() noexcept { return live; }
std::size_t peak_memory() noexcept { return peak; }
void reset_peak() noexcept { peak = live; }

}  // namespace fuzz

// With a sanitizer the two forms of new do not call each other, so both are replaced.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (!memory) return nullptr;
  live += malloc_usable_size(memory);
  peak = live > peak ? live : peak;
  return memory;
}

void* operator new(std::size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc{};
}

void operator delete(void* memory) noexcept {
  if (memory) live -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
