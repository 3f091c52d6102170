// Which NVIDIA GPUs there are, and why there is none. Plain C++: no nvcc needed, only the CUDA runtime library.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "spikenet/core/error.hpp"

namespace spikenet {

// A GPU that spikenet::cuda can run on.
struct cuda_device {
  int index = 0;  // as use_cuda_device takes it
  std::string name;
  int compute_capability = 0;  // 75 for 7.5
  std::size_t memory = 0;      // bytes
};

namespace detail {

inline constexpr int least_compute_capability = 75;

inline std::string cuda_version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

inline int cuda_device_count(cudaError_t& status) {
  int count = 0;
  status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();  // an error of this call shall not be reported by the next one
  return status == cudaSuccess ? count : 0;
}

inline cuda_device describe_cuda_device(int index) {
  cudaDeviceProp properties{};
  const cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status != cudaSuccess) {
    throw device_error("CUDA: properties of device " + std::to_string(index) + ": " + cudaGetErrorString(status));
  }
  return {index, properties.name, properties.major * 10 + properties.minor, properties.totalGlobalMem};
}

}  // namespace detail

// The usable GPUs; none where why_no_cuda_device says why.
inline std::vector<cuda_device> cuda_devices() {
  std::vector<cuda_device> usable;
  cudaError_t status = cudaSuccess;
  for (int i = 0, count = detail::cuda_device_count(status); i < count; ++i) {
    cuda_device device = detail::describe_cuda_device(i);
    if (device.compute_capability >= detail::least_compute_capability) usable.push_back(std::move(device));
  }
  return usable;
}

// Why this process cannot use any GPU, as a sentence; nothing where it can.
inline std::optional<std::string> why_no_cuda_device() {
  cudaError_t status = cudaSuccess;
  const int count = detail::cuda_device_count(status);
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (driver == 0) return "There is no NVIDIA driver on this machine.";
    return "The NVIDIA driver is too old: it knows CUDA " + detail::cuda_version_text(driver) +
           ", and this program was built with CUDA " + detail::cuda_version_text(runtime) +
           ". A newer driver, or an older CUDA toolkit, would do.";
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    return "There is no NVIDIA GPU on this machine, or none that this process may see (CUDA_VISIBLE_DEVICES).";
  }
  if (status != cudaSuccess) {
    return std::string("CUDA does not start: ") + cudaGetErrorString(status) + ".";
  }
  if (!cuda_devices().empty()) return std::nullopt;
  const cuda_device first = detail::describe_cuda_device(0);
  return "No GPU of this machine is recent enough: " + first.name + " has compute capability " +
         std::to_string(first.compute_capability / 10) + "." + std::to_string(first.compute_capability % 10) +
         ", and 7.5 is needed.";
}

// Networks that this thread makes from now on are on that device; 0 without a call. Throws argument_error where there is
// no such device, and device_error where there is no usable one at all.
inline void use_cuda_device(int index) {
  if (const auto reason = why_no_cuda_device()) throw device_error(*reason);
  for (const cuda_device& device : cuda_devices()) {
    if (device.index != index) continue;
    const cudaError_t status = cudaSetDevice(index);
    if (status != cudaSuccess) throw device_error("CUDA: device " + std::to_string(index) + ": " + cudaGetErrorString(status));
    return;
  }
  throw argument_error("There is no usable GPU with the index " + std::to_string(index) + " on this machine.");
}

}  // namespace spikenet
