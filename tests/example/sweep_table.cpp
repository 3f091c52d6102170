#include "sweep_table.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <spikenet/core/error.hpp>
#include <string>
#include <vector>

#include "catch.hpp"

namespace {

namespace fs = std::filesystem;
using fields = std::vector<std::string>;

fs::path scratch(const std::string& name) {
  const fs::path path = fs::path{SPIKENET_TEST_TMP} / ("sweep_table_" + name + ".csv");
  fs::remove_all(path);
  return path;
}

std::string content(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}
void write(const fs::path& path, const std::string& text) { std::ofstream{path, std::ios::binary} << text; }

mnist::sweep_row row(double v_th, double a, double accuracy) {
  return {.neurons = {v_th, a, 0.25},
          .run = "run",
          .validation_accuracy = accuracy,
          .validation_loss = 1 - accuracy,
          .best_epoch = 2,
          .seconds = 1.5,
          .error = {}};
}

}  // namespace

TEST_CASE("the fields of a line of CSV come back", "[sweep]") {
  for (const fields& each : {fields{""}, fields{"a", "", "b"}, fields{"a,b", "\"", "\"a\",\"", "x y"}, fields{"", ""}})
    CHECK(mnist::csv_fields(mnist::csv_line(each)) == each);
  CHECK(mnist::csv_line({"a", "b,c", "d\"e"}) == "a,\"b,c\",\"d\"\"e\"");  // RFC 4180, section 2
}

TEST_CASE("a table goes on where it was", "[sweep]") {
  const fs::path path = scratch("goes_on");
  const mnist::train_options options;
  {
    mnist::sweep_table table{path, options};
    table.add(row(0.1, 0.3, 0.75));
    table.add({.neurons = {0.2, 0.3, 0.25},
               .run = "broken",
               .validation_accuracy = {},
               .validation_loss = {},
               .seconds = 0.1,
               .error = "epoch 1, batch 2: \"conv1\""});
  }
  const std::string before = content(path);
  mnist::sweep_table table{path, options};
  CHECK(content(path) == before);
  REQUIRE(table.rows().size() == 2);
  CHECK(table.find({0.1, 0.3, 0.5}) == nullptr);
  const mnist::sweep_row* const good = table.find({0.1, 0.3, 0.25});
  REQUIRE(good != nullptr);
  CHECK(good->validation_accuracy == 0.75);
  CHECK(good->validation_loss == 0.25);
  CHECK(good->best_epoch == 2);
  CHECK(good->seconds == 1.5);
  CHECK(good->run == "run");
  const mnist::sweep_row* const broken = table.find({0.2, 0.3, 0.25});
  REQUIRE(broken != nullptr);
  CHECK_FALSE(broken->validation_accuracy.has_value());
  CHECK(broken->error == "epoch 1, batch 2: \"conv1\"");
}

TEST_CASE("a file cut short at any byte loses no more than the row that was cut", "[sweep]") {
  const fs::path path = scratch("cut");
  const mnist::train_options options;
  {
    mnist::sweep_table table{path, options};
    table.add(row(0.1, 1, 0.5));
    table.add(row(0.2, 1, 0.5));
  }
  const std::string whole = content(path);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write(path, whole.substr(0, size));
    const std::string kept = whole.substr(0, whole.rfind('\n', size == 0 ? 0 : size - 1) + 1);
    mnist::sweep_table table{path, options};
    const bool has_head = size > 0 && !kept.empty();
    const auto lines = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), '\n'));
    CHECK(table.rows().size() == (has_head ? lines - 1 : 0));
    table.add(row(0.9, 1, 0.5));
    CHECK(mnist::sweep_table(path, options).rows().size() == table.rows().size());
  }
}

TEST_CASE("a table of other trainings is refused", "[sweep]") {
  const fs::path path = scratch("refused");
  const mnist::train_options options;
  mnist::sweep_table{path, options}.add(row(0.1, 1, 0.5));
  const auto refused = [&](const mnist::train_options& now, const std::string& what) {
    CHECK_THROWS_MATCHES(mnist::sweep_table(path, now), spikenet::file_error, says(path.string() + ": ") && says(what));
  };
  mnist::train_options faster = options, fewer = options, other_neurons = options;
  faster.lr = 0.5;
  refused(faster, "Line 2 is of a sweep with another --lr: \"0.002\" there, \"0.5\" now");
  fewer.limit = 100;
  refused(fewer, "--limit: \"\" there, \"100\" now");
  other_neurons.model.v_th = 7;  // that of the rows counts
  CHECK_NOTHROW(mnist::sweep_table(path, other_neurons));

  const std::string whole = content(path);
  write(path, whole + "0.1,x,0.25\n");
  refused(options, "Line 3 is not a row");
  write(path, "a,b\n");
  refused(options, "Line 1 has not the columns");
  write(path, "\n");
  refused(options, "Line 1 has not the columns");
}
