// Fuzz target: the IDX reader over plain input.
#include <algorithm>

#include "fuzz/idx_reader.hpp"

std::vector<fuzz::bytes> fuzz::seeds() {
  const bytes counting{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  return {encode_idx({12}, counting),
          encode_idx({2, 2, 3}, counting),
          encode_idx({1, 1, 1, 12}, counting),
          encode_idx({2, 6}, std::span{counting}.first(11)),           // truncated
          encode_idx({0xffffffff, 0xffffffff, 0xffffffff}, counting),  // more than 2^64 bytes
          encode_idx({0x10000, 0x10000, 0x10000, 0x10000, 1}, {})};    // exactly 2^64
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_idx_reader({data, size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  fuzz::bytes content(data, data + size);
  fuzz::mutate_idx(content, max_size, random);
  std::copy(content.begin(), content.end(), data);
  return content.size();
}
