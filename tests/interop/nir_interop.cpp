// A network and the spikes that it has, for nir_run.py to hold the exported graph against:
//
//     nir_interop DIRECTORY                                                 a small network, trained briefly
//     nir_interop DIRECTORY MODEL.safetensors DATA COUNT                    one that spikenet-mnist has trained
//
// Writes DIRECTORY/model.nir, and DIRECTORY/expected.safetensors: images [N, 1, 28, 28]; logits [N, 10]; spikes.NODE
// [T, N, C, H, W] or [T, N, F] and input.NODE, what the neurons receive, for each layer of them. The images are noise,
// or the first COUNT test images of the MNIST files in DATA. The width is that of SPIKENET_NIR_WIDTH, 4 by default.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <span>
#include <spikenet/data/dataset.hpp>
#include <spikenet/data/idx.hpp>
#include <spikenet/dsrn.hpp>
#include <spikenet/io/state_dict.hpp>
#include <spikenet/nir/export.hpp>
#include <spikenet/nir/file.hpp>
#include <string>
#include <utility>
#include <vector>

#ifndef SPIKENET_NIR_WIDTH
#define SPIKENET_NIR_WIDTH 4
#endif

namespace {

using namespace spikenet;
namespace fs = std::filesystem;

using net_t = dsrn<cpu<float>, SPIKENET_NIR_WIDTH, 2>;
constexpr std::size_t image_size = 28 * 28;

std::vector<float> noise(std::size_t count, std::uint64_t s) {
  random_stream random{seed{s}};
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

// [T, N, H, W, C] to [T, N, C, H, W].
template <class Signal>
std::vector<float> channels_first(tensor<Signal, const float> x, std::size_t steps) {
  constexpr std::size_t C = Signal::channels, pixels = Signal::size / C;
  std::vector<float> result;
  for (std::size_t t = 0; t < steps; ++t)
    for (std::size_t n = 0; n < x.batch; ++n)
      for (std::size_t c = 0; c < C; ++c)
        for (std::size_t p = 0; p < pixels; ++p)
          result.push_back(x.data[((Signal::steps == 1 ? 0 : t) * x.batch + n) * Signal::size + p * C + c]);
  return result;
}

void write(net_t& net, const std::vector<float>& images, const fs::path& folder) {
  fs::create_directories(folder);
  nir::write(folder / "model.nir", nir::to_graph(net));

  const std::size_t count = images.size() / image_size;
  if (count > 64) throw error("nir_interop: at most 64 images at a time");
  safetensors_writer writer;
  writer.add<float>("images", {count, 1, 28, 28}, images);
  std::map<std::string, std::pair<std::vector<std::size_t>, std::vector<float>>> kept;
  const auto logits = net.evaluate(images, [&]<class Module, class In>(const observation<Module, In, float>& seen) {
    if constexpr (requires { typename Module::dynamics; }) {
      using output = typename Module::output;
      std::vector<std::size_t> shape{net_t::timesteps, count};
      shape.insert(shape.end(), output::shape::extents.begin(), output::shape::extents.end());
      kept["spikes." + seen.name] = {shape, channels_first(seen.output, net_t::timesteps)};
      kept["input." + seen.name] = {shape, channels_first(seen.input, net_t::timesteps)};
    }
  });
  for (const auto& [name, tensor] : kept) writer.add<float>(name, tensor.first, tensor.second);
  writer.add<float>("logits", {count, net_t::classes}, logits);
  writer.write(folder / "expected.safetensors");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 2) {
    net_t net{seed{1}, {.threshold = 0.5, .decay = 0.25}};
    // So small a network would be silent with the starting values.
    net.for_each_parameter([&](const tensor_info& info, std::span<float> values, std::span<float>) {
      if (info.name.find("bn") == std::string::npos && info.name.find("downsample.1") == std::string::npos) return;
      std::fill(values.begin(), values.end(), info.name.ends_with(".weight") ? 2.0f : 0.1f);
    });
    for (std::uint64_t step = 1; step <= 3; ++step)
      net.train_step(noise(8 * image_size, step), std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7},
                     adam{.learning_rate = 3e-3});
    write(net, noise(8 * image_size, 9), argv[1]);
  } else if (argc == 5) {
    const auto file = safetensors_file::read(argv[2]);
    const auto number = [&](const char* key) { return std::stod(file.metadata().at(key)); };
    net_t net{seed{1}, {.threshold = number("v_th"), .decay = number("tau")}};
    load_state_dict(net, file);
    const image_dataset data = read_idx_dataset(argv[3], "t10k", net_t::classes);
    std::vector<float> images;
    for (std::size_t i = 0; i < std::stoul(argv[4]) * image_size; ++i)
      images.push_back(static_cast<float>((data.pixels.at(i) / 255.0 - number("pixel_mean")) / number("pixel_stddev")));
    write(net, images, argv[1]);
  } else {
    std::fprintf(stderr, "usage: %s DIRECTORY [MODEL DATA COUNT]\n", argv[0]);
    return 2;
  }
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
