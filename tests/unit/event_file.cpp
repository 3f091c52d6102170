#include <png.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <spikenet/io/event_file.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "unit/scratch.hpp"

namespace {

namespace fs = std::filesystem;
using spikenet::argument_error;
using spikenet::event_writer;
using spikenet::file_error;
using test::scratch;

std::string read_bytes(const fs::path& path) {
  std::ifstream stream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

// The CRC bit by bit, from its definition: the remainder of the division by the polynomial.
std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const char byte : bytes) {
    remainder ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder & 1) != 0 ? remainder >> 1 ^ 0x82f63b78 : remainder >> 1;
  }
  return remainder ^ 0xffffffff;
}

std::uint32_t slow_masked(std::string_view bytes) {
  const std::uint32_t crc = slow_crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
  T value;
  REQUIRE(at + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct record_list {
  std::vector<std::string> records;
  std::size_t torn = 0;  // bytes after the last whole record
};

// The data of a file's whole records. Their CRCs must be right.
record_list split_records(std::string_view file) {
  record_list result;
  std::size_t at = 0;
  while (file.size() - at >= 12) {
    const auto length = number_at<std::uint64_t>(file, at);
    REQUIRE(number_at<std::uint32_t>(file, at + 8) == slow_masked(file.substr(at, 8)));
    if (file.size() - at - 12 < length + 4) break;
    const std::string_view data = file.substr(at + 12, length);
    REQUIRE(number_at<std::uint32_t>(file, at + 12 + length) == slow_masked(data));
    result.records.emplace_back(data);
    at += length + 16;
  }
  result.torn = file.size() - at;
  return result;
}

// A protobuf message, taken apart by the definition of the wire format.
class message {
 public:
  message() = default;
  explicit message(std::string_view bytes) {
    std::size_t at = 0;
    const auto varint = [&] {
      std::uint64_t value = 0;
      for (unsigned shift = 0;; shift += 7) {
        if (at >= bytes.size() || shift > 63) throw std::runtime_error{"not a varint"};
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        value |= std::uint64_t{byte & 0x7fu} << shift;
        if (byte < 0x80) return value;
      }
    };
    while (at < bytes.size()) {
      const std::uint64_t key = varint();
      const std::uint64_t type = key & 7;
      if (type == 0) {
        integers_.emplace(key >> 3, static_cast<std::int64_t>(varint()));
        continue;
      }
      if (type != 1 && type != 2 && type != 5) throw std::runtime_error{"an unknown wire type"};
      const std::uint64_t length = type == 1 ? 8 : type == 5 ? 4 : varint();
      if (length > bytes.size() - at) throw std::runtime_error{"a field beyond the end"};
      (type == 2 ? strings_ : type == 1 ? fixed64_ : fixed32_).emplace(key >> 3, bytes.substr(at, length));
      at += length;
    }
  }

  std::size_t fields() const { return integers_.size() + strings_.size() + fixed64_.size() + fixed32_.size(); }
  bool has_string(std::uint64_t field) const { return strings_.contains(field); }
  std::int64_t integer(std::uint64_t field) const { return only(integers_, field); }
  std::string string(std::uint64_t field) const { return only(strings_, field); }
  double float64(std::uint64_t field) const { return number_at<double>(only(fixed64_, field), 0); }
  float float32(std::uint64_t field) const { return number_at<float>(only(fixed32_, field), 0); }
  message sub(std::uint64_t field) const { return message{string(field)}; }
  std::vector<message> all(std::uint64_t field) const {
    std::vector<message> result;
    const auto [first, last] = strings_.equal_range(field);
    for (auto it = first; it != last; ++it) result.emplace_back(it->second);
    return result;
  }
  std::vector<double> doubles(std::uint64_t field) const {
    const std::string packed = string(field);
    std::vector<double> result;
    for (std::size_t at = 0; at < packed.size(); at += 8) result.push_back(number_at<double>(packed, at));
    return result;
  }

 private:
  template <class Map>
  static const typename Map::mapped_type& only(const Map& map, std::uint64_t field) {
    if (map.count(field) != 1) throw std::runtime_error{"field " + std::to_string(field) + " is not there once"};
    return map.find(field)->second;
  }

  std::multimap<std::uint64_t, std::int64_t> integers_;
  std::multimap<std::uint64_t, std::string> strings_, fixed64_, fixed32_;
};

// The events of a whole file but the first, which says what the file is.
std::vector<message> read_events(const fs::path& path) {
  const record_list list = split_records(read_bytes(path));
  REQUIRE(list.torn == 0);
  REQUIRE(!list.records.empty());
  CHECK(message{list.records[0]}.string(3) == "brain.Event:2");
  std::vector<message> events;
  for (std::size_t i = 1; i < list.records.size(); ++i) events.emplace_back(list.records[i]);
  return events;
}

// The one value of an event's summary.
message value_of(const message& event) { return event.sub(5).sub(1); }

// The only event that `write` adds.
template <class Write>
message written_by(const std::string& name, Write write) {
  event_writer log{scratch(name)};
  write(log);
  log.flush();
  const auto events = read_events(log.path());
  REQUIRE(events.size() == 1);
  return events[0];
}

struct decoded_png {
  std::size_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
};

decoded_png decode(std::string_view png, png_uint_32 format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, png.data(), png.size()) != 0);
  image.format = format;
  decoded_png result{image.height, image.width, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(image))};
  REQUIRE(png_image_finish_read(&image, nullptr, result.pixels.data(), 0, nullptr) != 0);
  return result;
}

