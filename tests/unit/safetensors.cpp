#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <spikenet/core/random.hpp>
#include <spikenet/io/safetensors.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "unit/scratch.hpp"

namespace {

namespace fs = std::filesystem;
using spikenet::argument_error;
using spikenet::file_error;
using spikenet::safetensors_file;
using spikenet::safetensors_writer;
using test::scratch;

std::vector<std::byte> read_bytes(const fs::path& path) {
  std::ifstream stream{path, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{stream}, {}};
  const auto bytes = std::as_bytes(std::span{text});
  return {bytes.begin(), bytes.end()};
}

void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream stream{path, std::ios::binary};
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// A file's content from its header, whatever that says, and a number of data bytes.
std::vector<std::byte> assemble(std::string_view header, std::size_t data_size) {
  const std::uint64_t length = header.size();
  std::vector<std::byte> bytes(8 + header.size() + data_size);
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

safetensors_file parse(std::string_view header, std::size_t data_size) {
  return safetensors_file::parse(assemble(header, data_size), "given.safetensors");
}

template <class Scalar>
std::span<const Scalar> view(const std::vector<Scalar>& values) {
  return values;
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator{directory}) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

const std::vector<float> floats{1.5f, -0.0f, std::numeric_limits<float>::denorm_min(), 3.25f, 1e30f, -7.0f};
const std::vector<double> doubles{0.1, -1e300, std::numeric_limits<double>::infinity()};
const std::vector<std::int64_t> integers{std::numeric_limits<std::int64_t>::min(), -1, 42};

// All three types, a scalar, an empty tensor, and names that JSON must escape.
safetensors_writer varied() {
  safetensors_writer writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata("note", "line\nbreak, \"quotes\", \xC3\xBC");
  writer.add("conv.weight", {2, 3}, view(floats));
  writer.add("count", {3}, view(integers));
  writer.add("doubles \"\xC3\xBC\"\n", {3, 1}, view(doubles));
  writer.add("empty", {0, 5}, std::span<const float>{});
  writer.add("scalar", {}, view(doubles).first(1));
  return writer;
}

}  // namespace

TEST_CASE("a safetensors file reads back as it was written", "[safetensors]") {
  const fs::path path = scratch("round_trip") / "varied.safetensors";
  varied().write(path);
  const std::vector<std::byte> written = varied().bytes();
  CHECK(read_bytes(path) == written);

  const bool from_disk = GENERATE(true, false);
  const auto file = from_disk ? safetensors_file::read(path) : safetensors_file::parse(written, path.string());
  CHECK(file.name() == path.string());
  CHECK(file.metadata() ==
        spikenet::safetensors_metadata{{"format", "pt"}, {"note", "line\nbreak, \"quotes\", \xC3\xBC"}});
  REQUIRE(file.tensors().size() == 5);
  CHECK(file.at("conv.weight").dtype == "F32");
  CHECK(file.at("conv.weight").shape == std::vector<std::size_t>{2, 3});
  CHECK(file.at("scalar").shape.empty());
  CHECK(file.at("empty").shape == std::vector<std::size_t>{0, 5});
  CHECK(file.contains("count"));
  CHECK_FALSE(file.contains("conv"));

  // Bits, not values: a negative zero and a denormal must survive.
  const auto stored = file.bytes("conv.weight");
  CHECK(std::ranges::equal(stored, std::as_bytes(view(floats))));
  CHECK(file.values<double>("doubles \"\xC3\xBC\"\n") == doubles);
  CHECK(file.values<std::int64_t>("count") == integers);
  CHECK(file.values<double>("scalar") == std::vector{0.1});
  CHECK(file.values<float>("empty").empty());
}

TEST_CASE("a safetensors file is laid out as the format says", "[safetensors]") {
  const std::vector<float> single{2.0f};
  const std::vector<std::int64_t> count{7};
  safetensors_writer writer;
  writer.add("a", {1}, view(single));
  writer.add("b", {}, view(count));
  const auto bytes = writer.bytes();

  // The wider element first, so that both are aligned; the header is padded with spaces to a multiple of 8.
  const std::string header =
      R"({"b":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::vector<std::byte> expected = assemble(padded, 12);
  std::memcpy(expected.data() + 8 + padded.size(), count.data(), 8);
  std::memcpy(expected.data() + 8 + padded.size() + 8, single.data(), 4);
  CHECK(bytes == expected);
}

TEST_CASE("safetensors values convert between float and double only", "[safetensors]") {
  const auto file = safetensors_file::parse(varied().bytes(), "varied.safetensors");
  CHECK(file.values<double>("conv.weight") == std::vector<double>(floats.begin(), floats.end()));
  CHECK(file.values<float>("scalar") == std::vector{0.1f});
  CHECK(std::isinf(file.values<float>("doubles \"\xC3\xBC\"\n")[1]));  // -1e300 is out of float's range

  CHECK_THROWS_MATCHES(file.values<float>("count"), file_error,
                       says("varied.safetensors: tensor \"count\" has dtype I64") && says("F32 or F64 is needed"));
  CHECK_THROWS_MATCHES(file.values<std::int64_t>("scalar"), file_error, says("F64") && says("I64 is needed"));
  CHECK_THROWS_MATCHES(file.values<float>("absent"), file_error, says("has no tensor \"absent\""));

  std::vector<double> destination(6);
  file.copy_to("conv.weight", std::span{destination});
  CHECK(destination[3] == 3.25);
  std::vector<double> small(5, 9.0);
  CHECK_THROWS_MATCHES(file.copy_to("conv.weight", std::span{small}), file_error,
                       says("\"conv.weight\" has 6 elements, where 5 are needed"));
  CHECK(small == std::vector<double>(5, 9.0));
}

TEST_CASE("other element types are read as bytes, whatever their alignment", "[safetensors]") {
  const auto file = parse(R"({"h":{"dtype":"BF16","shape":[2],"data_offsets":[1,5]},)"
                          R"("mask":{"dtype":"BOOL","shape":[1,1],"data_offsets":[0,1]},)"
                          R"("x":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}}   )",
                          9);
  CHECK(file.bytes("h").size() == 4);
  CHECK(file.at("mask").dtype == "BOOL");
  CHECK(file.values<float>("x") == std::vector{0.0f});
  CHECK(file.metadata().empty());
  CHECK(parse("{}", 0).tensors().empty());
}

TEST_CASE("all types of the format are accepted, and types that it may have one day", "[safetensors]") {
  for (const auto& [dtype, bytes] : std::vector<std::pair<std::string, std::size_t>>{
           {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8},
           {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E4M3FNUZ", 8},
           {"I16", 16},    {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"F8_E5M2FNUZ", 8},
           {"I32", 32},    {"U32", 32}, {"F32", 32},    {"C64", 64},    {"F64", 64},
           {"I64", 64},    {"U64", 64}, {"F33", 3},     {"f32", 1},     {"", 5}}) {
    CAPTURE(dtype);
    const auto file = parse(R"({"w":{"dtype":")" + dtype + R"(","shape":[2,4],"data_offsets":[0,)" +
                                std::to_string(bytes) + R"(]},"x":{"dtype":"U8","shape":[1],"data_offsets":[)" +
                                std::to_string(bytes) + "," + std::to_string(bytes + 1) + "]}}",
                            bytes + 1);
    CHECK(file.at("w").dtype == dtype);
    CHECK(file.bytes("w").size() == bytes);
    CHECK(file.at("x").begin == bytes);
  }
  const auto unknown = parse(R"({"w":{"dtype":"F\u001b33","shape":[1],"data_offsets":[0,4]}})", 4);
  CHECK_THROWS_MATCHES(unknown.values<float>("w"), file_error,
                       says("tensor \"w\" has the unknown dtype \"F\\u001b33\", where F32 or F64 is needed"));
  CHECK_THROWS_MATCHES(parse(R"({"w":{"dtype":"C64","shape":[],"data_offsets":[0,8]}})", 8).values<double>("w"),
                       file_error, says("tensor \"w\" has dtype C64, where F32 or F64 is needed"));
}

TEST_CASE("metadata may be said to be null", "[safetensors]") {
  const auto file = parse(R"({"__metadata__":null,"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  CHECK(file.metadata().empty());
  CHECK(file.contains("w"));
}

TEST_CASE("the reader accepts the golden files of the reference implementation", "[safetensors]") {
  const fs::path directory = fs::path{__FILE__}.parent_path().parent_path() / "golden" / "data";
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator{directory}) {
    if (entry.path().extension() != ".safetensors") continue;
    ++files;
    CAPTURE(entry.path());
    const auto file = safetensors_file::read(entry.path());
    const auto& input = file.at("input").shape;
    REQUIRE(input.size() == 4);
    CHECK(file.values<std::int64_t>("labels").size() == input[0]);
    const auto pixels = file.values<double>("input");
    CHECK(pixels.size() == input[0] * input[1] * input[2] * input[3]);
    CHECK(std::all_of(pixels.begin(), pixels.end(), [](double x) { return std::isfinite(x); }));
    CHECK(file.metadata().contains("timesteps"));
  }
  CHECK(files > 0);
}

TEST_CASE("the reader refuses headers that the format forbids", "[safetensors]") {
  struct bad_header {
    std::string header;
    std::size_t data_size;
    std::string message;
  };
  const auto tensor = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::vector<bad_header> cases{
      {"", 0, "does not start with '{'"},
      {"[]", 0, "does not start with '{'"},
      {" {}", 0, "does not start with '{'"},
      {"\xEF\xBB\xBF{}", 0, "does not start with '{'"},
      {"{", 0, "not valid JSON"},
      {"{}x", 0, "not valid JSON"},
      {"{}{}", 0, "not valid JSON"},
      {std::string{"{}\0", 3}, 0, "not valid JSON"},
      {std::string{"{}\0garbage", 10}, 0, "not valid JSON"},
      {R"({"\xFF":1})", 0, "not valid JSON"},
      {R"({"w":)" + std::string(1'000'000, '['), 0, "must be an object"},
      {R"({"w":)" + std::string(100'000, '{'), 0, "not valid JSON"},
      {R"({"w":{"dtype":{"a":1}}})", 0, "\"w\": its dtype must be a string"},
      {R"({"w":1})", 0, "entry for tensor \"w\" must be an object"},
      {R"({"w":null})", 0, "entry for tensor \"w\" must be an object"},
      {R"({"w":{}})", 0, "\"w\" lacks its dtype"},
      {R"({"w":{"dtype":"F32","data_offsets":[0,0]}})", 0, "\"w\" lacks its shape"},
      {R"({"w":{"dtype":"F32","shape":[0]}})", 0, "\"w\" lacks its data_offsets"},
      {R"({"w":{"dtype":"F32","strides":[1]}})", 0, "\"w\" has an unknown property \"strides\""},
      {R"({"w":{"dtype":"F32","dtype":"F64"}})", 0, "\"w\" has two properties named \"dtype\""},
      {R"({"w":)" + entry + R"(,"w":)" + entry + "}", 4, "two entries named \"w\""},
      {R"({"w":)" + entry + R"(,"\u0077":)" + entry + "}", 4, "two entries named \"w\""},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "two entries named \"__metadata__\""},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "__metadata__ has two entries named \"a\""},
      {R"({"__metadata__":{"a":1}})", 0, "metadata \"a\" must be a string"},
      {R"({"__metadata__":{"a":{"b":"c"}}})", 0, "metadata \"a\" must be a string"},
      {R"({"__metadata__":"a"})", 0, "__metadata__ must be an object of strings"},
      {tensor("32", "[1]", "[0,4]"), 4, "its dtype must be a string"},
      {R"({"__metadata__":null,"__metadata__":{}})", 0, "two entries named \"__metadata__\""},
      {R"({"__metadata__":{"a":null}})", 0, "metadata \"a\" must be a string"},
      {tensor(R"("F33")", "[1]", "[4,0]"), 4, "run backwards"},
      {tensor(R"("F33")", "[1]", "[0,8]"), 4, "beyond the end"},
      {tensor(R"("F33")", "[1]", "[0,3]"), 4, "belong to no tensor"},
      {tensor(R"("F4")", "[3]", "[0,2]"), 2, "\"w\" of dtype F4 has 2 bytes, which is not what its shape takes"},
      {tensor(R"("F6_E2M3")", "[4]", "[0,4]"), 4, "not what its shape takes"},
      {tensor(R"("F8_E8M0")", "[3]", "[0,4]"), 4, "not what its shape takes"},
      {tensor(R"("C64")", "[1]", "[0,4]"), 4, "not what its shape takes"},
      {tensor(R"("F32")", "1", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", "[-1]", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", "[1.0]", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", "[[1]]", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", R"(["1"])", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", "[18446744073709551616]", "[0,4]"), 4, "its shape must be a list of whole numbers"},
      {tensor(R"("F32")", "[1]", "[0]"), 4, "its data_offsets must be a list of two whole numbers"},
      {tensor(R"("F32")", "[1]", "[0,4,8]"), 4, "its data_offsets must be a list of two whole numbers"},
      {tensor(R"("F32")", "[1]", R"({"0":4})"), 4, "its data_offsets must be a list of two whole numbers"},
      {tensor(R"("F32")", "[1]", "[4,0]"), 4, "run backwards"},
      {tensor(R"("F32")", "[2]", "[0,8]"), 4, "beyond the end of the data, which has 4 bytes"},
      {tensor(R"("F32")", "[1]", "[18446744073709551612,18446744073709551615]"), 4, "beyond the end"},
      {tensor(R"("F32")", "[2]", "[0,4]"), 4, "\"w\" of dtype F32 has 4 bytes, which is not what its shape takes"},
      {tensor(R"("F64")", "[1]", "[0,4]"), 4, "not what its shape takes"},
      // 2^62 * 4 bytes = 2^64 and 2^32 * 2^32 elements: both are 0 where the product wraps around.
      {tensor(R"("F32")", "[4611686018427387904]", "[0,0]"), 0, "not what its shape takes"},
      {tensor(R"("U8")", "[4294967296,4294967296]", "[0,0]"), 0, "not what its shape takes"},
      {tensor(R"("F32")", "[1]", "[0,4]"), 5, "has 5 bytes of data, of which the last 1 belong to no tensor"},
      {"{}", 1, "belong to no tensor"},
      {tensor(R"("F32")", "[1]", "[1,5]"), 5, "\"w\" starts at byte 1 of the data, but the one before it ends at 0"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "tensor \"b\" starts at byte 1 of the data, but the one before it ends at 2; they overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "tensor \"b\" starts at byte 2"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2, "overlap"},
  };
  for (const auto& [header, data_size, message] : cases) {
    const std::string shown = header.substr(0, 200);
    CAPTURE(shown);
    CHECK_THROWS_MATCHES(parse(header, data_size), file_error, says("given.safetensors: ") && says(message));
  }
}

TEST_CASE("white space of all kinds may stand between a header's tokens, and none but spaces in a name",
          "[safetensors]") {
  const auto file = parse(
      "{\n\t\"a \\\"\\\\\" :\r\n{ \"dtype\":\t\"U8\",\n\"shape\" : [\t1 ,\n1 ], \"data_offsets\":[0,\r1]}\n}\t", 1);
  CHECK(file.at("a \"\\").shape == std::vector<std::size_t>{1, 1});
  for (const std::string space : {"\t", "\n", "\r"})
    for (const std::string before : {"", "\\\"", "\\\\"}) {
      const std::string name = "{\"" + before + space;
      CHECK_THROWS_MATCHES(parse(name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), file_error,
                           says("not valid JSON, as seen at byte " + std::to_string(name.size())));
    }
}

TEST_CASE("messages quote hostile names harmlessly", "[safetensors]") {
  const std::string name(5000, 'n');
  try {
    parse(R"({"\u001b[2J)" + name + R"(":1})", 0);
    FAIL("no error");
  } catch (const file_error& e) {
    const std::string message = e.what();
    CHECK(message.find('\x1b') == std::string::npos);
    CHECK(message.size() < 300);
  }
}

TEST_CASE("an empty tensor may stand anywhere between the others", "[safetensors]") {
  const auto file = parse(
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F64","shape":[0],"data_offsets":[2,2]},)"
      R"("c":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
      3);
  CHECK(file.bytes("b").empty());
  CHECK(file.bytes("c").size() == 1);
}

TEST_CASE("the reader refuses a header longer than the file, or than it ever should be", "[safetensors]") {
  std::vector<std::byte> bytes = varied().bytes();
  for (const std::uint64_t length : {std::uint64_t{bytes.size() - 7}, std::uint64_t{100'000'001}, ~std::uint64_t{0}}) {
    std::memcpy(bytes.data(), &length, 8);
    CHECK_THROWS_MATCHES(safetensors_file::parse(bytes, "f"), file_error,
                         says("f: claims a header of " + std::to_string(length) + " bytes"));
  }
  for (std::size_t size = 0; size < 8; ++size)
    CHECK_THROWS_MATCHES(safetensors_file::parse(std::span{bytes}.first(size), "f"), file_error,
                         says("f: has " + std::to_string(size) + " bytes, too few"));

  // On disk, where a sparse file of 200 MB backs the claim of a 100,000,001-byte header.
  const fs::path path = scratch("long_header") / "sparse.safetensors";
  const std::uint64_t length = 100'000'001;
  write_bytes(path, std::as_bytes(std::span{&length, 1}));
  fs::resize_file(path, 200'000'000);
  CHECK_THROWS_MATCHES(safetensors_file::read(path), file_error, says(path.string()) && says("100000000 are allowed"));
}

TEST_CASE("every truncation of a file is refused", "[safetensors]") {
  const fs::path path = scratch("truncated") / "short.safetensors";
  const std::vector<std::byte> bytes = varied().bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const auto part = std::span{bytes}.first(size);
    CHECK_THROWS_MATCHES(safetensors_file::parse(part, "part"), file_error, says("part: "));
  }
  write_bytes(path, std::span{bytes}.first(bytes.size() - 1));
  CHECK_THROWS_MATCHES(safetensors_file::read(path), file_error, says(path.string()) && says("truncated"));
}

TEST_CASE("random damage to a file is refused or harmless, and nothing else", "[safetensors]") {
  const std::vector<std::byte> original = varied().bytes();
  std::uint64_t header_length = 0;
  std::memcpy(&header_length, original.data(), 8);
  // Half of the new bytes come from JSON's own alphabet, to get past the first check.
  const std::string alphabet = R"({}[]",:0123456789-.eE\ntfu_FIU)";

  spikenet::random_stream random{spikenet::seed{20240917}};
  std::size_t refused = 0, accepted = 0;
  for (int round = 0; round < 40'000; ++round) {
    std::vector<std::byte> bytes = original;
    const auto position = [&] {
      const std::size_t range =
          random.below(8) == 0 ? bytes.size() : std::min<std::size_t>(8 + header_length, bytes.size());
      return range == 0 ? std::size_t{0} : std::size_t{random.below(static_cast<std::uint32_t>(range))};
    };
    const auto any_byte = [&] {
      return static_cast<std::byte>(
          random.below(2) == 0
              ? random.below(256)
              : static_cast<std::uint32_t>(alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))]));
    };
    for (std::uint32_t changes = 1 + random.below(4); changes > 0; --changes) {
      const auto at = static_cast<std::ptrdiff_t>(position());
      switch (random.below(8)) {
        case 0:
          bytes.resize(static_cast<std::size_t>(at));
          break;
        case 1:
          bytes.insert(bytes.begin() + at, any_byte());
          break;
        case 2:
          if (!bytes.empty()) bytes.erase(bytes.begin() + at);
          break;
        case 3: {  // repeat a stretch: duplicate names and properties
          const auto end =
              std::min(at + static_cast<std::ptrdiff_t>(random.below(80)), static_cast<std::ptrdiff_t>(bytes.size()));
          const std::vector<std::byte> stretch(bytes.begin() + at, bytes.begin() + end);
          bytes.insert(bytes.begin() + at, stretch.begin(), stretch.end());
          break;
        }
        default:
          if (!bytes.empty()) bytes[static_cast<std::size_t>(at)] = any_byte();
      }
    }
    // Most damage shifts the header's length; put it right half of the time, so that the rest is reached.
    if (bytes.size() >= 8 && random.below(2) == 0) {
      const std::uint64_t data_size = original.size() - 8 - header_length;
      const std::uint64_t length = bytes.size() - 8 > data_size ? bytes.size() - 8 - data_size : 0;
      std::memcpy(bytes.data(), &length, 8);
    }

    try {
      const auto file = safetensors_file::parse(bytes, "damaged");
      std::size_t covered = 0;
      for (const auto& [name, entry] : file.tensors()) {
        const std::size_t size = file.bytes(name).size();
        if (entry.dtype == "F32" && 4 * file.values<double>(name).size() != size) FAIL("F32 values are lost");
        if (entry.dtype == "F64" && 8 * file.values<float>(name).size() != size) FAIL("F64 values are lost");
        covered += size;
      }
      std::uint64_t length = 0;
      std::memcpy(&length, bytes.data(), 8);
      if (covered != bytes.size() - 8 - length) FAIL("accepted a file whose tensors do not cover its data");
      ++accepted;
    } catch (const file_error& e) {
      if (!std::string_view{e.what()}.starts_with("damaged: ")) FAIL(e.what());
      ++refused;
    }
  }
  // Both outcomes must be common, else the damage was too mild or too blunt to show anything.
  CHECK(accepted > 1000);
  CHECK(refused > 10'000);
}

TEST_CASE("the reader names files it cannot open", "[safetensors]") {
  const fs::path directory = scratch("unreadable");
  CHECK_THROWS_MATCHES(safetensors_file::read(directory / "absent.safetensors"), file_error,
                       says("absent.safetensors: cannot be opened: No such file"));
  CHECK_THROWS_MATCHES(safetensors_file::read(directory), file_error, says("is not a regular file"));
  CHECK_THROWS_MATCHES(safetensors_file::read("/dev/zero"), file_error, says("/dev/zero: is not a regular file"));
  write_bytes(directory / "empty", {});
  CHECK_THROWS_MATCHES(safetensors_file::read(directory / "empty"), file_error, says("has 0 bytes, too few"));
}

TEST_CASE("the writer refuses what it could not read back", "[safetensors]") {
  safetensors_writer writer;
  writer.add("w", {2, 3}, view(floats));
  CHECK_THROWS_MATCHES(writer.add("w", {2, 3}, view(floats)), argument_error, says("two tensors named \"w\""));
  CHECK_THROWS_MATCHES(writer.add("__metadata__", {6}, view(floats)), argument_error, says("__metadata__"));
  CHECK_THROWS_MATCHES(writer.add("v", {7}, view(floats)), argument_error,
                       says("\"v\" has 6 values, which is not what its shape [7] takes"));
  const std::size_t huge = std::size_t{1} << 63;
  CHECK_THROWS_MATCHES(writer.add("u", {huge, 2}, std::span<const float>{}), argument_error, says("\"u\""));

  const auto file = safetensors_file::parse(writer.bytes(), "f");
  CHECK(file.tensors().size() == 1);

  writer.set_metadata("note", "\xFF");
  const fs::path directory = scratch("not_written");
  CHECK_THROWS_MATCHES(writer.write(directory / "f"), argument_error, says("UTF-8"));
  CHECK(names_in(directory).empty());
}

TEST_CASE("a write that fails leaves the old file and nothing else", "[safetensors]") {
  const fs::path directory = scratch("failed_write");
  const fs::path path = directory / "model.safetensors";
  varied().write(path);
  const auto before = read_bytes(path);

  CHECK_THROWS_MATCHES(varied().write(directory / "absent" / "model.safetensors"), file_error,
                       says("absent/model.safetensors: cannot be created: No such file"));
  CHECK_THROWS_MATCHES(varied().write(directory), file_error, says("is not a regular file, so it is not replaced"));
  CHECK_THROWS_MATCHES(varied().write("/dev/null"), file_error, says("/dev/null: exists and is not a regular file"));

  // A disk that fills up half way: the process's limit on file sizes has the same effect.
  const std::vector<double> many(100'000, 1.0);
  safetensors_writer large;
  large.add("many", {many.size()}, view(many));
  rlimit old_limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old_limit;
  limit.rlim_cur = 50'000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::string message;
  try {
    large.write(path);
  } catch (const file_error& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  ::signal(SIGXFSZ, old_handler);
  CHECK(message == path.string() + ": cannot be written: File too large.");

  CHECK(read_bytes(path) == before);
  CHECK(names_in(directory) == std::vector<std::string>{"model.safetensors"});
  large.write(path);  // and without the limit it is replaced
  CHECK(safetensors_file::read(path).values<double>("many") == many);
  CHECK(names_in(directory) == std::vector<std::string>{"model.safetensors"});
}

TEST_CASE("a process killed while it writes leaves a whole file", "[safetensors]") {
  const fs::path path = scratch("killed") / "model.safetensors";
  const std::vector<double> ones(200'000, 1.0), twos(200'000, 2.0);
  safetensors_writer first, second;
  first.add("x", {ones.size()}, view(ones));
  second.add("x", {twos.size()}, view(twos));
  first.write(path);

  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (;;) {
        second.write(path);
        first.write(path);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1 + 3 * round});
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);

    const auto values = safetensors_file::read(path).values<double>("x");
    CHECK((values == ones || values == twos));
  }
}
