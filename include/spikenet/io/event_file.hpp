// Event files, which TensorBoard shows while a program runs: scalars, histograms, images, text, and the hyperparameters
// by which its HParams tab compares runs. Independent of the rest of the library; a loop of one's own needs no more
// than
//
//   spikenet::event_writer log{"runs/first"};
//   log.scalar("loss/training", step, loss);
//   log.flush();
//
// and `tensorboard --logdir runs`. Opt-in: needs libpng, for the images. POSIX only.
//
// A file is a sequence of records, TFRecord's: u64 length | masked CRC of the length | data | masked CRC of the data,
// all little-endian. The data is one protobuf message, tensorboard.Event; the numbers below are those of the fields in
// tensorboard/compat/proto/{event,summary,tensor}.proto and tensorboard/plugins/hparams/{api,plugin_data}.proto.
#pragma once

#include <fcntl.h>
#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <spikenet/core/error.hpp>
#include <spikenet/io/protobuf.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace spikenet {

// A hyperparameter of a run. The type of what it is given decides its type in TensorBoard: truth value, number, string.
struct hyperparameter {
  std::string name;
  std::variant<bool, double, std::string> value;

  template <class Value>
  requires std::is_arithmetic_v<Value> || std::convertible_to<const Value&, std::string_view> hyperparameter(
      std::string of_name, const Value& of_value)
      : name{std::move(of_name)} {
    if constexpr (std::same_as<Value, bool>)
      value = of_value;
    else if constexpr (std::is_arithmetic_v<Value>)
      value = static_cast<double>(of_value);
    else
      value = std::string{std::string_view{of_value}};
  }
};

// A distribution that was counted elsewhere: of `count` values counts[i] lie above limits[i - 1], or are the least ones
// for i = 0, and not above limits[i]. The last limit may be infinite.
struct counted_histogram {
  std::vector<double> limits, counts;  // of the same length; limits ascending
  double count = 0, min = 0, max = 0, sum = 0, sum_of_squares = 0;
};

// How a run ended. TensorBoard calls the end of a run that has not said so unknown.
enum class run_status { success = 1, failure = 2 };

namespace detail {

// The CRC of RFC 3720 (iSCSI), section 12.1: polynomial 1EDC6F41, bits reflected.
inline constexpr auto crc32c_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0u);
  }
  return table;
}();

constexpr std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ crc32c_table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