// While it lives, a file that grows beyond `bytes` is a failed write, as on a full disk.
class file_size_limit {
 public:
  explicit file_size_limit(rlim_t bytes) : old_handler_{::signal(SIGXFSZ, SIG_IGN)} {
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  file_size_limit(const file_size_limit&) = delete;
  ~file_size_limit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

}  // namespace

TEST_CASE("CRC-32C has the values of RFC 3720", "[event_file]") {
  using spikenet::detail::crc32c;
  // Appendix B.4.
  std::string ascending(32, '\0'), descending(32, '\0');
  for (std::size_t i = 0; i < 32; ++i) {
    ascending[i] = static_cast<char>(i);
    descending[i] = static_cast<char>(31 - i);
  }
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(crc32c(ascending) == 0x46dd794e);
  CHECK(crc32c(descending) == 0x113fdb5c);
  // The check value that the catalogues of CRCs give.
  static_assert(crc32c("123456789") == 0xe3069283);
  static_assert(crc32c("") == 0);
  CHECK(slow_crc32c("123456789") == 0xe3069283);
}

TEST_CASE("an event file begins by saying what it is", "[event_file]") {
  const fs::path directory = scratch("begins") / "runs" / "first";
  const auto before = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const event_writer log{directory};  // creates the directories
  CHECK(log.path().parent_path() == directory);
  const std::string name = log.path().filename().string();
  const std::string start = "events.out.tfevents.";
  REQUIRE(name.starts_with(start));
  const auto created = static_cast<double>(std::stoll(name.substr(start.size())));
  CHECK(created >= std::floor(before));
  CHECK(created < before + 60);
  const std::string process = std::to_string(::getpid());
  CHECK(name.ends_with('.' + process + ".0"));

  // Without a flush: whoever starts TensorBoard right away finds a run.
  const record_list list = split_records(read_bytes(log.path()));
  REQUIRE(list.records.size() == 1);
  const message event{list.records[0]};
  CHECK(event.fields() == 2);
  CHECK(event.string(3) == "brain.Event:2");
  CHECK(event.float64(1) >= before);
  CHECK(event.float64(1) < before + 60);
}

TEST_CASE("scalars are stored in their order with tag, step and time", "[event_file]") {
  const std::string tag = "loss / \xC3\xBC \xE2\x82\xAC \xF0\x9F\xA7\xA0";
  const std::vector<double> values{0.25, -3, 1e300, -std::numeric_limits<double>::infinity()};
  const std::vector<std::int64_t> steps{0, 127, std::int64_t{1} << 40, -1};
  event_writer log{scratch("scalars")};
  for (std::size_t i = 0; i < values.size(); ++i) log.scalar(tag, steps[i], values[i]);
  log.scalar("nan", 5, std::nan(""));
  CHECK(read_events(log.path()).empty());  // before the flush
  log.flush();

  const auto events = read_events(log.path());
  REQUIRE(events.size() == values.size() + 1);
  double last_time = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    CHECK(events[i].integer(2) == steps[i]);
    CHECK(events[i].float64(1) >= last_time);
    last_time = events[i].float64(1);
    CHECK(value_of(events[i]).string(1) == tag);
    CHECK(value_of(events[i]).fields() == 2);
    CHECK(value_of(events[i]).float32(2) == static_cast<float>(values[i]));
  }
  CHECK(value_of(events[2]).float32(2) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(value_of(events[values.size()]).float32(2)));

