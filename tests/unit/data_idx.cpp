#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/core/random.hpp"
#include "spikenet/data/idx.hpp"
#include "spikenet/data/transform.hpp"
#include "unit/scratch.hpp"

using namespace spikenet;

namespace {

using bytes = std::vector<std::uint8_t>;

std::span<const std::byte> view(const bytes& content) { return std::as_bytes(std::span{content}); }

bytes join(bytes a, const bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// An IDX header for any extents, honest or not.
bytes header(const std::vector<std::uint32_t>& shape) {
  bytes result{0, 0, 8, static_cast<std::uint8_t>(shape.size())};
  for (const std::uint32_t extent : shape)
    for (const int bits : {24, 16, 8, 0}) result.push_back(static_cast<std::uint8_t>(extent >> bits));
  return result;
}

bytes counting(std::size_t n) {
  bytes result(n);
  for (std::size_t i = 0; i < n; ++i) result[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return result;
}

bytes noise(std::size_t n, std::uint64_t s) {
  bytes result(n);
  random_stream random{seed{s}};
  for (auto& byte : result) byte = static_cast<std::uint8_t>(random());
  return result;
}

bytes gzip(const bytes& content) {
  z_stream deflater{};
  if (deflateInit2(&deflater, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  bytes input = content, result(deflateBound(&deflater, static_cast<uLong>(content.size())));
  deflater.next_in = input.data();
  deflater.avail_in = static_cast<uInt>(input.size());
  deflater.next_out = result.data();
  deflater.avail_out = static_cast<uInt>(result.size());
  const int status = deflate(&deflater, Z_FINISH);
  result.resize(deflater.total_out);
  deflateEnd(&deflater);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate");
  return result;
}

// A directory for one test, and the files in it by name.
class scratch_directory {
 public:
  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  void write(const std::string& name, const bytes& content) const {
    std::ofstream file{path_ / name, std::ios::binary};
    file.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    file.close();
    REQUIRE(file);
  }

 private:
  std::filesystem::path path_ = test::scratch("data_idx");
};

// Both forms of `content` are refused, plain and as gzip, with the name in front and these words in the message.
void check_refused(const bytes& content, const std::string& words) {
  CAPTURE(words);
  CHECK_THROWS_MATCHES(parse_idx(view(content), "some.idx"), file_error, says("some.idx: ") && says(words));
  CHECK_THROWS_MATCHES(parse_idx(view(gzip(content)), "some.idx"), file_error, says("some.idx: ") && says(words));
}

const bytes tiny_images = join(header({3, 2, 2}), counting(12)), tiny_labels = join(header({3}), {0, 2, 1});

}  // namespace

TEST_CASE("IDX arrays of any number of dimensions are read, plain and gzip", "[data][idx]") {
  const std::vector<std::vector<std::uint32_t>> shapes{{1}, {7}, {3, 5}, {2, 3, 4}, {2, 1, 3, 2}, {300, 40, 50}};
  for (const auto& shape : shapes) {
    std::size_t size = 1;
    for (const std::uint32_t extent : shape) size *= extent;
    for (const bytes& values : {counting(size), noise(size, 1), bytes(size)}) {
      const bytes file = join(header(shape), values);
      for (const bytes& stored : {file, gzip(file)}) {
        const idx_array array = parse_idx(view(stored), "test");
        CHECK(array.shape == std::vector<std::size_t>(shape.begin(), shape.end()));
        CHECK(array.values == values);
      }
    }
  }
}

TEST_CASE("a gzip file of several members is one file", "[data][idx]") {
  const bytes whole = join(header({500, 400}), counting(200000));
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{12}, std::size_t{70000}, whole.size()}) {
    const auto middle = whole.begin() + static_cast<std::ptrdiff_t>(cut);
    const bytes stored = join(join(gzip({whole.begin(), middle}), gzip({middle, whole.end()})), gzip({}));
    CHECK(parse_idx(view(stored), "test").values == counting(200000));
  }
}

TEST_CASE("every truncation of an IDX file is refused", "[data][idx]") {
  // Long enough for several of the reader's buffers, in compressed form, too.
  const bytes small = join(header({3, 4, 2}), counting(24)), large = join(header({200000}), noise(200000, 2));
  for (const bytes& file : {small, gzip(small)})
    for (std::size_t n = 0; n < file.size(); ++n) {
      const bytes part{file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n)};
      CHECK_THROWS_MATCHES(parse_idx(view(part), "cut.idx"), file_error, says("cut.idx: ") && says("truncated"));
    }
  for (const bytes& file : {large, gzip(large)})
    for (const std::size_t missing : {1u, 4u, 8u, 9u, 50u, 70000u, 140000u}) {
      const bytes part{file.begin(), file.end() - static_cast<std::ptrdiff_t>(missing)};
      CHECK_THROWS_MATCHES(parse_idx(view(part), "cut.idx"), file_error, says("cut.idx: ") && says("truncated"));
    }
}

TEST_CASE("what follows an IDX array is refused", "[data][idx]") {
  check_refused(join(tiny_images, {0}), "promises 12 bytes of data, but more follow");
  check_refused(join(tiny_images, tiny_images), "but more follow");
  for (const bytes& garbage : {bytes{0}, bytes{0, 0, 0, 0}, tiny_images, noise(100000, 4)})
    CHECK_THROWS_MATCHES(parse_idx(view(join(gzip(tiny_images), garbage)), "long.gz"), file_error,
                         says("long.gz: There is garbage after the end of the gzip stream."));
  CHECK_THROWS_MATCHES(parse_idx(view(join(gzip(tiny_images), {0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0})), "long.gz"),
                       file_error, says("long.gz: The gzip stream is corrupt (incorrect header check)."));
  CHECK_THROWS_MATCHES(parse_idx(view(join(gzip(tiny_images), gzip({0}))), "long.gz"), file_error,
                       says("but more follow"));
}

TEST_CASE("wrong magic numbers are refused", "[data][idx]") {
  check_refused({}, "truncated: it ends within its header");
  check_refused({'P', 'K', 3, 4, 0, 0, 0, 1, 9}, "not an IDX file: its magic number is 1347093252");
  check_refused({8, 0, 0, 1, 0, 0, 0, 1, 9}, "not an IDX file");
  check_refused({0, 8, 0, 1, 0, 0, 0, 1, 9}, "not an IDX file");
  check_refused({0, 0, 8, 0}, "not an IDX file");  // no dimension
  check_refused({0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0}, "data type is 13; only 8, unsigned bytes, can be read");
  check_refused({0, 0, 0, 1, 0, 0, 0, 1, 9}, "data type is 0");
}

TEST_CASE("headers that cannot be true are refused", "[data][idx]") {
  constexpr std::uint32_t huge = 0xffffffff;
  check_refused(header({0}), "Dimension 0 in the IDX header is 0");
  check_refused(join(header({1, 0, 28}), counting(28)), "Dimension 1 in the IDX header is 0");
  check_refused(header({huge, huge, 0}), "Dimension 2 in the IDX header is 0");
  check_refused(join(header({huge, huge, huge}), counting(100)), "promises more than 2^64 bytes");
  check_refused(join(header({65536, 65536, 65536, 65536}), counting(100)), "promises more than 2^64 bytes");
  check_refused(join(header({huge, huge}), counting(100)),
                "promises 18446744065119617025 bytes of data, more than a file of this length can hold");
  check_refused(join(header({huge}), counting(100)), "more than a file of this length can hold");
  check_refused(join(header({60000, 28, 28}), counting(100)), "truncated");
  // As many dimensions as the magic number can say, none of them there.
  check_refused({0, 0, 8, 255, 0, 0, 0, 1}, "truncated: it ends within its header");
}

TEST_CASE("a promise within the ratio of gzip is not believed either", "[data][idx]") {
  // The header promises no more than deflate could make of a file of this length, but far more than it did make of this
  // one: memory has to follow the data.
  const bytes stored = gzip(join(header({4000000000u}), noise(5000000, 3)));
  CHECK(stored.size() * 1032 > 4000000000u);
  CHECK_THROWS_MATCHES(parse_idx(view(stored), "bomb.gz"), file_error,
                       says("promises 4000000000 bytes of data, but there are 5000000."));
#ifdef __linux__  // elsewhere the unit is another
  rusage usage{};
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  CHECK(usage.ru_maxrss < 2000000);  // KiB, the peak of this process
#endif
}

TEST_CASE("a damaged gzip stream is refused, in its trailer as well", "[data][idx]") {
  const bytes stored = gzip(join(header({1000}), noise(1000, 5)));
  const auto damaged = [&](std::size_t from_end) {
    bytes copy = stored;
    copy[copy.size() - from_end] ^= 0x10;
    return copy;
  };
  CHECK_THROWS_MATCHES(parse_idx(view(damaged(8)), "x.gz"), file_error,
                       says("x.gz: The gzip stream is corrupt (incorrect data check)."));
  CHECK_THROWS_MATCHES(parse_idx(view(damaged(4)), "x.gz"), file_error,
                       says("x.gz: The gzip stream is corrupt (incorrect length check)."));
  // One flipped bit among the data.
  CHECK_THROWS_MATCHES(parse_idx(view(damaged(500)), "x.gz"), file_error, says("x.gz: The gzip stream is corrupt"));

  bytes dictionary{0x1f, 0x8b, 9};  // no such compression method
  dictionary.resize(30);
  CHECK_THROWS_MATCHES(parse_idx(view(dictionary), "x.gz"), file_error,
                       says("x.gz: The gzip stream is corrupt (unknown compression method)."));
}

TEST_CASE("random damage gives an array or a file_error, nothing else", "[data][idx]") {
  const bytes plain = join(header({4, 3, 5}), counting(60));
  random_stream random{seed{6}};
  const auto below = [&](std::size_t bound) { return random.below(static_cast<std::uint32_t>(bound)); };
  int read = 0, refused = 0;
  for (const bytes& valid : {plain, gzip(plain)})
    for (int i = 0; i < 20000; ++i) {
      bytes damaged = valid;
      for (std::uint32_t changes = 1 + below(3); changes > 0; --changes) {
        // Half of them in the header, where they matter most.
        const std::size_t at = below(below(2) == 0 ? 16 : damaged.size());
        damaged[at] = static_cast<std::uint8_t>(random());
      }
      if (below(4) == 0) damaged.resize(below(damaged.size() + 20));
      if (damaged.empty()) continue;
      try {
        const idx_array array = parse_idx(view(damaged), "damaged");
        std::size_t size = 1;
        for (const std::size_t extent : array.shape) size *= extent;
        if (array.values.size() != size) FAIL("the shape does not fit the values");
        ++read;
      } catch (const file_error&) {
        ++refused;
      }
    }
  CHECK(read > 100);
  CHECK(refused > 10000);
}

TEST_CASE("read_idx names the file and what is the matter", "[data][idx]") {
  const scratch_directory tmp;
  tmp.write("good", tiny_labels);
  tmp.write("good.gz", gzip(tiny_labels));
  tmp.write("misleading.gz", tiny_labels);
  tmp.write("short", {0, 0, 8, 1, 0, 0, 0, 9, 1, 2});
  tmp.write("empty", {});
  for (const std::string name : {"good", "good.gz", "misleading.gz"}) {
    const idx_array array = read_idx(tmp / name);
    CHECK(array.shape == std::vector<std::size_t>{3});
    CHECK(array.values == bytes{0, 2, 1});
  }
  CHECK_THROWS_MATCHES(read_idx(tmp / "absent"), file_error,
                       says((tmp / "absent") + ": The file cannot be opened: No such file or directory."));
  CHECK_THROWS_MATCHES(read_idx(tmp.path()), file_error, says(tmp.path().string() + ": This is not a regular file."));
  CHECK_THROWS_MATCHES(read_idx(tmp / "good/below"), file_error, says("cannot be opened: Not a directory."));
  CHECK_THROWS_MATCHES(read_idx("/dev/zero"), file_error, says("/dev/zero: This is not a regular file."));
  CHECK_THROWS_MATCHES(read_idx(tmp / "short"), file_error,
                       says((tmp / "short") + ": The file is truncated: its header promises 9 bytes of data"));
  CHECK_THROWS_MATCHES(read_idx(tmp / "empty"), file_error, says((tmp / "empty") + ": The file is truncated"));

  std::filesystem::permissions(tmp / "good", std::filesystem::perms::none);
  if (::geteuid() != 0)  // the superuser may read everything
    CHECK_THROWS_MATCHES(read_idx(tmp / "good"), file_error, says("cannot be opened: Permission denied."));
}

TEST_CASE("a data set is found under each of its names", "[data][idx]") {
  const std::vector<std::vector<std::string>> names{{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                                    {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"},
                                                    {"train-images.idx3-ubyte", "train-labels.idx1-ubyte"},
                                                    {"train-images.idx3-ubyte.gz", "train-labels-idx1-ubyte"}};
  for (const auto& name : names) {
    const scratch_directory tmp;
    tmp.write(name[0], name[0].ends_with("gz") ? gzip(tiny_images) : tiny_images);
    tmp.write(name[1], name[1].ends_with("gz") ? gzip(tiny_labels) : tiny_labels);
    const image_dataset data = read_idx_dataset(tmp.path(), "train", 3);
    CHECK(data.shape() == image_shape{1, 2, 2});
    CHECK(data.size() == 3);
    CHECK(data.labels == std::vector<std::int32_t>{0, 2, 1});
    CHECK(data.pixels == counting(12));
    CHECK_THROWS_MATCHES(read_idx_dataset(tmp.path(), "t10k", 3), file_error,
                         says((tmp / "t10k-images-idx3-ubyte") + ": The file does not exist, nor does "));
  }
}

TEST_CASE("a data set that does not add up is refused, naming the file", "[data][idx]") {
  const scratch_directory tmp;
  const std::string images = "train-images-idx3-ubyte", labels = "train-labels-idx1-ubyte";
  tmp.write(images, tiny_images);
  tmp.write(labels, tiny_labels);
  const auto read = [&] { return read_idx_dataset(tmp.path(), "train", 3); };
  CHECK(read().size() == 3);

  SECTION("no classes") { CHECK_THROWS_AS(read_idx_dataset(tmp.path(), "train", 0), argument_error); }
  SECTION("no directory") {
    CHECK_THROWS_MATCHES(read_idx_dataset(tmp / "absent", "train", 3), file_error,
                         says((tmp / "absent") + ": There is no such directory."));
  }
  SECTION("images are missing") {
    std::filesystem::remove(tmp / images);
    CHECK_THROWS_MATCHES(read(), file_error, says((tmp / images) + ": The file does not exist"));
  }
  SECTION("labels are missing") {
    std::filesystem::remove(tmp / labels);
    CHECK_THROWS_MATCHES(read(), file_error, says((tmp / labels) + ": The file does not exist"));
  }
  SECTION("fewer labels than images") {
    tmp.write(labels, join(header({2}), {0, 1}));
    CHECK_THROWS_MATCHES(read(), file_error,
                         says((tmp / labels) + ": There are 2 labels for the 3 images in " + (tmp / images)));
  }
  SECTION("more labels than images") {
    tmp.write(labels, join(header({4}), {0, 1, 2, 0}));
    CHECK_THROWS_MATCHES(read(), file_error, says((tmp / labels) + ": There are 4 labels for the 3 images"));
  }
  SECTION("a label without a class") {
    tmp.write(labels, join(header({3}), {0, 1, 3}));
    CHECK_THROWS_MATCHES(
        read(), file_error,
        says((tmp / labels) + ": The label of image 2 is 3, but the labels of 3 classes go from 0 to 2."));
    CHECK(read_idx_dataset(tmp.path(), "train", 4).labels.back() == 3);
  }
  SECTION("labels in place of images") {
    tmp.write(images, tiny_labels);
    CHECK_THROWS_MATCHES(read(), file_error,
                         says((tmp / images) + ": An array of images has 3 dimension(s), but this one has 1."));
  }
  SECTION("images in place of labels") {
    tmp.write(labels, tiny_images);
    CHECK_THROWS_MATCHES(read(), file_error,
                         says((tmp / labels) + ": An array of labels has 1 dimension(s), but this one has 3."));
  }
  SECTION("damaged images") {
    bytes stored = gzip(tiny_images);
    stored[stored.size() - 6] ^= 1;
    tmp.write(images, stored);
    CHECK_THROWS_MATCHES(read(), file_error, says((tmp / images) + ": The gzip stream is corrupt"));
  }
  SECTION("truncated labels") {
    tmp.write(labels, {0, 0, 8, 1, 0, 0, 0, 3, 1});
    CHECK_THROWS_MATCHES(read(), file_error, says((tmp / labels) + ": The file is truncated"));
  }
}

TEST_CASE("the MNIST that comes with this library is MNIST", "[data][idx][mnist]") {
  const image_dataset training = read_idx_dataset(SPIKENET_MNIST_DIR, "train", 10);
  CHECK(training.size() == 60000);
  CHECK(training.shape() == image_shape{1, 28, 28});
  CHECK(training.pixels.size() == 60000 * 784);
  CHECK(std::vector(training.labels.begin(), training.labels.begin() + 5) == std::vector<std::int32_t>{5, 0, 4, 1, 9});
  std::array<int, 10> count{};
  for (const std::int32_t label : training.labels) ++count[static_cast<std::size_t>(label)];
  CHECK(count == std::array<int, 10>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});

  const normalise measured = normalise::of(training);
  CHECK(measured.mean[0] == Approx(0.1307).margin(5e-5));
  CHECK(measured.stddev[0] == Approx(0.3081).margin(5e-5));

  const image_dataset test = read_idx_dataset(SPIKENET_MNIST_DIR, "t10k", 10);
  CHECK(test.size() == 10000);
  CHECK(std::vector(test.labels.begin(), test.labels.begin() + 5) == std::vector<std::int32_t>{7, 2, 1, 0, 4});
}
