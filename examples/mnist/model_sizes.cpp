// The sizes that are built, and the choice among them.
#include <algorithm>
#include <cstdio>
#include <span>
#include <spikenet/core/error.hpp>
#include <spikenet/export/header.hpp>
#if defined(SPIKENET_MNIST_HAS_GPU_SIZES)
#include <spikenet/cuda_device.hpp>
#endif

#include "deployed.hpp"
#include "model.hpp"

namespace mnist {

namespace {

struct size_entry {
  std::size_t width, steps;
  std::unique_ptr<model> (*make)(const model_options&, spikenet::seed);
  const char* precision = "";  // on a GPU
};

// mnist_sizes.inc, which CMakeLists.txt writes, has a line SPIKENET_MNIST_SIZE(16, 2) for each size.
#define SPIKENET_MNIST_SIZE(width, timesteps) {width, timesteps, make_model_of_size<width, timesteps>},
constexpr size_entry sizes[] = {
#include "mnist_sizes.inc"
};
#undef SPIKENET_MNIST_SIZE

#if defined(SPIKENET_MNIST_HAS_GPU_SIZES)
#define SPIKENET_MNIST_GPU_SIZE(width, timesteps, precision) \
  {width, timesteps, make_gpu_model_of_size<width, timesteps, gpu_precision::precision>, #precision},
constexpr size_entry gpu_size_list[] = {
#include "mnist_gpu_sizes.inc"
};
#undef SPIKENET_MNIST_GPU_SIZE
constexpr std::span<const size_entry> gpu_sizes{gpu_size_list};
#else
constexpr std::span<const size_entry> gpu_sizes;
#endif

const size_entry* find_size(std::span<const size_entry> among, std::size_t width, std::size_t steps) {
  const auto found = std::find_if(among.begin(), among.end(),
                                  [&](const size_entry& size) { return size.width == width && size.steps == steps; });
  return found == among.end() ? nullptr : &*found;
}

const size_entry* find_on_gpu(const model_options& options) {
  const auto found = std::find_if(gpu_sizes.begin(), gpu_sizes.end(), [&](const size_entry& size) {
    return size.width == options.width && size.steps == options.steps && options.precision == size.precision;
  });
  return found == gpu_sizes.end() ? nullptr : &*found;
}

std::string size_text(std::size_t width, std::size_t steps) {
  return std::to_string(width) + "x" + std::to_string(steps);
}

// What is missing, what there is, and how to add it: `option` is CMake's list of sizes.
std::string missing(std::span<const size_entry> among, std::size_t width, std::size_t steps, const std::string& where,
                    const std::string& option) {
  std::string built, list;
  for (const size_entry& size : among) {
    const std::string text = size_text(size.width, size.steps);
    if (list.ends_with(text + ";")) continue;  // in another precision
    built += (built.empty() ? "" : ", ") + text;
    list += text + ";";
  }
  return "There is no network of width " + std::to_string(width) + " with " + std::to_string(steps) + " timesteps " +
         where + "in this program; it has (width x timesteps) " + (built.empty() ? "none" : built) +
         ". To add it, run cmake on the build folder with -D " + option + "=\"" + list + size_text(width, steps) +
         "\" and build again.";
}
[[noreturn]] void refuse_on_gpu() {
  throw spikenet::argument_error("This is not done with a network on a GPU, but with its checkpoint.");
}

}  // namespace

spikenet::nir::graph model::nir_graph(double) const { refuse_on_gpu(); }
std::unique_ptr<deployed> model::deploy(const std::string&, const spikenet::normalise&) const { refuse_on_gpu(); }
void model::write_header(const std::filesystem::path&, const std::string&, const spikenet::normalise&,
                         spikenet::header_options) const {
  refuse_on_gpu();
}

std::optional<std::string> why_not_built(std::size_t width, std::size_t steps) {
  if (find_size(sizes, width, steps)) return std::nullopt;
  return missing(sizes, width, steps, "", "SPIKENET_MNIST_SIZES");
}

std::optional<std::string> why_not_on_gpu(const model_options& options) {
  if (!find_size(gpu_sizes, options.width, options.steps))
    return missing(gpu_sizes, options.width, options.steps, "for a GPU ", "SPIKENET_MNIST_GPU_SIZES");
  if (!find_on_gpu(options))
    return "The networks for GPUs in this program do not compute in " + options.precision +
           ". To add them, add it to cmake's list SPIKENET_MNIST_GPU_PRECISIONS and build again.";
#if defined(SPIKENET_MNIST_HAS_GPU_SIZES)
  return spikenet::why_no_cuda_device();
#else
  return std::nullopt;
#endif
}

void choose_device(model_options& options) {
  if (options.device == "cpu") return;
  const auto reason = why_not_on_gpu(options);
  if (reason && options.device == "cuda") throw spikenet::argument_error("--device cuda: " + *reason);
  if (reason) std::printf("on the CPU: %s\n", reason->c_str());
  options.device = reason ? "cpu" : "cuda";
}

std::unique_ptr<model> make_model(const model_options& options, spikenet::seed seed) {
  const bool on_gpu = options.device == "cuda";
  const size_entry* const size = on_gpu ? find_on_gpu(options) : find_size(sizes, options.width, options.steps);
  if (!size)
    throw spikenet::argument_error(*(on_gpu ? why_not_on_gpu(options) : why_not_built(options.width, options.steps)));
  return size->make(options, seed);
}

}  // namespace mnist