  log.flush();  // of nothing
  CHECK(read_events(log.path()).size() == values.size() + 1);
}

TEST_CASE("the destructor and a full buffer write what was not flushed", "[event_file]") {
  const fs::path directory = scratch("unflushed");
  fs::path path;
  {
    event_writer log{directory};
    path = log.path();
    log.scalar("x", 1, 1);
    CHECK(read_events(path).empty());
    log.text("long", 2, std::string(1 << 20, '.'));
    CHECK(read_events(path).size() == 2);
    log.scalar("x", 3, 1);
    CHECK(read_events(path).size() == 2);
  }
  CHECK(read_events(path).size() == 3);
}

TEMPLATE_TEST_CASE("a histogram counts each value in the bucket that holds it", "[event_file]", float, double) {
  std::vector<TestType> values{0, 0, 1, -1, TestType(1e-20), TestType(-1e-20), TestType(1e25), TestType(-1e25)};
  for (int i = -500; i <= 500; ++i) values.push_back(static_cast<TestType>(0.013 * i * std::abs(i)));
  values.push_back(std::numeric_limits<TestType>::max());
  values.push_back(std::numeric_limits<TestType>::lowest());

  const message event =
      written_by("histogram", [&](event_writer& log) { CHECK(log.histogram("weights", 7, values) == 0); });
  CHECK(event.integer(2) == 7);
  CHECK(value_of(event).string(1) == "weights");
  const message histogram = value_of(event).sub(5);
  CHECK(histogram.fields() == 7);
  CHECK(histogram.float64(1) == static_cast<double>(std::numeric_limits<TestType>::lowest()));
  CHECK(histogram.float64(2) == static_cast<double>(std::numeric_limits<TestType>::max()));
  CHECK(histogram.float64(3) == static_cast<double>(values.size()));

  const auto limits = histogram.doubles(6), counts = histogram.doubles(7);
  REQUIRE(limits.size() == counts.size());
  CHECK(std::is_sorted(limits.begin(), limits.end()));
  CHECK(limits.back() == std::numeric_limits<double>::max());
  CHECK(std::accumulate(counts.begin(), counts.end(), 0.0) == static_cast<double>(values.size()));
  double lower = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < limits.size(); ++i) {
    const bool last = i + 1 == limits.size();
    const auto inside = std::count_if(values.begin(), values.end(),
                                      [&](double value) { return value >= lower && (value < limits[i] || last); });
    CHECK(counts[i] == static_cast<double>(inside));
    // A bucket that counts something is narrow, and only one empty bucket stands between two that do.
    if (counts[i] > 0 && std::abs(lower) > 1e-12 && std::abs(lower) < 1e19 && std::abs(limits[i]) > 1e-12)
      CHECK(std::abs(limits[i] - lower) <= 0.1001 * std::max(std::abs(lower), std::abs(limits[i])));
    if (counts[i] == 0 && !last) CHECK(counts[i + 1] > 0);
    lower = limits[i];
  }
}

TEST_CASE("a histogram's sums are those of its values", "[event_file]") {
  const message histogram = value_of(written_by("sums", [](event_writer& log) {
                              log.histogram("h", 0, std::vector<double>{-1.5, 2, 4});
                            })).sub(5);
  CHECK(histogram.float64(1) == -1.5);
  CHECK(histogram.float64(2) == 4);
  CHECK(histogram.float64(3) == 3);
  CHECK(histogram.float64(4) == 4.5);
  CHECK(histogram.float64(5) == 22.25);
}

