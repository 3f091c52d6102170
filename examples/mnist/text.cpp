#include "text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <spikenet/core/error.hpp>
#include <system_error>

namespace mnist {

std::string number(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string percent(double share) {
  if (share == 0) return "0 %";
  const double value = 100 * share;
  return number(value >= 99.95    ? "%.0f %%"
                : value >= 9.995  ? "%.1f %%"
                : value >= 0.9995 ? "%.2f %%"
                                  : "%.3f %%",
                value);
}

std::string accuracy_text(double share) { return std::isnan(share) ? "-" : number("%.2f %%", 100 * share); }

void print_table(const text_table& table, std::string_view align) {
  std::vector<std::size_t> widths(table[0].size());
  for (const auto& line : table)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  for (std::size_t n = 0; n < table.size(); ++n) {
    std::string text;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string space(widths[i] - table[n][i].size(), ' ');
      const bool left = align[std::min(i, align.size() - 1)] == 'l';
      text += (i > 0 ? "  " : "") + (left ? table[n][i] + space : space + table[n][i]);
    }
    const std::size_t width = text.size();
    text.resize(text.find_last_not_of(' ') + 1);
    std::printf("%s\n", text.c_str());
    if (n == 0) std::printf("%s\n", std::string(width, '-').c_str());
  }
}

void make_directory(const std::filesystem::path& path) {
  if (std::error_code error; !path.empty() && !std::filesystem::create_directories(path, error) && error)
    throw spikenet::file_error(path.string() + ": The directory cannot be created: " + error.message() + ".");
}

void save_text(const std::string& text, const std::filesystem::path& path) {
  std::ofstream file{path, std::ios::binary};
  file << text;
  if (!file.flush()) throw spikenet::file_error(path.string() + ": cannot be written: " + std::strerror(errno) + ".");
}

}  // namespace mnist
