// Shows how an epoch of training is going. In a terminal one line is redrawn in place:
//
//   epoch 3/11  [=========>           ]  43 %  1234 images/s  loss 0.1234  accuracy 97.12 %  0:25 left
//
// Elsewhere (a pipe, a log file, TERM=dumb) a plain line is printed every so many batches.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text.hpp"

namespace mnist {

// What a line shows.
struct progress_state {
  std::string title;             // "epoch 3/11"
  std::size_t done = 0;          // images so far
  std::size_t total = 0;         // images in the epoch
  double images_per_second = 0;  // 0: not known yet
  double loss = 0;
  double accuracy = 0;  // 0 to 1
};

using clock = std::chrono::steady_clock;
inline double seconds_between(clock::time_point from, clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}
inline double seconds_since(clock::time_point start) { return seconds_between(start, clock::now()); }

// "0:42", "12:05", "1:02:03".
inline std::string clock_text(double seconds) {
  const long whole = seconds > 0 ? std::lround(std::min(seconds, 359'999.0)) : 0;  // up to 99:59:59
  std::array<char, 32> text;
  if (whole >= 3600)
    std::snprintf(text.data(), text.size(), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text.data(), text.size(), "%ld:%02ld", whole / 60, whole % 60);
  return text.data();
}

// One line of at most `width` columns, ASCII but for the title. Where they do not all fit, the bar goes first, then the
// speed, the accuracy, the loss and the time left.
inline std::string progress_line(const progress_state& state, std::size_t width) {
  const double fraction =
      state.total == 0 ? 0 : std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
  const bool speed_known = state.images_per_second > 0;
  const double remaining = static_cast<double>(state.total) * (1 - fraction);

  struct part {
    std::string text;
    int importance;  // the least goes first
  };
  std::vector<part> parts{
      {state.title, 7},
      {number("%3.0f %%", std::floor(100 * fraction)), 6},
      {speed_known ? number("%5.0f images/s", state.images_per_second) : "", 2},
      {number("loss %.4f", state.loss), 4},
      {number("accuracy %5.2f %%", 100 * state.accuracy), 3},
      {speed_known && fraction < 1 ? clock_text(remaining / state.images_per_second) + " left" : "", 5},
  };
  std::erase_if(parts, [](const part& p) { return p.text.empty(); });

  constexpr std::string_view gap = "  ";
  const auto columns = [&] {
    std::size_t sum = 0;
    for (const part& p : parts) sum += p.text.size() + gap.size();
    return parts.empty() ? 0 : sum - gap.size();
  };
  const bool complete = columns() <= width;
  while (parts.size() > 1 && columns() > width)
    parts.erase(std::min_element(parts.begin(), parts.end(),
                                 [](const part& a, const part& b) { return a.importance < b.importance; }));

  // The bar takes what is left, if that is enough to be worth looking at.
  constexpr std::size_t shortest_bar = 10, longest_bar = 30;
  if (const std::size_t used = columns() + gap.size() + 2; complete && used + shortest_bar <= width) {
    const std::size_t length = std::min(width - used, longest_bar);
    const auto filled = static_cast<std::size_t>(fraction * static_cast<double>(length));
    std::string bar = std::string(filled, '=') + std::string(length - filled, ' ');
    if (filled < length) bar[filled] = '>';
    parts.insert(parts.begin() + 1, {"[" + bar + "]", 1});
  }

  std::string line;
  for (const part& p : parts) line += (line.empty() ? "" : std::string{gap}) + p.text;
  return line.substr(0, width);
}

// Sums over the images of an epoch so far.
struct progress_totals {
  std::size_t images = 0;
  double loss_sum = 0;
  std::size_t correct = 0;
};

// Follows one epoch. Use one object an epoch:
//
//   mnist::progress progress{"epoch 3/11", images, log_interval};
//   for (...) progress.update(batch_size, loss, correct);
//   const auto epoch = progress.finish();
class progress {
 public:
  // The epoch as a whole.
  struct summary {
    double loss = 0;      // mean over its images
    double accuracy = 0;  // 0 to 1
    double seconds = 0;
    double images_per_second = 0;
  };

  // total: images in the epoch. log_interval: batches between plain lines, 0 for none; a terminal's line does not heed
  // it. before: of an epoch that is taken up again. Writes to `out`, which must stay open.
  progress(std::string title, std::size_t total, std::size_t log_interval, const progress_totals& before = {},
           std::FILE* out = stdout)
      : out_{out}, terminal_{is_terminal(out)}, log_interval_{log_interval}, before_{before.images}, totals_{before} {
    state_.title = std::move(title);
    state_.done = before.images;
    state_.total = total;
  }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  // An epoch that is left early, by an error for example, keeps its last line, and what is printed next gets its own.
  ~progress() {
    if (!drawn_) return;
    std::fputc('\n', out_);
    std::fflush(out_);
  }

  // After each batch, or so many of them: the number of images, their mean loss, and how many were classified correctly.
  void update(std::size_t images, double loss, std::size_t correct, std::size_t batches = 1) {
    const auto count = static_cast<double>(images);
    state_.done += images;
    const std::size_t batches_before = std::exchange(batches_, batches_ + batches);
    totals_.images += images;
    totals_.loss_sum += count * loss;
    totals_.correct += correct;

    // What is shown weighs the last 50 batches or so, else it would lag behind a network that learns fast.
    const double keep = std::pow(0.98, static_cast<double>(batches));
    recent_images_ = keep * recent_images_ + count;
    recent_loss_ = keep * recent_loss_ + count * loss;
    recent_correct_ = keep * recent_correct_ + static_cast<double>(correct);
    if (recent_images_ > 0) {
      state_.loss = recent_loss_ / recent_images_;
      state_.accuracy = recent_correct_ / recent_images_;
    }

    const auto now = clock::now();
    const double elapsed = seconds_between(start_, now);
    // The first moments say little about the speed.
    state_.images_per_second = elapsed > 0.5 ? static_cast<double>(state_.done - before_) / elapsed : 0;

    if (terminal_ && (!drawn_ || now - last_drawn_ >= std::chrono::milliseconds{100})) {
      last_drawn_ = now;
      draw();
    } else if (!terminal_ && log_interval_ > 0 && batches_ / log_interval_ != batches_before / log_interval_) {
      std::fprintf(out_, "%s\n", progress_line(state_, plain_width).c_str());
      std::fflush(out_);
    }
  }

  const progress_totals& so_far() const { return totals_; }

  // Erases the live line, so that a summary can be printed in its place. Further updates draw it again.
  summary finish() {
    if (drawn_) {
      std::fputs("\r\x1b[K", out_);
      std::fflush(out_);
      drawn_ = false;
    }
    summary result;
    const auto images = static_cast<double>(totals_.images);
    result.seconds = seconds_between(start_, clock::now());
    if (totals_.images > 0) {
      result.loss = totals_.loss_sum / images;
      result.accuracy = static_cast<double>(totals_.correct) / images;
    }
    if (result.seconds > 0) result.images_per_second = static_cast<double>(state_.done - before_) / result.seconds;
    return result;
  }

 private:
  static constexpr std::size_t plain_width = 100;

  static bool is_terminal(std::FILE* out) {
    const char* kind = std::getenv("TERM");
    return isatty(fileno(out)) == 1 && kind != nullptr && std::string_view{kind} != "dumb";
  }

  // Asked for each time: windows change their size.
  std::size_t terminal_width() const {
    winsize size{};
    if (ioctl(fileno(out_), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
  }

  void draw() {
    // The last column stays free: some terminals wrap as soon as it is written.
    const std::string line = std::string{"\r"}.append(progress_line(state_, terminal_width() - 1)).append("\x1b[K");
    std::fwrite(line.data(), 1, line.size(), out_);
    std::fflush(out_);
    drawn_ = true;
  }

  std::FILE* out_;
  bool terminal_;
  std::size_t log_interval_;
  progress_state state_;
  clock::time_point start_ = clock::now(), last_drawn_{};
  bool drawn_ = false;
  std::size_t batches_ = 0, before_ = 0;
  progress_totals totals_;
  double recent_images_ = 0, recent_loss_ = 0, recent_correct_ = 0;
};

}  // namespace mnist
