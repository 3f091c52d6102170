// Changes safetensors files so that what follows the change can still be reached: the header's length is mended, and in
// part the tensors' places and the amount of data, too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>

#include "fuzz/fuzz.hpp"
#include "spikenet/io/safetensors.hpp"

namespace fuzz {

using tensor_list = std::map<std::string, spikenet::safetensors_entry, std::less<>>;

// The tensors of a header that follows the schema, whether or not the format allows what it says of them.
inline tensor_list tensors_of(const bytes& header) {
  const std::string file;
  spikenet::detail::safetensors_header_reader reader{file};
  try {
    nlohmann::json::sax_parse(header, &reader);
  } catch (const spikenet::file_error&) {
    return {};
  }
  return reader.tensors;
}

// The largest end of a tensor.
inline std::size_t promised_data(const tensor_list& tensors) {
  std::size_t end = 0;
  for (const auto& [name, entry] : tensors) end = std::max(end, entry.end);
  return end;
}

// A header of the same tensors, which lie where they should: one behind the other, as large as their shapes.
inline bytes header_in_order(tensor_list& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::size_t end = 0;
  for (auto& [name, entry] : tensors) {
    entry.begin = end;
    entry.end = end +=
        spikenet::detail::size_of(entry.shape, spikenet::detail::safetensors_element_bits(entry.dtype)).value_or(0) / 8;
    header[name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
  }
  const std::string text = header.dump();
  return {text.begin(), text.end()};
}

inline std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  if (size < 8 || max_size < 16 || random.below(8) == 0) return LLVMFuzzerMutate(data, size, max_size);

  std::uint64_t length = 0;
  std::memcpy(&length, data, 8);
  length = std::min<std::uint64_t>(length, size - 8);
  bytes header(data + 8, data + 8 + length), content(data + 8 + length, data + size);
  mutate(random.below(4) == 0 ? content : header, max_size - 8);
  if (const std::uint32_t mending = random.below(4); mending > 1)
    if (tensor_list tensors = tensors_of(header); !tensors.empty()) {
      if (mending > 2) header = header_in_order(tensors);
      if (const std::size_t end = promised_data(tensors); end <= max_size) content.resize(end);
    }
  header.resize(std::min(header.size(), max_size - 8));

  length = header.size();
  content.resize(std::min<std::size_t>(content.size(), max_size - 8 - length));
  std::memcpy(data, &length, 8);
  std::copy(content.begin(), content.end(), std::copy(header.begin(), header.end(), data + 8));
  return 8 + header.size() + content.size();
}

}  // namespace fuzz