TEST_CASE("a histogram that was counted elsewhere is stored as it is", "[event_file]") {
  const double infinity = std::numeric_limits<double>::infinity();
  spikenet::counted_histogram counted{{-1, 0.5, infinity}, {2, 3, 1}, 6, -4, 7, 1.25, 70};
  const message histogram =
      value_of(written_by("counted", [&](event_writer& log) { log.histogram("h", 3, counted); })).sub(5);
  CHECK(histogram.float64(1) == -4);
  CHECK(histogram.float64(2) == 7);
  CHECK(histogram.float64(3) == 6);
  CHECK(histogram.float64(4) == 1.25);
  CHECK(histogram.float64(5) == 70);
  CHECK(histogram.doubles(6) == std::vector<double>{-1, 0.5, std::numeric_limits<double>::max()});
  CHECK(histogram.doubles(7) == counted.counts);
}

TEST_CASE("a counted histogram must fit together", "[event_file]") {
  event_writer log{scratch("counted_misfit")};
  const auto rejects = [&](std::vector<double> limits, std::vector<double> counts) {
    CHECK_THROWS_AS(log.histogram("h", 0, spikenet::counted_histogram{limits, counts}), argument_error);
  };
  rejects({}, {});
  rejects({1, 2}, {1});
  rejects({1, 1}, {1, 1});
  rejects({2, 1}, {1, 1});
  rejects({1, std::nan("")}, {1, 1});
  CHECK_NOTHROW(log.histogram("h", 0, spikenet::counted_histogram{{1}, {1}}));
}

TEST_CASE("a histogram leaves out what is not finite, and says how much", "[event_file]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const message some =
      value_of(written_by("not_finite", [&](event_writer& log) {
        CHECK(log.histogram("h", 0, std::vector<double>{1, std::nan(""), 2, infinity, -infinity}) == 3);
      })).sub(5);
  CHECK(some.float64(1) == 1);
  CHECK(some.float64(2) == 2);
  CHECK(some.float64(3) == 2);
  CHECK(some.float64(4) == 3);

  const bool empty = GENERATE(true, false);
  const std::vector<double> values(empty ? 0 : 4, infinity);
  const message none = value_of(written_by("nothing", [&](event_writer& log) {
                         CHECK(log.histogram("h", 0, values) == values.size());
                       })).sub(5);
  for (const unsigned field : {1u, 2u, 3u, 4u, 5u}) CHECK(none.float64(field) == 0);
  CHECK(none.doubles(6) == std::vector{std::numeric_limits<double>::max()});
  CHECK(none.doubles(7) == std::vector{0.0});
}

TEST_CASE("the bucket limits are TensorFlow's", "[event_file]") {
  const auto& limits = spikenet::detail::histogram_limits();
  REQUIRE(limits.size() == 2 * 775 + 1);
  CHECK(limits[775] == 0);
  for (std::size_t k = 0; k < 774; ++k) {
    const double expected = 1e-12 * std::pow(1.1, static_cast<double>(k));
    CHECK(limits[776 + k] == Catch::Approx(expected).epsilon(1e-12));
    CHECK(limits[774 - k] == -limits[776 + k]);
  }
  CHECK(limits[1549] < 1e20);
  CHECK(limits[1549] * 1.1 >= 1e20);
  CHECK(limits.front() == std::numeric_limits<double>::lowest());
  CHECK(limits.back() == std::numeric_limits<double>::max());
}

TEST_CASE("images are stored as PNG, pixel for pixel", "[event_file]") {
  const auto channels = GENERATE(std::size_t{1}, std::size_t{3});
  constexpr std::size_t height = 5, width = 7;
  std::vector<std::uint8_t> pixels(height * width * channels);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37);

  const message event = written_by("images", [&](event_writer& log) { log.image("digit", 3, pixels, height, width); });
  CHECK(event.integer(2) == 3);
  CHECK(value_of(event).string(1) == "digit");
  const message image = value_of(event).sub(4);
  CHECK(image.integer(1) == height);
  CHECK(image.integer(2) == width);
  CHECK(image.integer(3) == static_cast<std::int64_t>(channels));
  const decoded_png decoded = decode(image.string(4), channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
  CHECK(decoded.height == height);
  CHECK(decoded.width == width);
  CHECK(decoded.pixels == pixels);

  // The same file, given as one.
  const std::string png = image.string(4);
  const message again =
      written_by("png_images", [&](event_writer& log) { log.png_image("digit", 3, std::as_bytes(std::span{png})); });
  CHECK(value_of(again).string(4) == value_of(event).string(4));
}

