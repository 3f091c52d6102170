// Reader and writer of safetensors files, https://huggingface.co/docs/safetensors: a u64 little-endian header length; a
// JSON header, name -> {dtype, shape, data_offsets}, with optional string-to-string `__metadata__`; then the data,
// row-major, little-endian, each byte belonging to exactly one tensor. Opt-in: needs nlohmann/json.
//
// The reader takes files from strangers. It checks all sizes against the file's own before it takes memory, and refuses
// what the format forbids with a file_error that names the file and the tensor. A tensor of a type that this reader
// does not know is there like any other, until someone asks for its values.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <spikenet/core/error.hpp>
#include <spikenet/io/atomic_file.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace spikenet {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian, and so is this reader");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

// The element types that tensors are written from and read into: F32, F64 and I64.
template <class Scalar>
concept safetensors_scalar =
    std::same_as<Scalar, float> || std::same_as<Scalar, double> || std::same_as<Scalar, std::int64_t>;

// String-to-string remarks in a file's header.
using safetensors_metadata = std::map<std::string, std::string, std::less<>>;

// One tensor of a file.
struct safetensors_entry {
  std::string dtype;               // "F32", "F64", "I64", ... as in the file
  std::vector<std::size_t> shape;  // empty for a scalar
  std::size_t begin = 0, end = 0;  // its bytes in the data section
};

namespace detail {

// Longer headers are refused, as the format's own readers do.
inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

// Returns the bits of an element, or 0 for an unknown type.
constexpr std::size_t safetensors_element_bits(std::string_view dtype) noexcept {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 22> sizes{
      {{"BOOL", 8},    {"U8", 8},      {"I8", 8},      {"U16", 16},        {"I16", 16},        {"U32", 32},
       {"I32", 32},    {"U64", 64},    {"I64", 64},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},
       {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F16", 16},
       {"BF16", 16},   {"F32", 32},    {"F64", 64},    {"C64", 64}}};
  for (const auto& [name, size] : sizes)
    if (name == dtype) return size;
  return 0;
}

template <safetensors_scalar Scalar>
constexpr std::string_view safetensors_dtype() noexcept {
  if constexpr (std::same_as<Scalar, float>) return "F32";
  if constexpr (std::same_as<Scalar, double>) return "F64";
  return "I64";
}

// A name out of a file, fit for a message: in quotes, no control characters, not endless.
inline std::string in_quotes(std::string_view name) {
  constexpr std::size_t longest = 120;
  const std::string shown{name.substr(0, longest)};
  return nlohmann::json(shown).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         (name.size() > longest ? "..." : "");
}

// Returns "dtype F16", or "the unknown dtype "F33"" for a type that this reader has no size for.
inline std::string dtype_text(std::string_view dtype) {
  return safetensors_element_bits(dtype) > 0 ? "dtype " + std::string{dtype} : "the unknown dtype " + in_quotes(dtype);
}

// "[64, 1, 3, 3]". Not endless either: a file may give a tensor any number of extents.
inline std::string shape_text(std::span<const std::size_t> shape) {
  constexpr std::size_t longest = 8;
  std::string text = "[";
  for (const std::size_t extent : shape.first(std::min(shape.size(), longest)))
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + (shape.size() > longest ? ", ...] (" + std::to_string(shape.size()) + " extents)" : "]");
}

// Returns the product of the extents times `element_size`, or nothing if it overflows.
inline std::optional<std::size_t> size_of(std::span<const std::size_t> shape, std::size_t element_size) noexcept {
  // A zero anywhere makes the tensor empty, however large the other extents.
  if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end()) return 0;
  std::size_t size = element_size;
  for (const std::size_t extent : shape) {
    if (size > std::numeric_limits<std::size_t>::max() / extent) return std::nullopt;
    size *= extent;
  }
  return size;
}

// Turns tabs and line ends between the tokens of JSON text into spaces. Where the parser finds an error it spells out
// all white space before it in a message, eight characters and several copies for each that is not a space: gigabytes
// for a header of the longest. Within strings, where the parser must refuse them, they stay.
inline void calm_white_space(std::string& json) noexcept {
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char& c = json[i];
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      if (c == '\\') ++i;
    } else if (c == '\t' || c == '\n' || c == '\r') {
      c = ' ';
    }
  }
}

