#include "chart.hpp"

#include <cairo-svg.h>
#include <cairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <spikenet/core/error.hpp>

namespace mnist {

namespace {

struct colour {
  double red, green, blue;
};
constexpr colour white{1, 1, 1}, ink{0.13, 0.14, 0.16}, grey{0.45, 0.47, 0.50}, faint{0.88, 0.89, 0.91};
// Of the groups: told apart by those who do not see red and green, too.
constexpr std::array<colour, 4> group_colours{
    {{0.20, 0.42, 0.69}, {0.90, 0.54, 0.16}, {0.25, 0.60, 0.45}, {0.55, 0.40, 0.65}}};
constexpr double title_size = 17, subtitle_size = 12, label_size = 12, tick_size = 11, margin = 24;

enum class align { left, centre, right };

// Pen and paper: cairo's calls by the names of what is drawn. Lengths are in points, from the top left corner.
class canvas {
 public:
  explicit canvas(cairo_t* to) : to_{to} {}

  void fill_rectangle(double x, double y, double width, double height, colour c) {
    use(c);
    cairo_rectangle(to_, x, y, width, height);
    cairo_fill(to_);
  }
  void line(double x, double y, double to_x, double to_y, colour c, double thickness = 1) {
    use(c);
    cairo_set_line_width(to_, thickness);
    cairo_move_to(to_, x, y);
    cairo_line_to(to_, to_x, to_y);
    cairo_stroke(to_);
  }
  // Grey values [rows, columns], each as a square of that size; x, y: the upper left corner.
  void pixels(std::span<const std::uint8_t> values, std::size_t columns, double x, double y, double size);
  double text_width(const std::string& text, double size, bool bold = false) {
    cairo_text_extents_t extents;
    font(size, bold);
    cairo_text_extents(to_, text.c_str(), &extents);
    return extents.x_advance;
  }
  // y is the baseline.
  void text(const std::string& text, double x, double y, double size, colour c, align how = align::left,
            bool bold = false) {
    const double width = text_width(text, size, bold);
    use(c);
    cairo_move_to(to_, how == align::left ? x : how == align::right ? x - width : x - width / 2, y);
    cairo_show_text(to_, text.c_str());
  }
  // Read from below, centred at (x, y); x is the baseline.
  void text_upwards(const std::string& text, double x, double y, double size, colour c) {
    cairo_save(to_);
    cairo_translate(to_, x, y);
    cairo_rotate(to_, -std::acos(-1.0) / 2);
    this->text(text, 0, 0, size, c, align::centre);
    cairo_restore(to_);
  }

 private:
  void use(colour c) { cairo_set_source_rgb(to_, c.red, c.green, c.blue); }
  void font(double size, bool bold) {
    cairo_select_font_face(to_, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(to_, size);
  }

  cairo_t* to_;
};

struct extent {
  double width, height;
};

// Lays a chart out, and draws it: how large it becomes depends on the widths of its texts.
using drawing = std::function<extent(canvas&)>;

using surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;
using context = std::unique_ptr<cairo_t, decltype(&cairo_destroy)>;

void canvas::pixels(std::span<const std::uint8_t> values, std::size_t columns, double x, double y, double size) {
  // Programs that show an SVG file smooth what they enlarge. Squares of several pixels stay squares.
  constexpr std::size_t fine = 4;
  const std::size_t rows = values.size() / columns;
  const surface image{
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(fine * columns), static_cast<int>(fine * rows)),
      cairo_surface_destroy};
  unsigned char* const data = cairo_image_surface_get_data(image.get());
  if (data == nullptr) throw std::bad_alloc{};
  const auto stride = static_cast<std::size_t>(cairo_image_surface_get_stride(image.get()));
  for (std::size_t i = 0; i < fine * rows; ++i)
    for (std::size_t j = 0; j < fine * columns; ++j) {
      const std::uint32_t value = values[i / fine * columns + j / fine], rgb = value << 16 | value << 8 | value;
      std::memcpy(data + i * stride + j * sizeof rgb, &rgb, sizeof rgb);
    }
  cairo_surface_mark_dirty(image.get());

