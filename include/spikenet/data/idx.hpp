// Reader for IDX, the format of MNIST and of the data sets made in its image (Fashion-MNIST, KMNIST, EMNIST):
// big-endian magic 00 00 08 d (08: unsigned bytes, d: number of dimensions), d big-endian 32-bit extents, the bytes,
// row-major. Files may be gzip-compressed, which is found out from their content, not from their name. Needs zlib, so
// that <spikenet/spikenet.hpp> does not include it.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <limits>
#include <new>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/data/dataset.hpp"

namespace spikenet {

// An array of unsigned bytes with at least one dimension, none of which is 0.
struct idx_array {
  std::vector<std::size_t> shape;
  std::vector<std::uint8_t> values;  // row-major
};

namespace detail {

// Yields the content of a stream, decompressed where it is gzip. Memory is bounded by its buffer.
class idx_input {
 public:
  // `size` is the length of the stream as stored, `name` is what errors call it.
  idx_input(std::istream& in, std::uint64_t size, std::string name) : in_{in}, size_{size}, name_{std::move(name)} {
    refill();
    gzip_ = available_ >= 2 && buffer_[0] == 0x1f && buffer_[1] == 0x8b;
    // 16: a gzip header and trailer, whose checksum zlib verifies.
    if (gzip_ && inflateInit2(&inflater_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc{};
  }
  ~idx_input() {
    if (gzip_) inflateEnd(&inflater_);
  }
  idx_input(const idx_input&) = delete;
  idx_input& operator=(const idx_input&) = delete;

  // More bytes than this cannot come out. Deflate turns one byte into 1032 at most (a match of 258 bytes in 2 bits).
  std::uint64_t upper_bound() const noexcept {
    constexpr std::uint64_t ratio = 1032, max = std::numeric_limits<std::uint64_t>::max();
    return !gzip_ ? size_ : size_ > max / ratio ? max : size_ * ratio;
  }

  // Fills `target` and returns how many bytes there were: fewer than asked only at the end of the content.
  std::size_t read(std::span<std::uint8_t> target) { return gzip_ ? inflate_into(target) : copy_into(target); }

  [[noreturn]] void fail(const std::string& what) const { throw file_error(name_ + ": " + what); }

 private:
  void refill() {
    in_.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(buffer_.size()));
    if (in_.bad()) fail("The file cannot be read.");
    next_ = 0;
    available_ = static_cast<std::size_t>(in_.gcount());
  }

  std::size_t copy_into(std::span<std::uint8_t> target) {
    std::size_t done = 0;
    while (done < target.size()) {
      if (available_ == 0) refill();
      if (available_ == 0) break;
      const std::size_t n = std::min(available_, target.size() - done);
      std::copy_n(buffer_.data() + next_, n, target.data() + done);
      next_ += n, available_ -= n, done += n;
    }
    return done;
  }

  std::size_t inflate_into(std::span<std::uint8_t> target) {
    std::size_t done = 0;
    while (done < target.size()) {
      if (available_ == 0) refill();
      if (available_ == 0) {
        if (!in_member_) break;
        fail("The gzip stream is truncated.");
      }
      if (!in_member_) start_member();
      // zlib counts in unsigned int; what does not fit is left to the next round.
      const auto room =
          static_cast<uInt>(std::min<std::size_t>(target.size() - done, std::numeric_limits<uInt>::max()));
      inflater_.next_in = buffer_.data() + next_;
      inflater_.avail_in = static_cast<uInt>(available_);
      inflater_.next_out = target.data() + done;
      inflater_.avail_out = room;
      const int status = inflate(&inflater_, Z_NO_FLUSH);
      next_ += available_ - inflater_.avail_in;
      available_ = inflater_.avail_in;
      done += room - inflater_.avail_out;
      if (status == Z_STREAM_END)
        in_member_ = false;
      else if (status == Z_MEM_ERROR)
        throw std::bad_alloc{};
      else if (status != Z_OK && status != Z_BUF_ERROR)
        fail(std::string{"The gzip stream is corrupt"} +
             (inflater_.msg ? std::string{" ("} + inflater_.msg + ")" : "") + ".");
    }
    return done;
  }

  // A gzip file is one member or several, end to end (RFC 1952, section 2.2). What is no member is garbage, of which
  // zlib would only say that its header is incorrect.
  void start_member() {
    if (buffer_[next_] != 0x1f) fail("There is garbage after the end of the gzip stream.");
    inflateReset(&inflater_);
    in_member_ = true;
  }

  std::istream& in_;
  std::uint64_t size_;
  std::string name_;
  std::array<std::uint8_t, 1 << 16> buffer_;
  std::size_t next_ = 0, available_ = 0;  // the part of buffer_ that was read from in_ but not used yet
  bool gzip_ = false, in_member_ = false;
  z_stream inflater_{};
};

inline std::uint32_t big_endian_32(std::span<const std::uint8_t, 4> bytes) noexcept {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         std::uint32_t{bytes[3]};
}

inline idx_array parse_idx(idx_input& in) {
  std::array<std::uint8_t, 4> word{};
  const auto read_word = [&] {
    if (in.read(word) != word.size()) in.fail("The file is truncated: it ends within its header.");
    return big_endian_32(word);
  };

  const std::uint32_t magic = read_word();
  if (magic >> 16 != 0 || (magic & 0xff) == 0)
    in.fail("This is not an IDX file: its magic number is " + std::to_string(magic) + ", not 2049 or 2051.");
  if ((magic >> 8) != 0x08)
    in.fail("The IDX data type is " + std::to_string(magic >> 8) + "; only 8, unsigned bytes, can be read.");

  idx_array array;
  std::uint64_t size = 1;
  for (std::uint32_t dimension = 0; dimension < (magic & 0xff); ++dimension) {
    const std::uint32_t extent = read_word();
    if (extent == 0) in.fail("Dimension " + std::to_string(dimension) + " in the IDX header is 0.");
    if (size > std::numeric_limits<std::uint64_t>::max() / extent)
      in.fail("The IDX header promises more than 2^64 bytes.");
    size *= extent;
    array.shape.push_back(extent);
  }

  const std::uint64_t header = 4 + 4 * std::uint64_t{magic & 0xff};
  const std::string promise = "its header promises " + std::to_string(size) + " bytes of data, ";
  if (in.upper_bound() < header || size > in.upper_bound() - header)
    in.fail("The file is truncated: " + promise + "more than a file of this length can hold.");

  // A compressed file of little content may still promise a thousand times its own length. So memory follows the bytes
  // that have come, doubling, rather than the promise.
  std::size_t done = 0;
  while (done < size) {
    constexpr std::size_t least = 1 << 16;
    array.values.resize(static_cast<std::size_t>(std::min<std::uint64_t>(size, std::max(least, 2 * done))));
    const std::span rest = std::span{array.values}.subspan(done);
    const std::size_t n = in.read(rest);
    done += n;
    if (n < rest.size()) in.fail("The file is truncated: " + promise + "but there are " + std::to_string(done) + ".");
  }
  // Asking for one byte more also makes zlib reach the end of the stream, where the checksum is.
  if (in.read(std::span{word}.first(1)) != 0) in.fail("The file is too long: " + promise + "but more follow.");
  return array;
}

}  // namespace detail

// Reads an IDX array, plain or gzip, from memory; `name` is what errors call it. Throws file_error on anything that is
// not exactly one whole array of unsigned bytes. What a header promises is never allocated before it is found.
inline idx_array parse_idx(std::span<const std::byte> bytes, std::string_view name) {
  struct memory_buffer : std::streambuf {
    explicit memory_buffer(std::span<const std::byte> content) {
      // A stream buffer wants char*, but one that is only read from writes nothing.
      char* begin = const_cast<char*>(reinterpret_cast<const char*>(content.data()));
      setg(begin, begin, begin + content.size());
    }
  } buffer{bytes};
  std::istream stream{&buffer};
  detail::idx_input input{stream, bytes.size(), std::string{name}};
  return detail::parse_idx(input);
}

// Reads an IDX file, plain or gzip. Throws file_error, whose message starts with the path, when the file is missing,
// unreadable, truncated, too long, corrupt, or no IDX file of unsigned bytes.
inline idx_array read_idx(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& what) { throw file_error(path.string() + ": " + what); };
  const auto cannot_open = [&](const std::error_code& why) {
    fail("The file cannot be opened: " + why.message() + ".");
  };
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error) cannot_open(error);
  if (!std::filesystem::is_regular_file(status)) fail("This is not a regular file.");
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) cannot_open(error);
  std::ifstream stream{path, std::ios::binary};
  if (!stream) cannot_open({errno, std::generic_category()});
  detail::idx_input input{stream, size, path.string()};
  return detail::parse_idx(input);
}

