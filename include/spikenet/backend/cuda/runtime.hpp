// The CUDA runtime as the backend uses it: every status is looked at, everything taken is given back. Which <cuda_runtime.h>
// it is, that of a toolkit or that of the tests, which runs kernels on the CPU, is a matter of the include path.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "spikenet/core/error.hpp"

namespace spikenet {

namespace detail {

// Throws device_error, which names the call and what it was about, unless all is well.
inline void check(cudaError_t status, const char* call, const std::string& about = {}) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // forget it: the next call is not to blame
  throw device_error(std::string(call) + (about.empty() ? "" : " (" + about + ")") + ": " + cudaGetErrorString(status) +
                     " (" + cudaGetErrorName(status) + ")");
}

// How often memory was taken: what was recorded with addresses in it before is worth nothing once this has changed.
inline std::atomic<std::uint64_t> device_memory_generation{0};

struct stream_deleter {
  using pointer = cudaStream_t;
  void operator()(cudaStream_t s) const noexcept { cudaStreamDestroy(s); }
};
struct event_deleter {
  using pointer = cudaEvent_t;
  void operator()(cudaEvent_t e) const noexcept { cudaEventDestroy(e); }
};
struct graph_deleter {
  using pointer = cudaGraphExec_t;
  void operator()(cudaGraphExec_t g) const noexcept { cudaGraphExecDestroy(g); }
};
struct pinned_deleter {
  void operator()(std::byte* memory) const noexcept { cudaFreeHost(memory); }
};
using unique_stream = std::unique_ptr<cudaStream_t, stream_deleter>;
using unique_event = std::unique_ptr<cudaEvent_t, event_deleter>;
using unique_graph = std::unique_ptr<cudaGraphExec_t, graph_deleter>;

inline unique_stream make_stream() {
  cudaStream_t stream{};
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return unique_stream(stream);
}
inline unique_event make_event() {
  cudaEvent_t event{};
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return unique_event(event);
}

// Starts a kernel; `name` is for the message of an error.
template <class... Parameters>
void launch(cudaStream_t stream, const char* name, dim3 grid, dim3 block, std::size_t shared_bytes,
            void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  const cudaError_t status = cudaLaunchKernelEx(&config, kernel, arguments...);
  if (status == cudaSuccess) return;
  const auto shape = [](const dim3& d) {
    return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
  };
  check(status, "cudaLaunchKernelEx",
        std::string(name) + ", " + shape(grid) + " blocks of " + shape(block) + " threads");
}

// What pass() starts on the stream, as a graph; nothing of it is run. It may neither take memory nor wait nor read.
template <class F>
unique_graph record(cudaStream_t stream, F&& pass) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph{};
  try {
    pass();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    cudaGetLastError();
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable{};
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return unique_graph(executable);
}

// Memory of the host that copies to the device need not wait for; only grows.
class pinned_storage {
 public:
  std::byte* reserve(std::size_t bytes) {
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = 0;
      void* memory = nullptr;
      check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "cudaHostAlloc", std::to_string(bytes) + " bytes");
      memory_.reset(static_cast<std::byte*>(memory));
      capacity_ = bytes;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<std::byte, pinned_deleter> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace detail

// Memory of the device that only grows; see buffer in core/buffer.hpp, whose counterpart it is. Throws device_error, which
// says how many bytes were wanted, where there is not so much. Its address is the device's: the host must not read or write
// there.
template <class T>
class device_storage {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  device_storage() = default;
  device_storage(device_storage&& other) noexcept
      : data_{std::exchange(other.data_, nullptr)}, capacity_{std::exchange(other.capacity_, 0)} {}
  device_storage& operator=(device_storage&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~device_storage() { cudaFree(data_); }

  // Room for count values, all zero where memory had to be taken; what was there before is then gone. Waits for the
  // device where memory is taken, and only then.
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      ++detail::device_memory_generation;
      detail::check(cudaFree(data_), "cudaFree");  // which waits for whoever still uses it
      data_ = nullptr;
      capacity_ = 0;
      void* memory = nullptr;
      const std::size_t bytes = count * sizeof(T);
      const cudaError_t status = cudaMalloc(&memory, bytes);
      if (status != cudaSuccess) {
        std::size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        detail::check(status, "cudaMalloc",
                      std::to_string(bytes) + " bytes, where " + std::to_string(free) + " of " + std::to_string(total) +
                          " are free; a smaller batch takes less");
      }
      data_ = static_cast<T*>(memory);
      capacity_ = count;
      detail::check(cudaMemsetAsync(memory, 0, bytes, nullptr), "cudaMemsetAsync");
      detail::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    }
    return data_;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace spikenet
