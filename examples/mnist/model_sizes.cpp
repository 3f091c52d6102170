// The networks that are built, and the choice among them.
#include <algorithm>
#include <cstdio>
#include <span>
#include <spikenet/core/error.hpp>
#if defined(SPIKENET_MNIST_HAS_GPU_SIZES)
#include <spikenet/cuda_device.hpp>
#endif

#include "model.hpp"
#include "network_table.hpp"

namespace mnist {

namespace {

using make_function = std::unique_ptr<model>(const model_options&, spikenet::seed);

#define SPIKENET_MNIST_NETWORK(width, timesteps, output) \
  {width, timesteps, #output, make_model_of<width, timesteps, readout::output>},
constexpr network_entry<make_function> networks[] = {
#include "mnist_networks.inc"
};
#undef SPIKENET_MNIST_NETWORK

struct gpu_size {
  std::size_t width, steps;
  make_function* make;
  const char* precision;
};

#if defined(SPIKENET_MNIST_HAS_GPU_SIZES)
#define SPIKENET_MNIST_GPU_SIZE(width, timesteps, precision) \
  {width, timesteps, make_gpu_model_of_size<width, timesteps, gpu_precision::precision>, #precision},
constexpr gpu_size gpu_size_list[] = {
#include "mnist_gpu_sizes.inc"
};
#undef SPIKENET_MNIST_GPU_SIZE
constexpr std::span<const gpu_size> gpu_sizes{gpu_size_list};
#else
constexpr std::span<const gpu_size> gpu_sizes;
#endif

const network_entry<make_function>* find_on_cpu(const model_options& options) {
  return find_network<make_function>(networks, options);
}

const gpu_size* find_on_gpu(const model_options& options) {
  const auto found = std::find_if(gpu_sizes.begin(), gpu_sizes.end(), [&](const gpu_size& size) {
    return size.width == options.width && size.steps == options.steps && options.precision == size.precision;
  });
  return found == gpu_sizes.end() ? nullptr : &*found;
}

template <class Entry>
bool has_size(std::span<const Entry> among, const model_options& options) {
  return std::any_of(among.begin(), among.end(), [&](const Entry& entry) {
    return entry.width == options.width && entry.steps == options.steps;
  });
}

std::string size_text(std::size_t width, std::size_t steps) {
  return std::to_string(width) + "x" + std::to_string(steps);
}

// What is missing, what there is, and how to add it: `option` is CMake's list of sizes.
template <class Entry>
std::string missing_size(std::span<const Entry> among, const model_options& options, const std::string& where,
                         const std::string& option) {
  std::string built, list;
  for (const Entry& entry : among) {
    const std::string text = size_text(entry.width, entry.steps);
    if (list.ends_with(text + ";")) continue;  // with another readout, in another precision
    built += (built.empty() ? "" : ", ") + text;
    list += text + ";";
  }
  return "There is no network of width " + std::to_string(options.width) + " with " + std::to_string(options.steps) +
         " timesteps " + where + "in this program; it has (width x timesteps) " + (built.empty() ? "none" : built) +
         ". To add it, run cmake on the build folder with -D " + option + "=\"" + list +
         size_text(options.width, options.steps) + "\" and build again.";
}

}  // namespace

std::optional<std::string> why_not_built(const model_options& options) {
  if (find_on_cpu(options)) return std::nullopt;
  if (options.readout != "mean_current" && options.readout != "mean_spikes")
    return "There is no readout \"" + options.readout + "\": it is mean_current or mean_spikes.";
  const std::span<const network_entry<make_function>> all{networks};
  if (!has_size(all, options)) return missing_size(all, options, "", "SPIKENET_MNIST_SIZES");
  return "There is no network with the readout " + options.readout +
         " in this program. To add it, run cmake on the build folder with -D SPIKENET_MNIST_READOUTS=\"mean_current;" +
         "mean_spikes\" and build again.";
}

std::optional<std::string> why_not_on_gpu(const model_options& options) {
  if (!has_size(gpu_sizes, options))
    return missing_size(gpu_sizes, options, "for a GPU ", "SPIKENET_MNIST_GPU_SIZES");
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
  if (reason) {
    const std::string precision = options.precision == "float32" ? "" : ", in float32";
    std::printf("on the CPU%s: %s\n", precision.c_str(), reason->c_str());
    options.precision = "float32";
  }
  options.device = reason ? "cpu" : "cuda";
}

std::unique_ptr<model> make_model(const model_options& options, spikenet::seed seed) {
  if (options.device == "cuda") {
    const gpu_size* const size = find_on_gpu(options);
    if (!size) throw spikenet::argument_error(*why_not_on_gpu(options));
    return size->make(options, seed);
  }
  if (const auto reason = why_not_built(options)) throw spikenet::argument_error(*reason);
  return find_on_cpu(options)->make(options, seed);
}

}  // namespace mnist