TEST_CASE("what is no image is refused", "[event_file]") {
  event_writer log{scratch("no_image")};
  const std::vector<std::uint8_t> pixels(12);
  CHECK_NOTHROW(log.image("good", 0, pixels, 2, 2));
  CHECK_NOTHROW(log.image("good", 0, pixels, 4, 3));
  constexpr auto huge = std::numeric_limits<std::size_t>::max();
  for (const auto& [height, width] : std::vector<std::pair<std::size_t, std::size_t>>{
           {3, 3}, {0, 12}, {12, 0}, {0, 0}, {huge, huge}, {huge / 2 + 1, 24}, {12, huge}})
    CHECK_THROWS_MATCHES(log.image("digit", 0, pixels, height, width), argument_error,
                         says("Image digit has 12 bytes, which is neither a grey nor an RGB image of " +
                              std::to_string(height) + "x" + std::to_string(width) + " pixels."));
  // libpng's own limit.
  const std::vector<std::uint8_t> row(2'000'000);
  CHECK_THROWS_MATCHES(log.image("long", 0, row, 1, row.size()), argument_error, says("Image long: "));

  const std::string garbage = "GIF89a, and so on";
  CHECK_THROWS_MATCHES(log.png_image("picture", 0, std::as_bytes(std::span{garbage})), argument_error,
                       says("Image picture is not a PNG file"));
  CHECK_THROWS_MATCHES(log.png_image("picture", 0, {}), argument_error, says("Image picture is not a PNG file"));
  log.flush();
  CHECK(read_events(log.path()).size() == 2);
}

TEST_CASE("text is a string for the text plugin", "[event_file]") {
  const std::string markdown = "# T\xC3\xBCr\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
  const message event = written_by("text", [&](event_writer& log) { log.text("notes", 4, markdown); });
  CHECK(event.integer(2) == 4);
  const message value = value_of(event);
  CHECK(value.string(1) == "notes");
  CHECK(value.sub(9).sub(1).string(1) == "text");
  CHECK(value.sub(9).integer(4) == 2);
  CHECK(value.sub(8).integer(1) == 7);
  CHECK(value.sub(8).string(2).empty());
  CHECK(value.sub(8).string(8) == markdown);
}

TEST_CASE("hyperparameters keep their names, types and values", "[event_file]") {
  event_writer log{scratch("hyperparameters")};
  const std::string text = "two";
  log.hyperparameters({{"V_th", 0.4},
                       {"T", 2},
                       {"batch", std::size_t{64}},
                       {"shift", true},
                       {"flip", false},
                       {"optimizer", "Adam"},
                       {"copy", text},
                       {"view", std::string_view{text}}},
                      {"accuracy/validation", "loss/validation"});
  log.end_run(spikenet::run_status::success);
  log.flush();
  const auto events = read_events(log.path());
  REQUIRE(events.size() == 3);

  const auto plugin_data = [&](std::size_t i, const std::string& tag) {
    const message value = value_of(events[i]);
    CHECK(value.string(1) == tag);
    CHECK(value.has_string(8));
    CHECK(value.sub(9).sub(1).string(1) == "hparams");
    return value.sub(9).sub(1).sub(2);
  };
  const message experiment = plugin_data(0, "_hparams_/experiment").sub(2);
  const message session = plugin_data(1, "_hparams_/session_start_info").sub(3);
  const message end = plugin_data(2, "_hparams_/session_end_info").sub(4);

  const std::vector<std::string> names{"V_th", "T", "batch", "shift", "flip", "optimizer", "copy", "view"};
  const std::vector<std::int64_t> types{3, 3, 3, 2, 2, 1, 1, 1};  // number, truth value, string
  const auto infos = experiment.all(4), values = session.all(1);
  REQUIRE(infos.size() == names.size());
  REQUIRE(values.size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(infos[i].string(1) == names[i]);
    CHECK(infos[i].integer(4) == types[i]);
    CHECK(values[i].string(1) == names[i]);
    CHECK(values[i].sub(2).fields() == 1);
  }
  CHECK(values[0].sub(2).float64(2) == 0.4);
  CHECK(values[1].sub(2).float64(2) == 2);
  CHECK(values[2].sub(2).float64(2) == 64);
  CHECK(values[3].sub(2).integer(4) == 1);
  CHECK(values[4].sub(2).integer(4) == 0);
  CHECK(values[5].sub(2).string(3) == "Adam");
  CHECK(values[6].sub(2).string(3) == text);
  CHECK(values[7].sub(2).string(3) == text);

  const auto metrics = experiment.all(5);
  REQUIRE(metrics.size() == 2);
  CHECK(metrics[0].sub(1).string(2) == "accuracy/validation");
  CHECK(metrics[1].sub(1).string(2) == "loss/validation");
  CHECK(session.float64(5) >= experiment.float64(3));
  CHECK(end.float64(2) >= session.float64(5));
  CHECK(end.integer(1) == 1);
}

