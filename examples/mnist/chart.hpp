// Pictures of numbers: a bar chart, a line chart, a heat map and a grid of images, as SVG to print and as PNG to look at. One drawing
// code makes both, by cairo, and one look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mnist {

// Horizontal bars, the first on top: room for long names.
struct bar_chart {
  struct bar {
    std::string label;
    std::string note;       // between the label and the bar, in grey; may be empty
    double value = 0;       // of at least 0
    std::string text;       // at the end of the bar: the value as it is to be read
    std::size_t group = 0;  // which of the groups it belongs to
  };
  std::string title, subtitle;
  std::string label_name, note_name;  // head the labels and the notes
  std::string value_name;             // names the axis of the values
  std::vector<std::string> groups;    // a legend names them by their colours where there are several
  std::vector<bar> bars;
  bool as_percent = false;  // ticks of the axis: 0.1 is 10 %
};

// Points and the line through them, over two axes.
struct line_chart {
  struct point {
    double x = 0, y = 0;
    std::string label;  // beside it; may be empty
  };
  std::string title, subtitle;
  std::string x_name, y_name;  // name the axes
  std::vector<point> points;   // at least one, in the order of the line
  bool y_as_percent = false;   // ticks of the vertical axis: 0.1 is 10 %
};

// A value for each pair of a row and a column, by colour.
struct heat_map {
  std::string title, subtitle;
  std::string column_name, row_name, value_name;  // name the two axes and the colour bar
  std::vector<std::string> columns, rows;         // labels; the first row is on top
  std::vector<double> values;                     // [rows, columns]; NaN: no value, an empty cell
  std::vector<std::string> texts;                 // [rows, columns], printed in the cells; or empty
  bool as_percent = false;                        // ticks of the colour bar
};

// Grey images, row by row, each with two lines below it.
struct image_grid {
  struct item {
    std::span<const std::uint8_t> pixels;  // [height, width], row-major, 0 is black; must outlive the grid
    std::string caption, note;             // the note is in grey
  };
  std::string title, subtitle;
  std::size_t height = 0, width = 0;  // of each image, in pixels
  std::vector<item> items;
};

// Writes path.svg and path.png (a suffix that `path` has stays). Throws spikenet::file_error where that cannot be done.
void save_chart(const bar_chart& chart, const std::filesystem::path& path);
void save_chart(const line_chart& chart, const std::filesystem::path& path);
void save_chart(const heat_map& chart, const std::filesystem::path& path);
void save_chart(const image_grid& chart, const std::filesystem::path& path);

// The content of that PNG file.
std::vector<std::byte> png_of(const bar_chart& chart);

}  // namespace mnist
