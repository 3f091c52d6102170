// Fuzz target: the safetensors reader. What it accepts covers the data without gap or overlap, and survives the writer.
#include <cstring>

#include "fuzz/safetensors_mutator.hpp"

namespace {

fuzz::bytes assemble(const std::string& header, std::size_t data_size) {
  const std::uint64_t length = header.size();
  fuzz::bytes file(8 + header.size() + data_size, 1);
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}

// Adds a tensor to the writer, where the reader has its elements and the writer their type.
template <class Scalar>
void add(spikenet::safetensors_writer& writer, const spikenet::safetensors_file& file, const std::string& tensor) {
  const auto values = file.values<Scalar>(tensor);
  writer.add<Scalar>(tensor, file.at(tensor).shape, values);
}

std::optional<spikenet::safetensors_file> parse(std::span<const std::byte> input) {
  // Per byte of input: an entry of the header takes some 10 bytes, and an extent, two characters, 24 while its list
  // grows.
  return fuzz::attempt(20 * input.size() + (1 << 13),
                       [&] { return spikenet::safetensors_file::parse(input, std::string{fuzz::input_name}); });
}

}  // namespace

std::vector<fuzz::bytes> fuzz::seeds() {
  return {
      assemble("{}", 0),
      assemble(R"({"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}} )", 8),
      assemble(
          R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
          R"("b":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]},"c":{"data_offsets":[8,10],"shape":[2],"dtype":"U8"}})",
          10),
      assemble(R"({"a\n\u00fc\ud83d\ude00":{"dtype":"I64","shape":[1],"data_offsets":[4,12]},)"
               R"("\u0000":{"dtype":"F32","shape":[1,1,1],"data_offsets":[0,4]}})",
               12),
      assemble(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
      assemble(R"({"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}})", 0),
      assemble(
          R"({"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[1,3]}})",
          3),
      assemble(
          R"({"__metadata__":null,"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]},)"
          R"("b":{"dtype":"C64","shape":[1],"data_offsets":[3,11]},"c":{"dtype":"F33","shape":[7],"data_offsets":[11,13]}})",
          13),
      // An error behind much white space, of which the parser makes long messages
      assemble("{" + std::string(360, '\t') + "?", 0),
  };
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span{data, size});
  ++fuzz::count.inputs;
  const auto file = parse(input);
  if (!file) return 0;
  ++fuzz::count.accepted;

  std::uint64_t header = 0;
  std::memcpy(&header, data, 8);
  std::size_t covered = 0;
  spikenet::safetensors_writer writer;
  for (const auto& [key, value] : file->metadata()) writer.set_metadata(key, value);
  for (const auto& [name, entry] : file->tensors()) {
    const auto content = file->bytes(name);
    covered += content.size();
    fuzz::require(std::ranges::equal(content, input.subspan(8 + header + entry.begin, content.size())),
                  "a tensor's bytes are those of the input");
    if (spikenet::detail::safetensors_element_bits(entry.dtype) == 0) continue;
    std::size_t bits = 8 * content.size();  // what remains of them when each extent has taken its factor
    for (const std::size_t extent : entry.shape) {
      if (extent == 0) fuzz::require(bits == 0, "an extent of 0 makes a tensor empty");
      if (extent == 0) break;
      fuzz::require(bits % extent == 0, "a tensor's size is a multiple of its extents");
      bits /= extent;
    }
    fuzz::require(bits <= 64, "a tensor's size is that of its shape");
    if (entry.dtype == "F32") add<float>(writer, *file, name);
    if (entry.dtype == "F64") add<double>(writer, *file, name);
    if (entry.dtype == "I64") add<std::int64_t>(writer, *file, name);
  }
  fuzz::require(covered == size - 8 - header, "each byte of the data belongs to a tensor");

  const auto again = parse(writer.bytes());
  fuzz::require(again.has_value(), "what the writer writes is accepted");
  fuzz::require(again->metadata() == file->metadata(), "metadata survives writing and reading");
  for (const auto& [name, entry] : file->tensors()) {
    if (entry.dtype != "F32" && entry.dtype != "F64" && entry.dtype != "I64") continue;
    fuzz::require(again->at(name).dtype == entry.dtype && again->at(name).shape == entry.shape &&
                      std::ranges::equal(again->bytes(name), file->bytes(name)),
                  "a tensor survives writing and reading");
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  return fuzz::mutate_safetensors(data, size, max_size, seed);
}
