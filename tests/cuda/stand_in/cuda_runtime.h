// A stand-in for the CUDA runtime that runs kernels on the CPU: what stands first on the include path of the tests of the
// CUDA backend, so that its host code and its kernels are tested as they are on machines without a GPU or a toolkit. It
// declares what the backend uses of the real one, by the same names and with the same meaning; host_cuda.hpp says how it
// differs. Never include both.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host_cuda.hpp"

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

// Coordinates of the thread that runs.
namespace host_cuda {
template <coordinate Which>
struct own_coordinate {
  operator unsigned() const noexcept { return own(Which); }
};
}  // namespace host_cuda
inline constexpr struct {
  host_cuda::own_coordinate<host_cuda::coordinate::thread_x> x;
  host_cuda::own_coordinate<host_cuda::coordinate::thread_y> y;
  host_cuda::own_coordinate<host_cuda::coordinate::thread_z> z;
} threadIdx{};
inline constexpr struct {
  host_cuda::own_coordinate<host_cuda::coordinate::block_x> x;
  host_cuda::own_coordinate<host_cuda::coordinate::block_y> y;
  host_cuda::own_coordinate<host_cuda::coordinate::block_z> z;
} blockIdx{};
inline constexpr struct {
  host_cuda::own_coordinate<host_cuda::coordinate::block_size_x> x;
  host_cuda::own_coordinate<host_cuda::coordinate::block_size_y> y;
  host_cuda::own_coordinate<host_cuda::coordinate::block_size_z> z;
} blockDim{};
inline constexpr struct {
  host_cuda::own_coordinate<host_cuda::coordinate::grid_size_x> x;
  host_cuda::own_coordinate<host_cuda::coordinate::grid_size_y> y;
  host_cuda::own_coordinate<host_cuda::coordinate::grid_size_z> z;
} gridDim{};
inline constexpr int warpSize = 32;

// Barriers.
inline void __syncthreads() { host_cuda::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { host_cuda::warp_barrier(mask); }

// Votes and shuffles. A lane that reads from outside its segment of `width` lanes gets its own value.
inline unsigned __ballot_sync(unsigned mask, int predicate) { return host_cuda::ballot(mask, predicate != 0); }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

namespace host_cuda {
template <class T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, static_cast<unsigned>(source));
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace host_cuda
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  const int lane = static_cast<int>(host_cuda::own_lane());
  return host_cuda::shuffle(mask, value, lane / width * width + source % width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = warpSize) {
  const int lane = static_cast<int>(host_cuda::own_lane()), from = lane % width + static_cast<int>(by);
  return host_cuda::shuffle(mask, value, from < width ? lane / width * width + from : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = warpSize) {
  const int lane = static_cast<int>(host_cuda::own_lane()), from = lane % width - static_cast<int>(by);
  return host_cuda::shuffle(mask, value, from >= 0 ? lane / width * width + from : lane);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = warpSize) {
  const int lane = static_cast<int>(host_cuda::own_lane()), from = lane ^ by;
  return host_cuda::shuffle(mask, value, from < (lane / width + 1) * width ? from : lane);
}

// Atomics; relaxed, as on the device.
template <class T>
T atomicAdd(T* where, T what) {
  std::atomic_ref<T> value(*where);
  T before = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(before, before + what, std::memory_order_relaxed)) {
  }
  return before;
}
template <class T>
T atomicMax(T* where, T what) {
  std::atomic_ref<T> value(*where);
  T before = value.load(std::memory_order_relaxed);
  while (before < what && !value.compare_exchange_weak(before, what, std::memory_order_relaxed)) {
  }
  return before;
}
template <class T>
T atomicCAS(T* where, T expected, T what) {
  std::atomic_ref<T>(*where).compare_exchange_strong(expected, what, std::memory_order_relaxed);
  return expected;
}
template <class T>
T atomicExch(T* where, T what) {
  return std::atomic_ref<T>(*where).exchange(what, std::memory_order_relaxed);
}

// The runtime's types.
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x{x_}, y{y_}, z{z_} {}
};
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorIllegalState = 401,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901
};
using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
using cudaGraph_t = struct CUgraph_st*;
using cudaGraphExec_t = struct CUgraphExec_st*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeThreadLocal = 1 };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};
struct cudaLaunchAttribute;
struct cudaLaunchConfig_t {
  dim3 gridDim{}, blockDim{};
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

const char* cudaGetErrorName(cudaError_t);
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaMalloc(void**, std::size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaHostAlloc(void**, std::size_t, unsigned);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemcpyAsync(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int, std::size_t, cudaStream_t);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const dim3 &g = config->gridDim, &b = config->blockDim;
  const host_cuda::launch_shape shape{{g.x, g.y, g.z}, {b.x, b.y, b.z}, config->dynamicSmemBytes};
  if (!host_cuda::is_valid(shape)) return cudaErrorInvalidConfiguration;
  host_cuda::submit([shape, kernel, values = std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)] {
    host_cuda::run_grid(shape, [&] { std::apply(kernel, values); });
  });
  return cudaSuccess;
}