  cairo_save(to_);
  cairo_translate(to_, x, y);
  cairo_scale(to_, size / fine, size / fine);
  cairo_set_source_surface(to_, image.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(to_), CAIRO_FILTER_NEAREST);
  cairo_paint(to_);
  cairo_restore(to_);
}

void check(cairo_status_t status, const std::string& path) {
  if (status != CAIRO_STATUS_SUCCESS)
    throw spikenet::file_error(path + ": The chart cannot be written: " + cairo_status_to_string(status) + ".");
}

extent draw_on(cairo_surface_t* to, const extent& size, const drawing& draw) {
  const context pen{cairo_create(to), cairo_destroy};
  canvas paper{pen.get()};
  paper.fill_rectangle(0, 0, size.width, size.height, white);
  return draw(paper);
}

extent size_of(const drawing& draw) {
  const surface nothing{cairo_recording_surface_create(CAIRO_CONTENT_COLOR, nullptr), cairo_surface_destroy};
  return draw_on(nothing.get(), {1, 1}, draw);
}

surface pixels_of(const drawing& draw, const extent& size) {
  constexpr double scale = 2;  // sharp on a dense screen, too
  surface pixels{cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::ceil(size.width * scale)),
                                            static_cast<int>(std::ceil(size.height * scale))),
                 cairo_surface_destroy};
  cairo_surface_set_device_scale(pixels.get(), scale, scale);
  draw_on(pixels.get(), size, draw);
  return pixels;
}

void save(const drawing& draw, const std::filesystem::path& path) {
  const std::string svg = path.string() + ".svg", png = path.string() + ".png";
  const extent size = size_of(draw);
  const surface vectors{cairo_svg_surface_create(svg.c_str(), size.width, size.height), cairo_surface_destroy};
  draw_on(vectors.get(), size, draw);
  cairo_surface_finish(vectors.get());
  check(cairo_surface_status(vectors.get()), svg);

  const surface pixels = pixels_of(draw, size);
  check(cairo_surface_write_to_png(pixels.get(), png.c_str()), png);
}

std::vector<std::byte> encode(const drawing& draw) {
  const surface pixels = pixels_of(draw, size_of(draw));
  std::vector<std::byte> png;
  const auto append = [](void* to, const unsigned char* bytes, unsigned int size) {
    const auto first = reinterpret_cast<const std::byte*>(bytes);
    static_cast<std::vector<std::byte>*>(to)->insert(static_cast<std::vector<std::byte>*>(to)->end(), first,
                                                     first + size);
    return CAIRO_STATUS_SUCCESS;
  };
  check(cairo_surface_write_to_png_stream(pixels.get(), append, &png), "PNG");
  return png;
}

std::string number(double value, bool as_percent) {
  std::array<char, 64> text{};
  if (as_percent)
    std::snprintf(text.data(), text.size(), "%.4g %%", 100 * value);
  else
    std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

// Some five round numbers over the range, which they cover.
std::vector<double> ticks(double low, double high) {
  if (!(high > low)) high = low + 1;
  const double raw = (high - low) / 5, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0})
    if (factor * power >= raw * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> result;
  for (double i = first; i <= last; ++i) result.push_back(i * step);
  return result;
}

// Title and subtitle; returns how wide they are.
double draw_title(canvas& paper, const std::string& title, const std::string& subtitle) {
  paper.text(title, margin, margin + 14, title_size, ink, align::left, true);
  paper.text(subtitle, margin, margin + 34, subtitle_size, grey);
  return margin + std::max(paper.text_width(title, title_size, true), paper.text_width(subtitle, subtitle_size));
}
constexpr double below_title = margin + 56;

