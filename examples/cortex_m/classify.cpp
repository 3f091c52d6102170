// Classifies test images of MNIST, and prints a line for each: its class, its label and the logits; then what it took.
// The same program runs on a board and on the host, and what it prints of the images is the same.
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>

#include "board.hpp"
#include "digits.hpp"  // the network, as spikenet-mnist export writes it

extern "C" const std::uint8_t images[], images_end[], labels[];  // images.S

namespace {

using model = digits::model;

model network{digits::parameters};

void write(const char* text, std::int32_t value) {
  board::write(text);
  std::array<char, 16> digits;
  *std::to_chars(digits.begin(), digits.end() - 1, value).ptr = '\0';
  board::write(digits.data());
}

}  // namespace

int classify_all() {
  const std::size_t count = static_cast<std::size_t>(images_end - images) / model::image_size;
  std::array<model::logit, model::classes> logits;
  std::int32_t right = 0;
  std::uint32_t ticks = 0;
  for (std::size_t n = 0; n < count; ++n) {
    const std::uint32_t start = board::ticks();
    network.logits(std::span<const model::value, model::image_size>(images + n * model::image_size, model::image_size),
                   logits);
    ticks += (board::ticks() - start) & 0xffffff;

    const std::size_t answer = model::class_of(logits);
    if (answer == labels[n]) ++right;
    write("class ", static_cast<std::int32_t>(answer));
    write(" label ", labels[n]);
    board::write(" logits");
    for (const model::logit logit : logits) write(" ", logit);
    board::write("\n");
  }
  write("right ", right);
  write(" of ", static_cast<std::int32_t>(count));
  write("\nticks ", static_cast<std::int32_t>(ticks / count));
  write("\nstack ", static_cast<std::int32_t>(board::stack_used()));
  board::write("\n");
  return 0;
}