// Receives the events of the JSON parser. Events rather than a document: nothing is kept but what the schema allows, a
// second entry of the same name is seen, and nesting ends where the schema does.
class safetensors_header_reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit safetensors_header_reader(const std::string& file) : file_{file} {}

  safetensors_metadata metadata;
  std::map<std::string, safetensors_entry, std::less<>> tensors;

  bool null() override {
    if (place_ != place::header || name_ != "__metadata__") return refuse();
    metadata_seen_ = true;  // there is none, as some writers say it
    return true;
  }
  bool boolean(bool) override { return refuse(); }
  bool number_integer(number_integer_t) override { return refuse(); }  // negative; the others come as unsigned
  bool number_float(number_float_t, const string_t&) override { return refuse(); }
  bool binary(binary_t&) override { return refuse(); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != place::numbers) return refuse();
    numbers_.push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == place::metadata) {
      metadata[key_] = std::move(value);
    } else if (place_ == place::tensor && key_ == "dtype") {
      dtype_ = std::move(value);
    } else {
      return refuse();
    }
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == place::header) {
      if (tensors.contains(value) || (value == "__metadata__" && metadata_seen_))
        fail("the header has two entries named " + in_quotes(value));
      name_ = std::move(value);
      return true;
    }
    if (place_ == place::metadata && metadata.contains(value))
      fail("__metadata__ has two entries named " + in_quotes(value));
    if (place_ == place::tensor) {
      if (value != "dtype" && value != "shape" && value != "data_offsets")
        fail("tensor " + in_quotes(name_) + " has an unknown property " + in_quotes(value));
      if ((value == "dtype" && dtype_) || (value == "shape" && shape_) || (value == "data_offsets" && offsets_))
        fail("tensor " + in_quotes(name_) + " has two properties named " + in_quotes(value));
    }
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == place::before) {
      place_ = place::header;
    } else if (place_ == place::header && name_ == "__metadata__") {
      place_ = place::metadata;
      metadata_seen_ = true;
    } else if (place_ == place::header) {
      place_ = place::tensor;
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else {
      return refuse();
    }
    return true;
  }

  bool end_object() override {
    if (place_ == place::tensor) {
      if (!dtype_ || !shape_ || !offsets_)
        fail("tensor " + in_quotes(name_) + " lacks its " + (!dtype_ ? "dtype" : !shape_ ? "shape" : "data_offsets"));
      tensors.emplace(name_, safetensors_entry{*dtype_, *shape_, offsets_->first, offsets_->second});
    }
    place_ = place_ == place::header ? place::after : place::header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != place::tensor || (key_ != "shape" && key_ != "data_offsets")) return refuse();
    place_ = place::numbers;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    place_ = place::tensor;
    if (key_ == "shape") {
      shape_ = std::move(numbers_);
    } else {
      if (numbers_.size() != 2) return refuse();
      offsets_ = {numbers_[0], numbers_[1]};
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail("the header is not valid JSON, as seen at byte " + std::to_string(position) + " of it");
  }

 private:
  enum class place { before, header, metadata, tensor, numbers, after };

  [[noreturn]] void fail(const std::string& what) const { throw file_error(file_ + ": " + what + "."); }

  // A value of a kind that the schema does not have here.
  bool refuse() const {
    switch (place_) {
      case place::header:
        if (name_ == "__metadata__") fail("__metadata__ must be an object of strings");
        fail("the header's entry for tensor " + in_quotes(name_) + " must be an object");
      case place::metadata:
        fail("the metadata " + in_quotes(key_) + " must be a string");
      case place::tensor:
      case place::numbers:
        fail("tensor " + in_quotes(name_) + ": its " + key_ + " must be " +
             (key_ == "dtype"   ? "a string"
              : key_ == "shape" ? "a list of whole numbers, none negative"
                                : "a list of two whole numbers, none negative"));
      case place::before:
      case place::after:
        break;
    }
    fail("the header must be one JSON object");
  }

  const std::string& file_;
  place place_ = place::before;
  bool metadata_seen_ = false;
  std::string name_, key_;  // the entry of the header and its property that are being read
  std::vector<std::size_t> numbers_;
  std::optional<std::string> dtype_;
  std::optional<std::vector<std::size_t>> shape_;
  std::optional<std::pair<std::size_t, std::size_t>> offsets_;
};

