// The table of a sweep: a CSV file, one row for each training, written when that ends.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"

namespace mnist {

// One point of the grid.
struct neuron_values {
  double v_th = 0, a = 0, tau = 0;
  bool operator==(const neuron_values&) const = default;
};

struct sweep_row {
  neuron_values neurons;
  std::string run;                            // its directory's name
  std::optional<double> validation_accuracy;  // of the best epoch, 0 to 1; none where the training broke down
  std::optional<double> validation_loss;
  std::size_t best_epoch = 0;
  double seconds = 0;
  std::string error;  // what broke down
};

// The fields of a line of CSV (RFC 4180), and the line without its end. A field has no line breaks.
std::string csv_line(const std::vector<std::string>& fields);
std::vector<std::string> csv_fields(const std::string& line);

class sweep_table {
 public:
  // Goes on with the table that the file holds, if there is one; a row that a kill has cut short is removed. Throws
  // spikenet::file_error where it is not a table of this program, or of trainings with other options.
  sweep_table(std::filesystem::path path, const train_options& options);

  const std::vector<sweep_row>& rows() const { return rows_; }
  const sweep_row* find(const neuron_values& neurons) const;

  // Adds a row, to the file at once. Throws spikenet::file_error.
  void add(const sweep_row& row);

 private:
  void read(const std::string& content);
  void append(const std::vector<std::string>& fields);

  const std::filesystem::path path_;
  std::vector<std::string> option_names_, option_values_;  // the hyperparameters that all rows share
  std::vector<sweep_row> rows_;
};

}  // namespace mnist