// Reads `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte` (MNIST's prefixes are "train" and "t10k") from a
// directory. Each name may end in .gz, and may have a dot for its last hyphen but one, as some archives unpack them; of
// several forms the one without .gz wins. Images are [N, height, width], read as one channel; labels are [N].
// Throws file_error, naming the file, as read_idx does, when the counts differ, when the number of dimensions is
// another, and when a label is not below `classes`; argument_error when `classes` is 0.
inline image_dataset read_idx_dataset(const std::filesystem::path& directory, const std::string& prefix,
                                      std::size_t classes) {
  if (classes == 0) throw argument_error("A data set needs at least one class.");
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored))
    throw file_error(directory.string() + ": There is no such directory.");

  const auto find = [&](const std::string& kind, const std::string& format) {
    for (const std::string joint : {"-", "."})
      for (const std::string ending : {"", ".gz"}) {
        auto path = directory / (prefix + "-" + kind + joint + format + ending);
        if (std::filesystem::exists(path, ignored)) return path;
      }
    const std::string name = prefix + "-" + kind + "-" + format;
    throw file_error((directory / name).string() + ": The file does not exist, nor does " + name + ".gz, " + prefix +
                     "-" + kind + "." + format + " or " + prefix + "-" + kind + "." + format + ".gz.");
  };
  const auto read = [](const std::filesystem::path& path, std::size_t dimensions, const std::string& what) {
    idx_array array = read_idx(path);
    if (array.shape.size() != dimensions)
      throw file_error(path.string() + ": An array of " + what + " has " + std::to_string(dimensions) +
                       " dimension(s), but this one has " + std::to_string(array.shape.size()) + ".");
    return array;
  };

  const auto images_path = find("images", "idx3-ubyte"), labels_path = find("labels", "idx1-ubyte");
  idx_array labels = read(labels_path, 1, "labels");
  idx_array images = read(images_path, 3, "images");
  if (images.shape[0] != labels.shape[0])
    throw file_error(labels_path.string() + ": There are " + std::to_string(labels.shape[0]) + " labels for the " +
                     std::to_string(images.shape[0]) + " images in " + images_path.string() + ".");
  for (std::size_t i = 0; i < labels.values.size(); ++i)
    if (labels.values[i] >= classes)
      throw file_error(labels_path.string() + ": The label of image " + std::to_string(i) + " is " +
                       std::to_string(labels.values[i]) + ", but the labels of " + std::to_string(classes) +
                       " classes go from 0 to " + std::to_string(classes - 1) + ".");

  return {.channels = 1,
          .height = images.shape[1],
          .width = images.shape[2],
          .pixels = std::move(images.values),
          .labels = {labels.values.begin(), labels.values.end()}};
}

}  // namespace spikenet