// The length of the header, from the first 8 bytes of a file of `file_size` bytes.
inline std::size_t safetensors_header_length(std::span<const std::byte, 8> bytes, std::uint64_t file_size,
                                             const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  if (length > safetensors_header_limit || length > file_size - 8)
    throw file_error(file + ": claims a header of " + std::to_string(length) + " bytes, but has " +
                     std::to_string(file_size - 8) + " after the header's length, and " +
                     std::to_string(safetensors_header_limit) +
                     " are allowed; it is truncated or no safetensors file.");
  return static_cast<std::size_t>(length);
}

// Throws file_error unless every tensor of a known type has the bytes that its shape needs, and the tensors cover the
// data section without gap or overlap.
inline void check_safetensors_layout(const std::map<std::string, safetensors_entry, std::less<>>& tensors,
                                     std::uint64_t data_size, const std::string& file) {
  std::vector<const std::pair<const std::string, safetensors_entry>*> by_offset;
  by_offset.reserve(tensors.size());
  for (const auto& tensor : tensors) {
    const auto fail = [&](const std::string& what) {
      throw file_error(file + ": tensor " + in_quotes(tensor.first) + " " + what + ".");
    };
    const safetensors_entry& entry = tensor.second;
    const std::string range = std::to_string(entry.begin) + " to " + std::to_string(entry.end);
    const std::size_t bits = safetensors_element_bits(entry.dtype);
    if (entry.begin > entry.end) fail("has data_offsets that run backwards, " + range);
    if (entry.end > data_size)
      fail("has its data at bytes " + range + ", beyond the end of the data, which has " + std::to_string(data_size) +
           " bytes; the file may be truncated");
    if (bits > 0 && size_of(entry.shape, bits) != 8 * (entry.end - entry.begin))
      fail("of dtype " + entry.dtype + " has " + std::to_string(entry.end - entry.begin) +
           " bytes, which is not what its shape takes");
    by_offset.push_back(&tensor);
  }

  std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
    return std::pair{a->second.begin, a->second.end} < std::pair{b->second.begin, b->second.end};
  });
  std::size_t covered = 0;
  for (const auto* tensor : by_offset) {
    if (tensor->second.begin != covered)
      throw file_error(file + ": tensor " + in_quotes(tensor->first) + " starts at byte " +
                       std::to_string(tensor->second.begin) + " of the data, but the one before it ends at " +
                       std::to_string(covered) + (tensor->second.begin < covered ? "; they overlap." : "."));
    covered = tensor->second.end;
  }
  if (covered != data_size)
    throw file_error(file + ": has " + std::to_string(data_size) + " bytes of data, of which the last " +
                     std::to_string(data_size - covered) + " belong to no tensor.");
}

}  // namespace detail

// The content of a safetensors file, checked and in memory.
class safetensors_file {
 public:
  // Throws file_error where the file cannot be read or is not a safetensors file.
  static safetensors_file read(const std::filesystem::path& path) {
    const std::string name = path.string();
    std::error_code failure;
    const auto status = std::filesystem::status(path, failure);
    if (!std::filesystem::exists(status)) throw file_error(name + ": cannot be opened: " + failure.message() + ".");
    if (!std::filesystem::is_regular_file(status)) throw file_error(name + ": is not a regular file.");
    const std::uint64_t size = std::filesystem::file_size(path, failure);
    std::ifstream stream{path, std::ios::binary};
    if (failure || !stream)
      throw file_error(name + ": cannot be opened: " + (failure ? failure.message() : std::strerror(errno)) + ".");

    return assemble(name, size, [&](std::span<std::byte> bytes) {
      stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      if (!stream) throw file_error(name + ": cannot be read to its end.");
    });
  }

  // The same from memory; `name` stands for the path in messages. `bytes` is copied.
  static safetensors_file parse(std::span<const std::byte> bytes, const std::string& name) {
    return assemble(name, bytes.size(), [&](std::span<std::byte> next) {
      std::copy_n(bytes.begin(), next.size(), next.begin());
      bytes = bytes.subspan(next.size());
    });
  }

