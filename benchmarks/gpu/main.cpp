// spikenet_gpu_benchmark [PRECISION...] [BATCH...]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <spikenet/cuda_device.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gpu.hpp"

namespace {

struct entry {
  std::string_view name;
  void (*measure)(std::size_t batch);
  int capability;  // the least that knows it, 10 times
};
using gpu_benchmark::measure, gpu_benchmark::precision;
constexpr entry precisions[] = {{"float32", measure<precision::float32>, 0},
                                {"tf32", measure<precision::tf32>, 80},
                                {"float16", measure<precision::float16>, 0},
                                {"bfloat16", measure<precision::bfloat16>, 80}};

int usage(const char* program, const std::string& argument) {
  std::fprintf(stderr,
               "%s: \"%s\" is neither a precision nor the size of a batch. Usage: %s [float32|tf32|float16|bfloat16 ...] "
               "[BATCH...]\n",
               program, argument.c_str(), program);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> batches;
  std::vector<entry> chosen;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto* const named = std::find_if(std::begin(precisions), std::end(precisions),
                                           [&](const entry& precision) { return precision.name == argument; });
    if (named != std::end(precisions)) {
      chosen.push_back(*named);
      continue;
    }
    char* end = nullptr;
    const long batch = std::strtol(argv[i], &end, 10);
    if (batch < 1 || *end != '\0') return usage(argv[0], argument);
    batches.push_back(static_cast<std::size_t>(batch));
  }
  if (batches.empty()) batches = {64, 256};
  if (chosen.empty()) chosen.assign(std::begin(precisions), std::end(precisions));

  if (const auto reason = spikenet::why_no_cuda_device()) {
    std::printf("Skipped: %s\n", reason->c_str());
    return 0;
  }
  try {
    const auto device = spikenet::cuda_devices().front();
    std::printf("%s, width %d, %d timesteps\n%-9s %-28s %6s %10s %10s %10s %12s\n", device.name.c_str(),
                SPIKENET_GPU_BENCHMARK_WIDTH, SPIKENET_GPU_BENCHMARK_TIMESTEPS, "", "", "batch", "median ms", "least",
                "most", "images/s");
    for (const entry& precision : chosen) {
      if (device.compute_capability < precision.capability) {
        std::printf("%-9s not on this GPU\n", std::string(precision.name).c_str());
        continue;
      }
      for (const std::size_t batch : batches) precision.measure(batch);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}
