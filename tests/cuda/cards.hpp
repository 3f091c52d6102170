// Three NVIDIA cards, from their published figures: NVIDIA's data sheets of the T4 (2018), the A100 80GB SXM (2021) and
// the H100 SXM5 (2022), and the table "Technical Specifications per Compute Capability" of the CUDA C++ Programming Guide.
// They were written by hand and not read from cards, so what is derived from them is no measurement: the names that
// cudnnBackend gives these properties are those that cuDNN 9.19 accepts, a driver and runtime of CUDA 13.0 are assumed,
// and engines that look at anything not listed here may decide otherwise on a real card.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace spikenet_tests {

struct card {
  const char* name;
  const char* short_name;
  int compute_capability;  // 75 for 7.5
  int multiprocessors;
  std::size_t memory;                        // bytes
  std::size_t l2_cache;                      // bytes
  std::size_t shared_memory_per_multiprocessor;  // bytes; a block may have 1 KiB less, from compute capability 8.0 on
  int threads_per_multiprocessor;
  int clock_khz, memory_clock_khz;
  bool has_bfloat16;  // tensor cores that know it, and TF32

  // Peaks, for estimates: bytes a second of memory, and operations a second (a multiplication and an addition are 2)
  // without and with tensor cores (dense).
  double bandwidth, float_rate, tf32_rate, half_rate;
};

inline constexpr std::array<card, 3> cards{{
    {"Tesla T4", "T4", 75, 40, 15843721216, 4u << 20, 64u << 10, 1024, 1590000, 5001000, false,  //
     320e9, 8.1e12, 8.1e12, 65e12},
    {"NVIDIA A100-SXM4-80GB", "A100", 80, 108, 85045018624, 40u << 20, 164u << 10, 2048, 1410000, 1593000, true,  //
     2039e9, 19.5e12, 156e12, 312e12},
    {"NVIDIA H100 80GB HBM3", "H100", 90, 132, 85045018624, 50u << 20, 228u << 10, 2048, 1980000, 2619000, true,  //
     3350e9, 67e12, 494.7e12, 989.4e12},
}};

// A card as cuDNN describes one to itself (cudnnBackendDescriptor of type CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR).
inline std::string cudnn_json(const card& c, int cudnn_version) {
  const auto text = [](auto value) { return std::to_string(value); };
  const std::size_t reserved = 1024;
  const std::size_t shared_by_request =
      c.shared_memory_per_multiprocessor - (c.compute_capability >= 80 ? reserved : 0);
  return std::string("{\"deviceName\": \"") + c.name + "\", \"cudaDeviceId\": 0, \"deviceVer\": " +
         text(c.compute_capability * 10) + ", \"multiProcessorCount\": " + text(c.multiprocessors) +
         ", \"driverVer\": 13000, \"driverVersion\": 13000, \"cudartVersion\": 13000, \"cudaRuntimeVersion\": 13000" +
         ", \"maxSharedMemoryPerBlockOptin\": " + text(shared_by_request) + ", \"maxSharedMemoryPerBlock\": 49152" +
         ", \"reservedSharedMemoryPerBlock\": " + text(reserved) + ", \"totalGlobalMem\": " + text(c.memory) +
         ", \"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536" +
         ", \"warpSize\": 32, \"maxSharedMemoryPerSM\": " + text(c.shared_memory_per_multiprocessor) +
         ", \"maxRegistersPerSM\": 65536, \"maxCtasPerSM\": " + text(c.compute_capability == 75 ? 16 : 32) +
         ", \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": " + text(c.threads_per_multiprocessor) +
         ", \"pciBusId\": 0, \"pciDeviceId\": 0, \"isTccDriver\": 0, \"supportCoopLaunch\": 1, \"smClockRateKHz\": " +
         text(c.clock_khz) + ", \"memClockRateKHz\": " + text(c.memory_clock_khz) + ", \"l2CacheSize\": " +
         text(c.l2_cache) + ", \"cudnnVersion\": " + text(cudnn_version) + ", \"schemaVersion\": 1}";
}

}  // namespace spikenet_tests