  // The path it was read from, for messages.
  const std::string& name() const noexcept { return name_; }
  const safetensors_metadata& metadata() const noexcept { return metadata_; }
  // All tensors by name.
  const std::map<std::string, safetensors_entry, std::less<>>& tensors() const noexcept { return tensors_; }
  bool contains(std::string_view tensor) const { return tensors_.contains(tensor); }

  // Throws file_error naming the tensor where the file has none of that name.
  const safetensors_entry& at(std::string_view tensor) const {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end()) throw file_error(name_ + ": has no tensor " + detail::in_quotes(tensor) + ".");
    return found->second;
  }

  // The tensor's elements as they are in the file: row-major, little-endian, not aligned.
  std::span<const std::byte> bytes(std::string_view tensor) const {
    const safetensors_entry& entry = at(tensor);
    return std::span{data_}.subspan(entry.begin, entry.end - entry.begin);
  }

  // The tensor's elements, row-major. Floating-point numbers convert from F32 and F64, rounding to nearest (to infinity
  // where a double is out of float's range); integers come from I64 alone. Throws file_error for another dtype.
  template <safetensors_scalar Scalar>
  std::vector<Scalar> values(std::string_view tensor) const {
    const std::string_view dtype = at(tensor).dtype;
    if (dtype == detail::safetensors_dtype<Scalar>()) return converted<Scalar, Scalar>(tensor);
    if constexpr (std::floating_point<Scalar>) {
      if (dtype == "F32") return converted<Scalar, float>(tensor);
      if (dtype == "F64") return converted<Scalar, double>(tensor);
    }
    throw file_error(name_ + ": tensor " + detail::in_quotes(tensor) + " has " + detail::dtype_text(dtype) +
                     ", where " + (std::floating_point<Scalar> ? "F32 or F64" : "I64") + " is needed.");
  }

  // As values(), into memory of the caller's. Throws file_error also where `destination` has another number of
  // elements.
  template <safetensors_scalar Scalar>
  void copy_to(std::string_view tensor, std::span<Scalar> destination) const {
    const std::vector<Scalar> source = values<Scalar>(tensor);
    if (source.size() != destination.size())
      throw file_error(name_ + ": tensor " + detail::in_quotes(tensor) + " has " + std::to_string(source.size()) +
                       " elements, where " + std::to_string(destination.size()) + " are needed.");
    std::copy(source.begin(), source.end(), destination.begin());
  }

 private:
  safetensors_file() = default;

  // `next` fills a buffer with the bytes that follow those it gave before; at most `size` are asked for.
  template <class Next>
  static safetensors_file assemble(const std::string& name, std::uint64_t size, Next next) {
    if (size < 8) throw file_error(name + ": has " + std::to_string(size) + " bytes, too few for a safetensors file.");
    std::array<std::byte, 8> length_bytes{};
    next(std::span{length_bytes});
    const std::size_t length = detail::safetensors_header_length(length_bytes, size, name);
    const std::uint64_t data_size = size - 8 - length;

    std::string header(length, '\0');
    next(std::as_writable_bytes(std::span{header}));
    // The parser would skip white space and a byte order mark in front, and stop at a zero byte as if the text ended.
    if (!header.starts_with('{')) throw file_error(name + ": its header does not start with '{'.");
    if (header.find('\0') != std::string::npos) throw file_error(name + ": the header is not valid JSON.");
    detail::calm_white_space(header);
    detail::safetensors_header_reader reader{name};
    nlohmann::json::sax_parse(header, &reader);
    detail::check_safetensors_layout(reader.tensors, data_size, name);

    safetensors_file file;
    file.name_ = name;
    file.metadata_ = std::move(reader.metadata);
    file.tensors_ = std::move(reader.tensors);
    try {
      file.data_.resize(static_cast<std::size_t>(data_size));
    } catch (const std::bad_alloc&) {
      throw file_error(name + ": has " + std::to_string(data_size) + " bytes of data, more than fit in memory.");
    }
    next(std::span{file.data_});
    return file;
  }

  template <class Scalar, class Stored>
  std::vector<Scalar> converted(std::string_view tensor) const {
    const std::span<const std::byte> source = bytes(tensor);
    std::vector<Scalar> result(source.size() / sizeof(Stored));
    for (std::size_t i = 0; i < result.size(); ++i) {
      Stored element;
      std::memcpy(&element, source.data() + i * sizeof(Stored), sizeof(Stored));
      result[i] = static_cast<Scalar>(element);
    }
    return result;
  }

  std::string name_;
  safetensors_metadata metadata_;
  std::map<std::string, safetensors_entry, std::less<>> tensors_;
  std::vector<std::byte> data_;
};

