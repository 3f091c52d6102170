// The sizes that are built, and the choice among them.
#include <spikenet/core/error.hpp>

#include "model.hpp"

namespace mnist {

namespace {

struct size_entry {
  std::size_t width, steps;
  std::unique_ptr<model> (*make)(const model_options&, spikenet::seed);
};

// mnist_sizes.inc, which CMakeLists.txt writes, has a line SPIKENET_MNIST_SIZE(16, 2) for each size.
#define SPIKENET_MNIST_SIZE(width, timesteps) {width, timesteps, make_model_of_size<width, timesteps>},
constexpr size_entry sizes[] = {
#include "mnist_sizes.inc"
};
#undef SPIKENET_MNIST_SIZE

const size_entry* find_size(std::size_t width, std::size_t steps) {
  for (const size_entry& size : sizes)
    if (size.width == width && size.steps == steps) return &size;
  return nullptr;
}

std::string size_text(std::size_t width, std::size_t steps) {
  return std::to_string(width) + "x" + std::to_string(steps);
}

}  // namespace

std::optional<std::string> why_not_built(std::size_t width, std::size_t steps) {
  if (find_size(width, steps)) return std::nullopt;
  std::string built, list;
  for (const size_entry& size : sizes) {
    built += (built.empty() ? "" : ", ") + size_text(size.width, size.steps);
    list += size_text(size.width, size.steps) + ";";
  }
  return "There is no network of width " + std::to_string(width) + " with " + std::to_string(steps) +
         " timesteps in this program; it has (width x timesteps) " + built +
         ". To add it, run cmake on the build folder with -D SPIKENET_MNIST_SIZES=\"" + list + size_text(width, steps) +
         "\" and build again.";
}

std::unique_ptr<model> make_model(const model_options& options, spikenet::seed seed) {
  const size_entry* const size = find_size(options.width, options.steps);
  if (!size) throw spikenet::argument_error(*why_not_built(options.width, options.steps));
  return size->make(options, seed);
}

}  // namespace mnist
