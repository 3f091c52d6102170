// Changes safetensors files so that what follows the change can still be reached: the header's length is mended, and in
// part the amount of data, too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "fuzz/fuzz.hpp"
#include "spikenet/io/safetensors.hpp"

namespace fuzz {

// The largest end of a tensor in a header, 0 where it cannot be read.
inline std::size_t promised_data(const bytes& header) {
  const std::string file;
  spikenet::detail::safetensors_header_reader reader{file};
  try {
    nlohmann::json::sax_parse(header, &reader);
  } catch (const spikenet::file_error&) {
    return 0;
  }
  std::size_t end = 0;
  for (const auto& [name, entry] : reader.tensors) end = std::max(end, entry.end);
  return end;
}

inline std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  if (size < 8 || max_size < 16 || random.below(8) == 0) return LLVMFuzzerMutate(data, size, max_size);

  std::uint64_t length = 0;
  std::memcpy(&length, data, 8);
  length = std::min<std::uint64_t>(length, size - 8);
  bytes header(data + 8, data + 8 + length), content(data + 8 + length, data + size);
  mutate(random.below(4) == 0 ? content : header, max_size - 8);
  if (random.below(2) == 0)
    if (const std::size_t end = promised_data(header); end > 0 && end <= max_size) content.resize(end);

  length = header.size();
  content.resize(std::min<std::size_t>(content.size(), max_size - 8 - length));
  std::memcpy(data, &length, 8);
  std::copy(content.begin(), content.end(), std::copy(header.begin(), header.end(), data + 8));
  return 8 + header.size() + content.size();
}

}  // namespace fuzz
