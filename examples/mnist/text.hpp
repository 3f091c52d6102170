// Numbers, tables and files of text: what the commands print and write.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace mnist {

// As printf's conversion of one double.
std::string number(const char* format, double value);
// Three digits: "12.3 %", "0.123 %".
std::string percent(double share);
// Two decimals: "99.36 %"; "-" for NaN.
std::string accuracy_text(double share);

// Rows of as many cells each, all ASCII; the first row is the heading. align: 'l' or 'r', flush left or right, for each
// column; the last one is for the columns that remain, too.
using text_table = std::vector<std::vector<std::string>>;
void print_table(const text_table& table, std::string_view align);

// Creates the directory and those above it where they are missing. Throws spikenet::file_error naming it where that
// cannot be done.
void make_directory(const std::filesystem::path& path);

// Creates or replaces the file. Throws spikenet::file_error naming it where that cannot be done.
void save_text(const std::string& text, const std::filesystem::path& path);

}  // namespace mnist
