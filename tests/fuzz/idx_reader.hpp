// What must hold for the IDX reader, plain or gzip: it accepts exactly what the format allows and reads it rightly. The
// format is written down here a second time, as plainly as it can be, over the whole input at once.
#pragma once

#include <zlib.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "fuzz/fuzz.hpp"
#include "spikenet/data/idx.hpp"

namespace fuzz {

// Nothing where the content is not exactly one array of bytes.
inline std::optional<spikenet::idx_array> decode_idx(std::span<const std::uint8_t> content) {
  if (content.size() < 4 || content[0] != 0 || content[1] != 0 || content[2] != 8 || content[3] == 0) return {};
  const std::size_t dimensions = content[3], header = 4 + 4 * dimensions;
  if (content.size() < header) return {};
  const auto values = content.subspan(header);

  spikenet::idx_array array{{}, {values.begin(), values.end()}};
  std::size_t size = 1;
  for (std::size_t i = 4; i < header; i += 4) {
    std::size_t extent = 0;
    for (const std::uint8_t byte : content.subspan(i, 4)) extent = extent * 256 + byte;
    if (extent == 0 || size > values.size() / extent) return {};
    size *= extent;
    array.shape.push_back(extent);
  }
  if (size != values.size()) return {};
  return array;
}

// The reverse: an IDX file of any extents, honest or not.
inline bytes encode_idx(std::initializer_list<std::size_t> shape, std::span<const std::uint8_t> values) {
  bytes content{0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  for (const std::size_t extent : shape)
    for (const int shift : {24, 16, 8, 0}) content.push_back(static_cast<std::uint8_t>(extent >> shift));
  content.insert(content.end(), values.begin(), values.end());
  return content;
}

struct inflated {
  bytes content;      // as far as it could be decompressed
  bool whole = true;  // whether that was to the end
};

inline bool is_gzip(std::span<const std::uint8_t> input) {
  return input.size() >= 2 && input[0] == 0x1f && input[1] == 0x8b;
}

// All members of a gzip file.
inline inflated inflate_all(std::span<const std::uint8_t> input) {
  inflated result;
  while (result.whole && !input.empty()) {
    z_stream z{};
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) throw std::runtime_error("inflateInit2");
    z.next_in = const_cast<Bytef*>(input.data());
    z.avail_in = static_cast<uInt>(input.size());
    int status = Z_OK;
    while (status == Z_OK) {
      std::array<std::uint8_t, 1 << 14> piece;
      z.next_out = piece.data();
      z.avail_out = piece.size();
      status = inflate(&z, Z_NO_FLUSH);
      result.content.insert(result.content.end(), piece.begin(),
                            piece.end() - static_cast<std::ptrdiff_t>(z.avail_out));
    }
    input = input.last(z.avail_in);
    inflateEnd(&z);
    result.whole = status == Z_STREAM_END;
  }
  return result;
}

// One gzip member, of the header's optional fields the given ones. A small window and little memory, to be fast.
inline bytes gzip(std::span<const std::uint8_t> content, int level, gz_header* header = nullptr) {
  z_stream z{};
  if (deflateInit2(&z, level, Z_DEFLATED, 16 + 9, 1, Z_DEFAULT_STRATEGY) != Z_OK ||
      (header && deflateSetHeader(&z, header) != Z_OK))
    throw std::runtime_error("deflateInit2");
  bytes result(deflateBound(&z, static_cast<uLong>(content.size())));
  z.next_in = const_cast<Bytef*>(content.data());
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = result.data();
  z.avail_out = static_cast<uInt>(result.size());
  const int status = deflate(&z, Z_FINISH);
  result.resize(z.total_out);
  deflateEnd(&z);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate");
  return result;
}

// Changes the content of an IDX file, and half the time lets the data be as long as the header then says.
inline void mutate_idx(bytes& content, std::size_t max_size, spikenet::random_stream& random) {
  mutate(content, max_size);
  if (content.size() < 4 || random.below(2) == 0) return;
  std::size_t size = 4 + 4 * std::size_t{content[3]}, promised = 1;
  if (content.size() < size) return;
  for (std::size_t i = 4; i < size; i += 4)
    for (std::size_t byte = 0, extent = 0; byte < 4; ++byte) {
      extent = extent * 256 + content[i + byte];
      if (byte < 3) continue;
      if (extent != 0 && promised > max_size / extent) return;
      promised *= extent;
    }
  size += promised;
  if (size <= max_size) content.resize(size, 7);
}

inline void check_idx_reader(std::span<const std::uint8_t> input) {
  const bool compressed = is_gzip(input);
  const inflated source = compressed ? inflate_all(input) : inflated{{input.begin(), input.end()}, true};
  const auto expected = source.whole ? decode_idx(source.content) : std::nullopt;

  // While the array is enlarged, there is the old one and one of twice its size; it starts with 64 KiB where the input
  // may decompress to that. The rest is for the shape, of 255 extents at most, and for messages.
  const std::size_t allowed = 3 * source.content.size() + (compressed ? 1 << 17 : 0) + (1 << 13);
  const auto read = attempt(allowed, [&] { return spikenet::parse_idx(std::as_bytes(input), input_name); });

  require(read.has_value() == expected.has_value(),
          expected ? "what the format allows is accepted" : "what the format does not allow is refused");
  if (read) {
    require(read->shape == expected->shape, "the shape is read rightly");
    require(read->values == expected->values, "the values are read rightly");
    ++count.accepted;
  }
  ++count.inputs;
}

}  // namespace fuzz