// What TFRecord stores instead of a CRC, since a CRC of data that holds CRCs is a weak one.
constexpr std::uint32_t masked_crc32c(std::string_view bytes) noexcept {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

// The upper limits of TensorFlow's default buckets, ascending: 1e-12 * 1.1^k up to 1e20 and the largest double, the
// same below 0, and 0 itself.
inline const std::vector<double>& histogram_limits() {
  static const std::vector<double> limits = [] {
    std::vector<double> positive;
    for (double limit = 1e-12; limit < 1e20; limit *= 1.1) positive.push_back(limit);
    positive.push_back(std::numeric_limits<double>::max());
    std::vector<double> all;
    for (auto limit = positive.rbegin(); limit != positive.rend(); ++limit) all.push_back(-*limit);
    all.push_back(0);
    all.insert(all.end(), positive.begin(), positive.end());
    return all;
  }();
  return limits;
}

inline double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace detail

// Writes the event file of one run. Steps are the caller's count, of batches or epochs; so are the tags, of which each
// belongs to one kind of data. TensorBoard groups them by what stands before the first slash.
//
// Records are gathered in memory and written whole: by flush(), by the destructor, and by any call that finds more than
// a megabyte of them. What flush() has written survives the end of the process, however it comes (though not the
// machine's). A kill during a flush can leave the beginning of a record at the end of the file, where readers stop
// without complaint. Every call that adds a record can throw what flush() throws; the record is kept all the same.
//
// Not synchronised: one thread at a time.
class event_writer {
  using fields = detail::protobuf_message;

 public:
  // Creates the directory where it does not exist, and in it a file of its own, events.out.tfevents.<unix time>.
  // <host>.<process>.<n>: a run may go on in the directory where it began. What the earlier files hold for
  // `resume_step` and later steps TensorBoard then no longer shows. Throws file_error naming the path.
  explicit event_writer(const std::filesystem::path& run_directory,
                        std::optional<std::int64_t> resume_step = std::nullopt) {
    std::error_code error;
    std::filesystem::create_directories(run_directory, error);
    if (error) throw file_error(run_directory.string() + ": cannot be created: " + error.message() + ".");

    const double now = detail::unix_time();
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "localhost");
    const std::string name = "events.out.tfevents." + std::to_string(static_cast<std::int64_t>(now)) + "." +
                             host.data() + "." + std::to_string(::getpid()) + ".";
    for (int n = 0; descriptor_ < 0; ++n) {
      path_ = run_directory / (name + std::to_string(n));
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ < 0 && errno != EEXIST)
        throw file_error(path_.string() + ": cannot be created: " + std::strerror(errno) + ".");
    }

    try {
      add_record(fields{}.float64(1, now).bytes(3, "brain.Event:2"));  // file_version
      const auto start = fields{}.integer(1, 1);                       // SessionLog.status
      if (resume_step) add_record(fields{}.float64(1, now).integer(2, *resume_step).message(7, start));
      flush();
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
  event_writer(const event_writer&) = delete;
  event_writer& operator=(const event_writer&) = delete;
  // Flushes. Call flush() before to hear of a failure.
  ~event_writer() {
    try {
      flush();
    } catch (const file_error&) {
    }
    ::close(descriptor_);
  }

  // The event file.
  const std::filesystem::path& path() const noexcept { return path_; }

  // Stored as a float, NaN and infinity, too: TensorBoard shows a triangle for the one, a gap for the other. Throws
  // argument_error where the tag is not UTF-8, as all that follow do.
  void scalar(std::string_view tag, std::int64_t step, double value) {
    add_value(step, tagged(tag).float32(2, static_cast<float>(value)));  // simple_value
  }

  // The distribution of the values, in buckets that are 10 % wide, with TensorFlow's limits. NaN and infinity belong in
  // no bucket: they are left out of everything that is stored. Returns how many those were.
  std::size_t histogram(std::string_view tag, std::int64_t step, std::span<const float> values) {
    return add_histogram(tag, step, values);
  }
  std::size_t histogram(std::string_view tag, std::int64_t step, std::span<const double> values) {
    return add_histogram(tag, step, values);
  }

  // One that was counted elsewhere, in buckets of its own. Throws argument_error where limits and counts do not have
  // the same length, of at least 1, or the limits do not ascend.
  void histogram(std::string_view tag, std::int64_t step, const counted_histogram& counted) {
    const std::vector<double>& limits = counted.limits;
    const auto ascends = [](double low, double high) { return low < high; };
    if (limits.empty() || limits.size() != counted.counts.size() ||
        std::adjacent_find(limits.begin(), limits.end(), std::not_fn(ascends)) != limits.end())
      throw argument_error("Histogram " + std::string{tag} + " has " + std::to_string(counted.counts.size()) +
                           " counts and " + std::to_string(limits.size()) +
                           " limits, which must be as many, at least one, and ascending.");
    // What TensorBoard draws ends at the largest value; JSON, which carries it to the page, has no infinity.
    std::vector<double> finite = limits;
    finite.back() = std::min(finite.back(), std::numeric_limits<double>::max());
    put_histogram(
        tag, step,
        {finite, counted.counts, counted.count, counted.min, counted.max, counted.sum, counted.sum_of_squares});
  }

  // An image of 8-bit pixels, row-major: grey, [height, width], or RGB, [height, width, 3], by their number. Throws
  // argument_error where it is neither, or where libpng refuses it.
  void image(std::string_view tag, std::int64_t step, std::span<const std::uint8_t> pixels, std::size_t height,
             std::size_t width) {
    constexpr std::size_t largest = std::numeric_limits<std::int32_t>::max();  // the product fits in 64 bits
    const bool possible = height > 0 && width > 0 && height <= largest && width <= largest;
    const std::size_t area = possible ? height * width : 0;
    if (!possible || (pixels.size() != area && pixels.size() != 3 * area))
      throw argument_error("Image " + std::string{tag} + " has " + std::to_string(pixels.size()) +
                           " bytes, which is neither a grey nor an RGB image of " + std::to_string(height) + "x" +
                           std::to_string(width) + " pixels.");
    ::png_image description{};
    description.version = PNG_IMAGE_VERSION;
    description.height = static_cast<png_uint_32>(height);
    description.width = static_cast<png_uint_32>(width);
    description.format = pixels.size() == area ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(description);
    std::string png(size, '\0');
    if (!png_image_write_to_memory(&description, png.data(), &size, 0, pixels.data(), 0, nullptr))
      throw argument_error("Image " + std::string{tag} + ": " + description.message + ".");
    add_image(tag, step, {png.data(), size}, description);
  }

  // An image that is a PNG file's content already. Throws argument_error where its header is not one of a PNG file.
  void png_image(std::string_view tag, std::int64_t step, std::span<const std::byte> png) {
    ::png_image description{};
    description.version = PNG_IMAGE_VERSION;
    const bool valid = png_image_begin_read_from_memory(&description, png.data(), png.size()) != 0;
    png_image_free(&description);
    if (!valid) throw argument_error("Image " + std::string{tag} + " is not a PNG file: " + description.message + ".");
    add_image(tag, step, {reinterpret_cast<const char*>(png.data()), png.size()}, description);
  }

  // Text in Markdown, as TensorBoard renders it.
  void text(std::string_view tag, std::int64_t step, std::string_view markdown) {
    const fields shape;  // of no dimensions: one string
    const auto tensor =
        fields{}.integer(1, dt_string).message(2, shape).bytes(8, detail::require_utf8(markdown, "Text"));
    add_value(step, tagged(tag).message(9, plugin_metadata("text", {})).message(8, tensor));
  }

  // Enters the run into the table of the HParams tab, with its hyperparameters and, of the scalars in `metrics` (tags
  // of this run), the last value. The columns of the table are those of the first run that TensorBoard finds, so runs
  // that are to be compared should give the same names. Once in a run: TensorBoard goes by the first. Throws
  // argument_error where a name or value is not UTF-8, or a number not finite.
  void hyperparameters(const std::vector<hyperparameter>& values, const std::vector<std::string>& metrics) {
    fields experiment, session;
    experiment.float64(3, detail::unix_time());  // time_created_secs
    for (const auto& [name, value] : values) {
      detail::require_utf8(name, "A hyperparameter's name");
      fields stored;  // google.protobuf.Value
      data_type type{};
      if (const auto* truth = std::get_if<bool>(&value)) {
        stored.integer(4, *truth);
        type = data_type::boolean;
      } else if (const auto* number = std::get_if<double>(&value)) {
        if (!std::isfinite(*number)) throw argument_error("Hyperparameter " + name + " is not finite.");
        stored.float64(2, *number);
        type = data_type::number;
      } else {
        stored.bytes(3, detail::require_utf8(std::get<std::string>(value), "A hyperparameter"));
        type = data_type::string;
      }
      experiment.message(4, fields{}.bytes(1, name).integer(4, static_cast<int>(type)));
      session.message(1, fields{}.bytes(1, name).message(2, stored));
    }
    for (const std::string& tag : metrics)  // metric_infos: name.tag
      experiment.message(5, fields{}.message(1, fields{}.bytes(2, detail::require_utf8(tag, "A tag"))));
    session.float64(5, detail::unix_time());  // start_time_secs
    add_hparams("_hparams_/experiment", 2, experiment);
    add_hparams("_hparams_/session_start_info", 3, session);
  }

  // Says in that table how the run ended. Once in a run, too.
  void end_run(run_status status) {
    add_hparams("_hparams_/session_end_info", 4,
                fields{}.integer(1, static_cast<int>(status)).float64(2, detail::unix_time()));
  }

  // Writes all records so far. Throws file_error naming the file; they are then kept, and the next flush writes them to
  // the same place, over whatever part of them the disk had taken.
  void flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const std::size_t at = size_ + buffer_.size() - rest.size();
      const ssize_t written = ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw file_error(path_.string() + ": cannot be written: " + std::strerror(errno) + ".");
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    size_ += buffer_.size();
    buffer_.clear();
  }

 private:
  static constexpr std::size_t flush_above = 1 << 20;            // bytes
  static constexpr int dt_float = 1, dt_string = 7;              // tensorboard.DataType
  enum class data_type { string = 1, boolean = 2, number = 3 };  // tensorboard.hparams.DataType

  // Summary.Value with its tag.
  static fields tagged(std::string_view tag) { return fields{}.bytes(1, detail::require_utf8(tag, "A tag")); }

  // SummaryMetadata: plugin_data{plugin_name, content}, data_class TENSOR.
  static fields plugin_metadata(std::string_view plugin, std::string_view content) {
    return fields{}.message(1, fields{}.bytes(1, plugin).bytes(2, content)).integer(4, 2);
  }

  // HParamsPluginData with `message` for its field `field`. Its version, 0, is protobuf's default.
  void add_hparams(std::string_view tag, unsigned field, const fields& message) {
    const auto content = fields{}.message(field, message);
    const auto shape = fields{}.message(2, fields{}.integer(1, 0));  // one dimension, of extent 0
    const auto tensor = fields{}.integer(1, dt_float).message(2, shape);
    add_value(0, tagged(tag).message(9, plugin_metadata("hparams", content.encoded())).message(8, tensor));
  }

  // Summary.Image: height, width, colorspace (1 grey, 2 grey and alpha, 3 RGB, 4 RGBA), encoded_image_string.
  void add_image(std::string_view tag, std::int64_t step, std::string_view png, const ::png_image& description) {
    const auto image = fields{}
                           .integer(1, description.height)
                           .integer(2, description.width)
                           .integer(3, PNG_IMAGE_SAMPLE_CHANNELS(description.format))
                           .bytes(4, png);
    add_value(step, tagged(tag).message(4, image));
  }

  template <class Scalar>
  std::size_t add_histogram(std::string_view tag, std::int64_t step, std::span<const Scalar> values) {
    const std::vector<double>& limits = detail::histogram_limits();
    std::vector<double> counts(limits.size());
    double smallest = std::numeric_limits<double>::max(), largest = -smallest, sum = 0, sum_of_squares = 0;
    std::size_t left_out = 0;
    for (const double value : values) {
      if (!std::isfinite(value)) {
        ++left_out;
        continue;
      }
      // The largest double itself is not below the last limit.
      const auto above = std::upper_bound(limits.begin(), limits.end() - 1, value);
      ++counts[static_cast<std::size_t>(above - limits.begin())];
      smallest = std::min(smallest, value);
      largest = std::max(largest, value);
      sum += value;
      sum_of_squares += value * value;
    }
    // Of neighbouring empty buckets the last stands for all.
    std::vector<double> kept_limits, kept_counts;
    for (std::size_t i = 0; i < limits.size(); ++i) {
      if (counts[i] == 0 && i + 1 < limits.size() && counts[i + 1] == 0) continue;
      kept_limits.push_back(limits[i]);
      kept_counts.push_back(counts[i]);
    }
    const std::size_t counted = values.size() - left_out;
    const bool any = counted > 0;
    put_histogram(tag, step,
                  {kept_limits, kept_counts, static_cast<double>(counted), any ? smallest : 0, any ? largest : 0, sum,
                   sum_of_squares});
    return left_out;
  }

  void put_histogram(std::string_view tag, std::int64_t step, const counted_histogram& h) {
    const auto histogram = fields{}  // HistogramProto
                               .float64(1, h.min)
                               .float64(2, h.max)
                               .float64(3, h.count)
                               .float64(4, h.sum)
                               .float64(5, h.sum_of_squares)
                               .packed_float64(6, h.limits)
                               .packed_float64(7, h.counts);
    add_value(step, tagged(tag).message(5, histogram));
  }

  // An Event of now: wall_time, step, summary with one value.
  void add_value(std::int64_t step, const fields& value) {
    add_record(fields{}.float64(1, detail::unix_time()).integer(2, step).message(5, fields{}.message(1, value)));
  }

  void add_record(const fields& event) {
    std::string record;
    detail::append_little_endian(record, std::uint64_t{event.encoded().size()});
    detail::append_little_endian(record, detail::masked_crc32c(record));
    record += event.encoded();
    detail::append_little_endian(record, detail::masked_crc32c(event.encoded()));
    buffer_ += record;
    if (buffer_.size() > flush_above) flush();
  }

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::size_t size_ = 0;  // of the file's whole records
  std::string buffer_;    // the records that follow
};

}  // namespace spikenet