TEST_CASE("a run's end has the status that was given", "[event_file]") {
  const auto status = [](spikenet::run_status given) {
    const message event = written_by("status", [&](event_writer& log) { log.end_run(given); });
    return value_of(event).sub(9).sub(1).sub(2).sub(4).integer(1);
  };
  CHECK(status(spikenet::run_status::success) == 1);
  CHECK(status(spikenet::run_status::failure) == 2);
}

TEST_CASE("strings that are not UTF-8 and numbers that are not finite are refused", "[event_file]") {
  using spikenet::detail::is_utf8;
  for (const std::string good : {"", "a", "\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                                 "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK(is_utf8(good));
  CHECK(is_utf8(std::string_view{"\0\0", 2}));
  // Continuations alone, truncated, overlong, surrogates, beyond the last character, bytes that never occur.
  for (const std::string bad : {"\x80", "\xBF", "\xC2", "\xE2\x82", "\xF0\x9F\xA7", "\xC3x", "\xE2\x82x", "\xC0\x80",
                                "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
                                "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFE", "\xFF", "good\xC3"})
    CHECK_FALSE(is_utf8(bad));

  event_writer log{scratch("refused")};
  const std::string bad = "l\xF6ss";
  const std::vector<float> values{1};
  const std::vector<std::uint8_t> pixel{1};
  const auto refusal = says("A tag of an event file must be UTF-8, which \"l?ss\" is not.");
  CHECK_THROWS_MATCHES(log.scalar(bad, 0, 1), argument_error, refusal);
  CHECK_THROWS_MATCHES(log.histogram(bad, 0, values), argument_error, refusal);
  CHECK_THROWS_MATCHES(log.image(bad, 0, pixel, 1, 1), argument_error, refusal);
  CHECK_THROWS_MATCHES(log.text(bad, 0, "text"), argument_error, refusal);
  CHECK_THROWS_MATCHES(log.text("t", 0, bad), argument_error, says("Text of an event file must be UTF-8"));
  CHECK_THROWS_MATCHES(log.hyperparameters({{bad, 1}}, {}), argument_error, says("A hyperparameter's name"));
  CHECK_THROWS_MATCHES(log.hyperparameters({{"name", bad}}, {}), argument_error, says("A hyperparameter of"));
  CHECK_THROWS_MATCHES(log.hyperparameters({}, {bad}), argument_error, refusal);
  CHECK_THROWS_MATCHES(log.hyperparameters({{"rate", 0.1}, {"V_th", std::nan("")}}, {}), argument_error,
                       says("Hyperparameter V_th is not finite."));
  log.flush();
  CHECK(read_events(log.path()).empty());
}

TEST_CASE("writers in one directory have files of their own, in their order", "[event_file]") {
  const fs::path directory = scratch("several");
  event_writer first{directory}, second{directory}, third{directory, 40};
  CHECK(first.path() < second.path());
  CHECK(second.path() < third.path());
  first.scalar("x", 1, 1);
  second.scalar("x", 2, 2);
  first.flush();
  second.flush();
  CHECK(read_events(first.path()).at(0).integer(2) == 1);
  CHECK(read_events(second.path()).at(0).integer(2) == 2);

  const auto events = read_events(third.path());
  REQUIRE(events.size() == 1);
  CHECK(events[0].integer(2) == 40);
  CHECK(events[0].sub(7).integer(1) == 1);
}

TEST_CASE("a run directory that cannot be is an error that names it", "[event_file]") {
  const fs::path directory = scratch("errors");
  std::ofstream{directory / "file"} << "in the way";
  CHECK_THROWS_MATCHES(event_writer{directory / "file"}, file_error, says((directory / "file").string() + ": "));
  CHECK_THROWS_MATCHES(event_writer{directory / "file" / "run"}, file_error,
                       says((directory / "file").string() + "/run: cannot be created: "));
  CHECK_THROWS_MATCHES(event_writer{"/proc/run"}, file_error, says("/proc/run: cannot be created: "));
  CHECK_THROWS_MATCHES(event_writer{"/proc"}, file_error, says("/proc/events.out.tfevents."));
}

TEST_CASE("a failed write is an error that names the file, and the next flush repairs it", "[event_file]") {
  const fs::path directory = scratch("full_disk");
  event_writer log{directory};
  log.scalar("x", 0, 0);
  log.flush();
  const auto whole = fs::file_size(log.path());
  const std::string message_text = log.path().string() + ": cannot be written: File too large.";

  log.text("long", 1, std::string(100'000, 'a'));
  log.scalar("x", 2, 2);
  {
    const file_size_limit full{50'000};
    CHECK_THROWS_MATCHES(log.flush(), file_error, says(message_text));
    // What was flushed before is there, and readers stop at the record that is not whole.
    CHECK(fs::file_size(log.path()) > whole);
    CHECK(split_records(read_bytes(log.path())).records.size() == 2);
    CHECK(split_records(read_bytes(log.path())).torn > 0);

    CHECK_THROWS_MATCHES(log.flush(), file_error, says(message_text));
    CHECK_THROWS_MATCHES(log.text("longer", 3, std::string(1 << 20, 'b')), file_error, says(message_text));
  }
  log.scalar("x", 4, 4);  // room again
  log.flush();
  const auto events = read_events(log.path());
  REQUIRE(events.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(events[i].integer(2) == static_cast<std::int64_t>(i));
  CHECK(value_of(events[1]).sub(8).string(8) == std::string(100'000, 'a'));

  // A destructor cannot report it, and must not end the program.
  const file_size_limit full{100};
  fs::path path;
  {
    event_writer unlucky{directory};
    path = unlucky.path();
    unlucky.text("long", 0, std::string(1000, 'c'));
  }
  CHECK(split_records(read_bytes(path)).records.size() == 1);

  // No room even for the first record.
  const file_size_limit none{10};
  CHECK_THROWS_MATCHES(event_writer{directory}, file_error, says(": cannot be written: File too large."));
}

TEST_CASE("what was flushed survives SIGKILL at any moment", "[event_file]") {
  const fs::path directory = scratch("killed");
  const auto payload = [](std::int64_t step) { return std::string(static_cast<std::size_t>(step * 7919 % 5000), 'x'); };

  std::int64_t records = 0;
  for (int round = 0; round < 30; ++round) {
    std::array<int, 2> channel{};
    REQUIRE(::pipe(channel.data()) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    const fs::path run = directory / std::to_string(round);
    if (child == 0) {
      // Reports after each flush how many events are flushed.
      event_writer log{run};
      for (std::int64_t step = 0;;) {
        for (int i = 0; i < 3; ++i, ++step) log.text("t", step, payload(step));
        log.flush();
        if (::write(channel[1], &step, sizeof step) != sizeof step) ::_exit(1);
      }
    }
    ::close(channel[1]);
    // After the first report, so that there is something to lose; then at moments spread over some milliseconds.
    std::int64_t flushed = 0, report = 0;
    REQUIRE(::read(channel[0], &flushed, sizeof flushed) == sizeof flushed);
    std::this_thread::sleep_for(std::chrono::microseconds{round * 389 % 11'000});
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    while (::read(channel[0], &report, sizeof report) == sizeof report) flushed = report;
    ::close(channel[0]);

    const std::vector<fs::directory_entry> files{fs::directory_iterator{run}, {}};
    REQUIRE(files.size() == 1);
    const auto list = split_records(read_bytes(files[0].path()));
    REQUIRE(list.records.size() >= static_cast<std::size_t>(flushed) + 1);
    for (std::size_t i = 1; i < list.records.size(); ++i) {
      const message event{list.records[i]};
      const auto step = static_cast<std::int64_t>(i - 1);
      REQUIRE(event.integer(2) == step);
      REQUIRE(value_of(event).sub(8).string(8) == payload(step));
    }
    records += flushed;
  }
  CHECK(records >= 90);
}