// Collects tensors, then writes them.
class safetensors_writer {
 public:
  // Sets one entry of the header's `__metadata__`, replacing an earlier one of the same key.
  void set_metadata(std::string key, std::string value) {
    metadata_.insert_or_assign(std::move(key), std::move(value));
  }

  // Copies a tensor's elements, row-major. Throws argument_error where the name is taken or reserved, or where the
  // shape's product is not the number of values. An empty shape is a scalar: one value.
  template <safetensors_scalar Scalar>
  void add(const std::string& name, std::vector<std::size_t> shape, std::span<const Scalar> values) {
    if (name == "__metadata__") throw argument_error("A tensor cannot be named __metadata__: the format reserves it.");
    if (!names_.insert(name).second)
      throw argument_error("There are two tensors named " + detail::in_quotes(name) + ".");
    if (detail::size_of(shape, sizeof(Scalar)) != values.size_bytes())
      throw argument_error("Tensor " + detail::in_quotes(name) + " has " + std::to_string(values.size()) +
                           " values, which is not what its shape " + detail::shape_text(shape) + " takes.");
    const auto bytes = std::as_bytes(values);
    tensors_.push_back({name, detail::safetensors_dtype<Scalar>(), std::move(shape), {bytes.begin(), bytes.end()}});
  }

  // The file's content. Throws argument_error where a name or the metadata is not valid UTF-8.
  std::vector<std::byte> bytes() const {
    const layout arranged = arrange();
    std::vector<std::byte> result = arranged.head;
    result.insert(result.end(), arranged.data.begin(), arranged.data.end());
    return result;
  }

  // Creates or replaces the file in one step: an interrupted write leaves what was there. Throws as bytes() does, and
  // file_error naming `path`.
  void write(const std::filesystem::path& path) const {
    const layout arranged = arrange();
    write_file_atomically(path, arranged.head, arranged.data);
  }

 private:
  struct tensor {
    std::string name;
    std::string_view dtype;
    std::vector<std::size_t> shape;
    std::vector<std::byte> bytes;
  };
  struct layout {
    std::vector<std::byte> head, data;  // head: length and header
  };

  layout arrange() const {
    // Wide elements first: every tensor then starts at a multiple of its element size, which PyTorch's reader needs.
    std::vector<const tensor*> order;
    for (const tensor& t : tensors_) order.push_back(&t);
    std::stable_sort(order.begin(), order.end(), [](const tensor* a, const tensor* b) {
      return detail::safetensors_element_bits(a->dtype) > detail::safetensors_element_bits(b->dtype);
    });

    layout result;
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata_.empty()) header["__metadata__"] = metadata_;
    for (const tensor* t : order) {
      const std::size_t begin = result.data.size();
      result.data.insert(result.data.end(), t->bytes.begin(), t->bytes.end());
      header[t->name] = {{"dtype", t->dtype}, {"shape", t->shape}, {"data_offsets", {begin, result.data.size()}}};
    }
    std::string text;
    try {
      text = header.dump();
    } catch (const nlohmann::json::exception&) {
      throw argument_error("The names of tensors and the metadata of a safetensors file must be valid UTF-8.");
    }
    text.append((8 - text.size() % 8) % 8, ' ');  // the data starts at a multiple of 8, too
    if (text.size() > detail::safetensors_header_limit)
      throw argument_error("The header of a safetensors file would have " + std::to_string(text.size()) +
                           " bytes, and " + std::to_string(detail::safetensors_header_limit) + " are allowed.");

    const std::uint64_t length = text.size();
    const auto length_bytes = std::as_bytes(std::span{&length, 1});
    const auto text_bytes = std::as_bytes(std::span{text});
    result.head.assign(length_bytes.begin(), length_bytes.end());
    result.head.insert(result.head.end(), text_bytes.begin(), text_bytes.end());
    return result;
  }

  safetensors_metadata metadata_;
  std::vector<tensor> tensors_;
  std::set<std::string> names_;
};

}  // namespace spikenet
