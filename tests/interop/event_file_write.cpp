// Writes runs that hold all that an event file can, for event_file_read.py to read with TensorBoard's own code:
//
//   event_file_write DIRECTORY PNG_FILE
//
// The values are formulas that the reader knows, too.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <spikenet/io/event_file.hpp>
#include <string>
#include <vector>

namespace {

constexpr std::size_t height = 28, width = 36;

// A training run of made-up curves. `number` is 1, 2 or 3.
void write_run(const std::filesystem::path& directory, int number, const std::string& png) {
  spikenet::event_writer log{directory / ("run" + std::to_string(number))};
  const double rate = 0.05 * number;

  log.hyperparameters(
      {{"V_th", 0.2 * number}, {"T", number}, {"shift", number == 2}, {"optimizer", number == 3 ? "SGD" : "Adam"}},
      {"accuracy/validation", "loss/training"});
  log.text(
      "configuration", 0,
      "# Run " + std::to_string(number) + "\n\n| name | value |\n|---|---|\n| \xCF\x84 | " + "0.25 |\n| *a* | 0.5 |\n");

  std::vector<float> weights(1000);
  std::vector<double> potentials(1000);
  for (int step = 0; step < 50; ++step) {
    log.scalar("loss/training", step, std::exp(-rate * step));
    if (step % 10 != 9) continue;
    log.scalar("accuracy/validation", step, 1 - std::exp(-rate * step));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double x = (static_cast<double>(i) - 500) / 500;
      weights[i] = static_cast<float>(x * x * x * (1 + rate * step));
      potentials[i] = x + rate * step;
    }
    log.histogram("weights/conv1", step, weights);
    log.histogram("potentials/lif1", step, potentials);
    log.flush();
  }
  // What a diverging run has.
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  int step = 0;
  for (const double loss : {1.0, 3.0, nan, infinity, -infinity, 2.0}) log.scalar("loss/diverging", step++, loss);
  log.histogram("weights/diverged", 0, std::vector<float>(3, std::nanf("")));
  log.histogram("weights/diverging", 0, std::vector<double>{1, nan, 2, infinity});

  for (const std::size_t channels : {1u, 3u}) {
    std::vector<std::uint8_t> pixels(height * width * channels);
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x)
        for (std::size_t c = 0; c < channels; ++c)
          pixels[(y * width + x) * channels + c] = static_cast<std::uint8_t>(c == 0   ? 7 * x
                                                                             : c == 1 ? 9 * y
                                                                                      : 3 * x * y);
    log.image(channels == 1 ? "images/grey" : "images/colour", 5, pixels, height, width);
  }
  log.png_image("images/given", 5, std::as_bytes(std::span{png}));

  // The third has not ended, or was killed.
  if (number < 3) log.end_run(number == 1 ? spikenet::run_status::success : spikenet::run_status::failure);
}

// A run that went on from a checkpoint of step 5 after it had come to step 9.
void write_resumed_run(const std::filesystem::path& directory) {
  {
    spikenet::event_writer log{directory};
    for (int step = 0; step < 10; ++step) log.scalar("loss", step, step);
  }
  spikenet::event_writer log{directory, 5};
  for (int step = 5; step < 12; ++step) log.scalar("loss", step, 100 + step);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s DIRECTORY PNG_FILE\n", argv[0]);
    return 2;
  }
  try {
    std::ifstream file{argv[2], std::ios::binary};
    const std::string png{std::istreambuf_iterator<char>{file}, {}};
    for (int number = 1; number <= 3; ++number) write_run(argv[1], number, png);
    write_resumed_run(std::filesystem::path{argv[1]} / "resumed");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
