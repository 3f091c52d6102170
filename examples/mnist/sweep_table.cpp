#include "sweep_table.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <spikenet/core/error.hpp>
#include <utility>

#include "hyperparameters.hpp"

namespace mnist {

namespace {

// In front of the options.
const std::vector<std::string> result_names{
    "v_th", "a", "tau", "validation_accuracy", "validation_loss", "best_epoch", "seconds", "error", "run"};

// All of the text.
std::optional<double> number_in(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? std::nullopt : std::optional{value};
}

std::string text_of_optional(const std::optional<double>& value) { return value ? text_of(*value) : ""; }

}  // namespace

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    if (fields[i].find_first_of(",\"") == std::string::npos) {
      line += fields[i];
      continue;
    }
    line += '"';
    for (const char c : fields[i]) line.append(c == '"' ? 2 : 1, c);
    line += '"';
  }
  return line;
}

std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '"' && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += line[i];
  }
  return fields;
}

sweep_table::sweep_table(std::filesystem::path path, const train_options& options) : path_{std::move(path)} {
  const auto add_option = [&](const std::string& name, const std::string& value) {
    if (std::find(result_names.begin(), result_names.end(), name) != result_names.end()) return;
    option_names_.push_back(name);
    option_values_.push_back(value);
  };
  add_option("data", options.data.string());
  for_each_hyperparameter(options, [&]<class Value>(const char* name, const Value& value) {
    if constexpr (requires { value.has_value(); })
      add_option(name, value ? text_of(*value) : "");
    else
      add_option(name, text_of(value));
  });

  std::ifstream file{path_, std::ios::binary};
  std::string content{std::istreambuf_iterator<char>{file}, {}};
  const std::size_t whole = content.rfind('\n') + 1;  // 0 where there is none
  if (whole > 0) read(content.substr(0, whole));
  if (whole < content.size()) {
    std::error_code error;
    std::filesystem::resize_file(path_, whole, error);
    if (error) throw spikenet::file_error(path_.string() + ": The table cannot be written: " + error.message() + ".");
  }
  if (whole > 0) return;
  std::vector<std::string> names = result_names;
  names.insert(names.end(), option_names_.begin(), option_names_.end());
  append(names);
}

void sweep_table::read(const std::string& content) {
  std::size_t line_number = 0;
  for (std::size_t start = 0, end = 0; start < content.size(); start = end + 1) {
    end = content.find('\n', start);
    const std::vector<std::string> fields = csv_fields(content.substr(start, end - start));
    const auto fail = [&](const std::string& what) {
      throw spikenet::file_error(path_.string() + ": Line " + std::to_string(line_number) + " " + what +
                                 "; choose another --out or --run_name.");
    };
    ++line_number;
    const bool fits = fields.size() == result_names.size() + option_names_.size();
    const auto options = fields.begin() + static_cast<std::ptrdiff_t>(std::min(result_names.size(), fields.size()));
    if (line_number == 1) {
      if (!fits || !std::equal(result_names.begin(), result_names.end(), fields.begin()) ||
          !std::equal(option_names_.begin(), option_names_.end(), options))
        fail("has not the columns of a sweep of this program");
      continue;
    }
    const auto number = [&](std::size_t i) { return number_in(fields[i]); };
    if (!fits || !number(0) || !number(1) || !number(2) || !number(5) || !number(6) || *number(5) < 0)
      fail("is not a row of a sweep");
    for (std::size_t i = 0; i < option_names_.size(); ++i)
      if (options[static_cast<std::ptrdiff_t>(i)] != option_values_[i])
        fail("is of a sweep with another --" + option_names_[i] + ": \"" + options[static_cast<std::ptrdiff_t>(i)] +
             "\" there, \"" + option_values_[i] + "\" now");
    rows_.push_back({.neurons = {*number(0), *number(1), *number(2)},
                     .run = fields[8],
                     .validation_accuracy = number(3),
                     .validation_loss = number(4),
                     .best_epoch = static_cast<std::size_t>(*number(5)),
                     .seconds = *number(6),
                     .error = fields[7]});
  }
}

const sweep_row* sweep_table::find(const neuron_values& neurons) const {
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const sweep_row& row) { return row.neurons == neurons; });
  return found == rows_.end() ? nullptr : &*found;
}

void sweep_table::add(const sweep_row& row) {
  std::vector<std::string> fields{text_of(row.neurons.v_th),
                                  text_of(row.neurons.a),
                                  text_of(row.neurons.tau),
                                  text_of_optional(row.validation_accuracy),
                                  text_of_optional(row.validation_loss),
                                  text_of(row.best_epoch),
                                  text_of(row.seconds),
                                  row.error,
                                  row.run};
  fields.insert(fields.end(), option_values_.begin(), option_values_.end());
  append(fields);
  rows_.push_back(row);
}

void sweep_table::append(const std::vector<std::string>& fields) {
  std::ofstream file{path_, std::ios::binary | std::ios::app};
  if (!(file << csv_line(fields) + "\n").flush())
    throw spikenet::file_error(path_.string() + ": The table cannot be written: " + std::strerror(errno) + ".");
}

}  // namespace mnist