extent draw_bars(const bar_chart& chart, canvas& paper) {
  constexpr double row = 24, thickness = 15, plot_width = 460, gap = 10;
  double label_width = paper.text_width(chart.label_name, tick_size);
  double note_width = paper.text_width(chart.note_name, tick_size), text_width = 0, greatest = 0;
  for (const bar_chart::bar& bar : chart.bars) {
    label_width = std::max(label_width, paper.text_width(bar.label, label_size));
    note_width = std::max(note_width, paper.text_width(bar.note, tick_size));
    text_width = std::max(text_width, paper.text_width(bar.text, tick_size));
    greatest = std::max(greatest, bar.value);
  }
  const std::vector<double> scale = ticks(0, greatest);
  const double left = margin + label_width + (note_width > 0 ? 2 * gap + note_width : 0) + gap,
               right = left + plot_width;
  const double top = below_title + 26;
  const double title_right = draw_title(paper, chart.title, chart.subtitle);

  double legend_right = 0;
  if (chart.groups.size() > 1) {
    double x = left;
    for (std::size_t i = 0; i < chart.groups.size(); ++i) {
      paper.fill_rectangle(x, top - 24, 12, 12, group_colours[i % group_colours.size()]);
      paper.text(chart.groups[i], x + 18, top - 14, label_size, ink);
      x += 18 + paper.text_width(chart.groups[i], label_size) + 24;
    }
    legend_right = x - 24;
  }
  paper.text(chart.label_name, margin, top - 14, tick_size, grey);
  paper.text(chart.note_name, left - gap, top - 14, tick_size, grey, align::right);

  const double bottom = top + row * static_cast<double>(chart.bars.size());
  const auto at = [&](double value) { return left + plot_width * value / scale.back(); };
  for (const double tick : scale) {
    paper.line(at(tick), top, at(tick), bottom + 4, faint);
    paper.text(number(tick, chart.as_percent), at(tick), bottom + 18, tick_size, grey, align::centre);
  }
  double y = top;
  for (const bar_chart::bar& bar : chart.bars) {
    const double baseline = y + row / 2 + 4;
    paper.text(bar.label, margin, baseline, label_size, ink);
    paper.text(bar.note, left - gap, baseline, tick_size, grey, align::right);
    paper.fill_rectangle(left, y + (row - thickness) / 2, at(bar.value) - left, thickness,
                         group_colours[bar.group % group_colours.size()]);
    paper.text(bar.text, at(bar.value) + 6, baseline, tick_size, ink);
    y += row;
  }
  paper.line(left, top, left, bottom, grey);
  paper.text(chart.value_name, (left + right) / 2, bottom + 40, label_size, ink, align::centre);
  return {std::max({right + text_width + 6, title_right, legend_right}) + margin, bottom + 40 + margin};
}

extent draw_line(const line_chart& chart, canvas& paper) {
  constexpr double plot_width = 460, plot_height = 260, gap = 8, dot = 6;
  const auto scale_of = [&](double line_chart::point::*of) {
    double low = INFINITY, high = -INFINITY;
    for (const line_chart::point& point : chart.points) {
      low = std::min(low, point.*of);
      high = std::max(high, point.*of);
    }
    return ticks(low, high);
  };
  const std::vector<double> across = scale_of(&line_chart::point::x), up = scale_of(&line_chart::point::y);
  double tick_width = 0, label_width = 0;
  for (const double tick : up) tick_width = std::max(tick_width, paper.text_width(number(tick, chart.y_as_percent), tick_size));
  for (const line_chart::point& point : chart.points)
    label_width = std::max(label_width, paper.text_width(point.label, tick_size));

  const double title_right = draw_title(paper, chart.title, chart.subtitle);
  const double left = margin + 22 + tick_width + gap, right = left + plot_width;
  const double top = below_title, bottom = top + plot_height;
  const auto x_of = [&](double value) {
    return left + plot_width * (value - across.front()) / (across.back() - across.front());
  };
  const auto y_of = [&](double value) { return bottom - plot_height * (value - up.front()) / (up.back() - up.front()); };
  for (const double tick : across) {
    paper.line(x_of(tick), top, x_of(tick), bottom + 4, faint);
    paper.text(number(tick, false), x_of(tick), bottom + 18, tick_size, grey, align::centre);
  }
  for (const double tick : up) {
    paper.line(left - 4, y_of(tick), right, y_of(tick), faint);
    paper.text(number(tick, chart.y_as_percent), left - gap, y_of(tick) + 4, tick_size, grey, align::right);
  }
  for (std::size_t i = 0; i < chart.points.size(); ++i) {
    const double x = x_of(chart.points[i].x), y = y_of(chart.points[i].y);
    if (i > 0) paper.line(x_of(chart.points[i - 1].x), y_of(chart.points[i - 1].y), x, y, group_colours[0], 2);
    paper.fill_rectangle(x - dot / 2, y - dot / 2, dot, dot, group_colours[0]);
    paper.text(chart.points[i].label, x + dot, y + 14, tick_size, ink);
  }
  paper.line(left, top, left, bottom, grey);
  paper.line(left, bottom, right, bottom, grey);
  paper.text(chart.x_name, (left + right) / 2, bottom + 40, label_size, ink, align::centre);
  paper.text_upwards(chart.y_name, margin + 10, (top + bottom) / 2, label_size, ink);
  return {std::max(right + label_width + dot, title_right) + margin, bottom + 40 + margin};
}

