// Decoder of LZF, the compression that Python's h5py offers beside deflate. HDF5 itself has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "spikenet/core/compiler.hpp"

namespace spikenet::nir::detail {

// Decompresses `from` to `to`, which has room for as much as a call without `to` has returned. Returns the size of the
// content, or 0 if `from` is empty or damaged.
//
// A byte below 32 says that as many bytes follow as they are, and one more. Any other begins a copy of what came
// before: three bits of its length, less 2, and thirteen of its distance, less 1. A length of 7 goes on in the second
// byte.
inline std::size_t decompress_lzf(std::span<const std::uint8_t> from, std::uint8_t* to = nullptr) noexcept {
  std::size_t size = 0, i = 0;
  while (i < from.size()) {
    const std::size_t control = from[i++];
    std::size_t count = control + 1;
    if (control < 32) {
      if (count > from.size() - i) return 0;
      if (to) std::memcpy(to + size, from.data() + i, count);
      i += count;
    } else {
      count = control / 32 + 2;
      if (count == 9 && i < from.size()) count += from[i++];
      if (i == from.size()) return 0;
      const std::size_t distance = control % 32 * 256 + from[i++] + 1;
      if (distance > size) return 0;
      if (to)
        for (std::size_t k = size; k < size + count; ++k) to[k] = to[k - distance];  // they may overlap
    }
    size += count;
  }
  return size;
}

}  // namespace spikenet::nir::detail
