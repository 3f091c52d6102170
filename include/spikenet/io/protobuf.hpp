// What event files take from protobuf: the wire format, https://protobuf.dev/programming-guides/encoding/, of messages
// to be written. The fields' numbers and types are the caller's business.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <spikenet/core/error.hpp>
#include <string>
#include <string_view>

namespace spikenet::detail {

static_assert(std::endian::native == std::endian::little, "protobuf is little-endian, and so is this writer");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

template <class T>
void append_little_endian(std::string& target, T value) {
  target.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// A message: each call appends one field.
class protobuf_message {
 public:
  protobuf_message& integer(unsigned field, std::int64_t value) {  // int32, int64, bool, enum
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  protobuf_message& float64(unsigned field, double value) {
    key(field, 1);
    append_little_endian(encoded_, value);
    return *this;
  }
  protobuf_message& float32(unsigned field, float value) {
    key(field, 5);
    append_little_endian(encoded_, value);
    return *this;
  }
  protobuf_message& bytes(unsigned field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    encoded_ += value;
    return *this;
  }
  protobuf_message& message(unsigned field, const protobuf_message& value) { return bytes(field, value.encoded_); }
  protobuf_message& packed_float64(unsigned field, std::span<const double> values) {
    return bytes(field, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }

  std::string_view encoded() const noexcept { return encoded_; }

 private:
  void key(unsigned field, unsigned wire_type) { varint(field << 3 | wire_type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) encoded_ += static_cast<char>(value | 0x80);
    encoded_ += static_cast<char>(value);
  }

  std::string encoded_;
};

constexpr bool is_utf8(std::string_view text) noexcept {
  constexpr std::array<std::uint32_t, 4> smallest{0, 0x80, 0x800, 0x10000};  // of a character of 1, 2, 3, 4 bytes
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int ones = std::countl_one(lead);
    if (ones == 1 || ones > 4) return false;
    const std::size_t length = ones == 0 ? 1 : static_cast<std::size_t>(ones);
    if (text.size() - i < length) return false;
    std::uint32_t character = lead & (0xffu >> (ones + 1));
    for (const char next : text.substr(i + 1, length - 1)) {
      if ((next & 0xc0) != 0x80) return false;
      character = character << 6 | static_cast<unsigned>(next & 0x3f);
    }
    if (character < smallest[length - 1] || character > 0x10ffff) return false;
    if (character >= 0xd800 && character < 0xe000) return false;
    i += length;
  }
  return true;
}

// Returns the text. Readers refuse a whole record for one string in it that is not UTF-8.
inline std::string_view require_utf8(std::string_view text, const char* what) {
  if (is_utf8(text)) return text;
  std::string shown{text.substr(0, 100)};
  for (char& c : shown)
    if (c < ' ' || c > '~') c = '?';
  throw argument_error(std::string{what} + " of an event file must be UTF-8, which \"" + shown + "\" is not.");
}

}  // namespace spikenet::detail