// Viridis (van der Walt and Smith, 2015; public domain), by nine of its colours: light is more, in grey as well.
colour shade(double share) {
  static constexpr std::array<colour, 9> colours{{{0.267, 0.005, 0.329},
                                                  {0.279, 0.175, 0.483},
                                                  {0.230, 0.322, 0.546},
                                                  {0.173, 0.449, 0.558},
                                                  {0.128, 0.567, 0.551},
                                                  {0.158, 0.684, 0.502},
                                                  {0.369, 0.789, 0.383},
                                                  {0.678, 0.864, 0.190},
                                                  {0.993, 0.906, 0.144}}};
  const double at = std::clamp(share, 0.0, 1.0) * (colours.size() - 1);
  const std::size_t low = std::min<std::size_t>(static_cast<std::size_t>(at), colours.size() - 2);
  const double part = at - static_cast<double>(low);
  const auto mix = [part](double a, double b) { return a + part * (b - a); };
  const colour &a = colours[low], &b = colours[low + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

extent draw_cells(const heat_map& chart, canvas& paper) {
  constexpr double gap = 8, bar_width = 16, pad = 8;
  double row_label = 0, cell = 34, height = 30, low = INFINITY, high = -INFINITY;
  for (const std::string& label : chart.rows) row_label = std::max(row_label, paper.text_width(label, tick_size));
  for (const std::string& label : chart.columns) cell = std::max(cell, paper.text_width(label, tick_size) + pad);
  for (const std::string& text : chart.texts) cell = std::max(cell, paper.text_width(text, tick_size) + 2 * pad);
  // A few cells are large enough for the names of the axes.
  const auto share_of = [&](const std::string& name, std::size_t cells) {
    return paper.text_width(name, label_size) / static_cast<double>(std::max<std::size_t>(cells, 1));
  };
  cell = std::max(cell, share_of(chart.column_name, chart.columns.size()));
  height =
      std::max({height, share_of(chart.row_name, chart.rows.size()), share_of(chart.value_name, chart.rows.size())});
  for (const double value : chart.values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!(low <= high)) low = high = 0;
  const std::vector<double> scale = ticks(low, high);
  const auto share = [&](double value) { return (value - scale.front()) / (scale.back() - scale.front()); };

  const double title_right = draw_title(paper, chart.title, chart.subtitle);
  const double left = margin + 22 + row_label + gap, top = below_title + 4;
  const double right = left + cell * static_cast<double>(chart.columns.size());
  const double bottom = top + height * static_cast<double>(chart.rows.size());
  for (std::size_t r = 0; r < chart.rows.size(); ++r) {
    const double y = top + height * static_cast<double>(r), baseline = y + height / 2 + 4;
    paper.text(chart.rows[r], left - gap, baseline, tick_size, ink, align::right);
    for (std::size_t c = 0; c < chart.columns.size(); ++c) {
      const std::size_t i = r * chart.columns.size() + c;
      const double x = left + cell * static_cast<double>(c);
      const bool known = std::isfinite(chart.values[i]);
      const colour fill = known ? shade(share(chart.values[i])) : faint;
      paper.fill_rectangle(x, y, cell - 1, height - 1, fill);
      if (chart.texts.empty()) continue;
      const double luminance = 0.299 * fill.red + 0.587 * fill.green + 0.114 * fill.blue;
      paper.text(chart.texts[i], x + (cell - 1) / 2, baseline, tick_size, luminance > 0.5 ? ink : white, align::centre);
    }
  }
  for (std::size_t c = 0; c < chart.columns.size(); ++c)
    paper.text(chart.columns[c], left + cell * (static_cast<double>(c) + 0.5), bottom + 16, tick_size, ink,
               align::centre);
  paper.text(chart.column_name, (left + right) / 2, bottom + 38, label_size, ink, align::centre);
  paper.text_upwards(chart.row_name, margin + 10, (top + bottom) / 2, label_size, ink);

  // The colour bar.
  const double bar = right + 24, length = std::max(bottom - top - 1, 100.0);
  constexpr int slices = 128;
  for (int i = 0; i < slices; ++i) {
    const double slice = length / slices;
    // A little longer than the slice, so that no seam shows.
    paper.fill_rectangle(bar, top + length - slice * (i + 1), bar_width, i == 0 ? slice : slice + 0.5,
                         shade((i + 0.5) / slices));
  }
  double tick_width = 0;
  for (const double tick : scale) {
    const double y = top + length * (1 - share(tick));
    const std::string text = number(tick, chart.as_percent);
    paper.line(bar + bar_width, y, bar + bar_width + 4, y, grey);
    paper.text(text, bar + bar_width + 8, y + 4, tick_size, grey);
    tick_width = std::max(tick_width, paper.text_width(text, tick_size));
  }
  const double bar_right = bar + bar_width + 8 + tick_width + 18;
  paper.text_upwards(chart.value_name, bar_right, top + length / 2, label_size, ink);
  return {std::max(bar_right, title_right) + margin, std::max(bottom + 38, top + length) + margin};
}

extent draw_images(const image_grid& chart, canvas& paper) {
  constexpr double pixel = 3.5, gap = 18;
  constexpr std::size_t columns = 6;
  const double width = pixel * static_cast<double>(chart.width), height = pixel * static_cast<double>(chart.height);
  const double title_right = draw_title(paper, chart.title, chart.subtitle);
  double cell = width;
  for (const image_grid::item& item : chart.items)
    cell = std::max({cell, paper.text_width(item.caption, label_size), paper.text_width(item.note, tick_size)});
  const double row = height + 34 + gap;

  for (std::size_t i = 0; i < chart.items.size(); ++i) {
    const double x = margin + (cell + gap) * static_cast<double>(i % columns);
    const double y = below_title + row * static_cast<double>(i / columns);
    paper.pixels(chart.items[i].pixels, chart.width, x, y, pixel);
    paper.text(chart.items[i].caption, x, y + height + 16, label_size, ink);
    paper.text(chart.items[i].note, x, y + height + 32, tick_size, grey);
  }
  const auto across = static_cast<double>(std::min(chart.items.size(), columns));
  const auto down = static_cast<double>((chart.items.size() + columns - 1) / columns);
  return {std::max(margin + (cell + gap) * across - gap, title_right) + margin,
          below_title + row * down - gap + margin};
}

}  // namespace

void save_chart(const bar_chart& chart, const std::filesystem::path& path) {
  save([&](canvas& paper) { return draw_bars(chart, paper); }, path);
}

void save_chart(const line_chart& chart, const std::filesystem::path& path) {
  save([&](canvas& paper) { return draw_line(chart, paper); }, path);
}

void save_chart(const heat_map& chart, const std::filesystem::path& path) {
  save([&](canvas& paper) { return draw_cells(chart, paper); }, path);
}

void save_chart(const image_grid& chart, const std::filesystem::path& path) {
  save([&](canvas& paper) { return draw_images(chart, paper); }, path);
}

std::vector<std::byte> png_of(const bar_chart& chart) {
  return encode([&](canvas& paper) { return draw_bars(chart, paper); });
}

}  // namespace mnist
