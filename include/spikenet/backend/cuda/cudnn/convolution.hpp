// The convolutions of the CUDA backend, by cuDNN.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "spikenet/backend/cuda/cudnn/filter_layout.hpp"
#include "spikenet/backend/cuda/cudnn/plan.hpp"
#include "spikenet/backend/cuda/kernels/convert.hpp"
#include "spikenet/backend/cuda/options.hpp"
#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/core/error.hpp"

namespace spikenet::detail {

namespace cudnn {

template <class T, class... Options>
inline constexpr number number_of =
    has_cuda_option<allow_tf32, Options...> ? number::tf32 : number::float32;
template <class... Options>
inline constexpr number number_of<__half, Options...> = number::float16;
template <class... Options>
inline constexpr number number_of<__nv_bfloat16, Options...> = number::bfloat16;

inline void check(cudnnStatus_t status, const std::string& what) {
  if (status != CUDNN_STATUS_SUCCESS) throw device_error("cuDNN: " + what + ": " + cudnnGetErrorString(status));
}

struct handle_destroyer {
  void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
};
using handle = std::unique_ptr<cudnnContext, handle_destroyer>;

}  // namespace cudnn

// Convolutions on the device that is current at the first call: activations channels last ([items, H, W, C]), of type real,
// which is float or what the option mixed says; weights and their gradients in PyTorch's layout, float. Sums are taken in
// float. Every pointer is to memory of the device, aligned to 16 bytes. Weights are read in begin_pass, their gradients written in
// finish_gradients.
//
// A plan is made when a shape and number of items are met for the first time, and kept. With the environment variable
// SPIKENET_CUDA_LOG set, each new one is reported on stderr.
//
// Throws device_error, whose message has the convolution's shape and cuDNN's reason.
template <class Scalar, class... Options>
class cudnn_convolution {
 public:
  using real = typename real_of_options<Scalar, Options...>::type;

 private:
  static_assert((is_cuda_option<Options> && ...),
                "spikenet: cuda takes the options mixed, allow_tf32, autotune, one_by_one, step_graphs");
  static_assert(std::same_as<Scalar, float>, "spikenet: cuda computes in float; cuda<float, mixed<__half>> stores half");
  static_assert(std::same_as<real, float> || std::same_as<real, __half> || std::same_as<real, __nv_bfloat16>,
                "spikenet: mixed stores __half or __nv_bfloat16");

 public:
  // x [items, H, W, Cin], weight [Cout, Cin / groups, K, K], bias [Cout] or null, y [items, Ho, Wo, Cout]
  template <class G>
  void forward(cudaStream_t stream, std::size_t items, const real* x, const Scalar* weight, const Scalar* bias, real* y) {
    run(stream, cudnn::problem_of<G>(cudnn::operation::forward, type, items, bias != nullptr), x,
        channels_last<G>(stream, weight), bias ? as_real(stream, G::out_channels, bias) : nullptr, y);
  }
  // What is timed runs often, and would add as often.
  static constexpr bool adds_input_gradient = !has_cuda_option<autotune, Options...>;
  // gx as x, from gy as y; add: to what is there
  template <class G>
  void backward_input(cudaStream_t stream, std::size_t items, const real* gy, const Scalar* weight, real* gx, bool add) {
    run(stream, cudnn::problem_of<G>(cudnn::operation::backward_input, type, items, false, add), gy,
        channels_last<G>(stream, weight), nullptr, gx);
  }
  // gweight as weight
  template <class G>
  void backward_weight(cudaStream_t stream, std::size_t items, const real* x, const real* gy, Scalar* gweight) {
    const cudnn::convolution_problem p = cudnn::problem_of<G>(cudnn::operation::backward_weight, type, items);
    if constexpr (takes_weight_as_it_is<G>) {
      run(stream, p, x, gy, nullptr, gweight);
    } else {
      run(stream, p, x, gy, nullptr, filters_.gradient(filter_shape_of<G>, gweight));
    }
  }

  // Weights may be others than in the pass before, and are not from here on until backward_input was called.
  void begin_pass(cudaStream_t stream) { filters_.begin_pass(stream); }
  // The gradients by the weights are where they were asked for.
  void finish_gradients(cudaStream_t stream) { filters_.finish_gradients(stream); }

  // f(what, engine, bytes of workspace) for every plan so far, where `what` says the shape and the pass.
  template <class F>
  void for_each_plan(F&& f) const {
    for (const auto& [problem, found] : plans_) f(cudnn::description_of(problem), found.plan.engine, found.plan.workspace);
  }

 private:
  static constexpr cudnn::number type = cudnn::number_of<real, Options...>;
  template <class G>
  static constexpr bool takes_weight_as_it_is = filter_layouts_agree<G> && std::same_as<real, Scalar>;

  struct prepared {
    cudnn::plan plan;
    std::unordered_map<std::int64_t, void*> pointers;  // by tensor_id; kept, so that a step takes no memory
  };

  template <class G>
  const real* channels_last(cudaStream_t stream, const Scalar* weight) {
    if constexpr (takes_weight_as_it_is<G>) {
      return weight;
    } else {
      return filters_.weight(stream, filter_shape_of<G>, weight);
    }
  }
  const real* as_real(cudaStream_t stream, std::size_t count, const Scalar* bias) {
    if constexpr (std::same_as<real, Scalar>) {
      return bias;
    } else {
      real* const copy = bias_.reserve(count);
      cuda_kernels::convert(stream, count, bias, copy);
      return copy;
    }
  }

  void run(cudaStream_t stream, const cudnn::convolution_problem& p, const real* first, const real* second,
           const real* bias, real* result) {
    if (!handle_) connect();
    cudnn::check(cudnnSetStream(handle_.get(), stream), "cudnnSetStream");
    auto known = plans_.find(p);
    const bool is_new = known == plans_.end();
    if (is_new) {
      require_no_capture(stream, p);
      known = plans_.emplace(p, prepared{cudnn::first_plan(p, handle_.get()), {}}).first;
    }
    prepared& found = known->second;
    found.pointers[cudnn::activation_id] = const_cast<real*>(first);
    found.pointers[cudnn::weight_id] = const_cast<real*>(second);
    found.pointers[cudnn::result_id] = result;
    if (bias) found.pointers[cudnn::bias_id] = const_cast<real*>(bias);
    if (is_new) finish(p, found);
    cudnn::execute(found.plan, handle_.get(), found.pointers, workspace_.data(), cudnn::description_of(p));
  }

  void connect() {
    cudnnHandle_t handle = nullptr;
    cudnn::check(cudnnCreate(&handle), "cudnnCreate");
    handle_.reset(handle);
  }

  // What captures a CUDA graph must not take memory or wait for the device.
  static void require_no_capture(cudaStream_t stream, const cudnn::convolution_problem& p) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    if (cudaStreamIsCapturing(stream, &status) == cudaSuccess && status != cudaStreamCaptureStatusNone) {
      throw device_error("cuDNN: " + cudnn::description_of(p) +
                  ": there is no plan yet, and none can be made while a CUDA graph is captured; run the step once before");
    }
  }

  // A new plan, with the pointers of its first call: its workspace, and the choice of a faster one where that is wanted.
  void finish(const cudnn::convolution_problem& p, prepared& found) {
    cudnn::plan& plan = found.plan;
    if constexpr (has_cuda_option<autotune, Options...>) {
      for (std::int64_t i = 0; i < plan.graph->get_execution_plan_count(); ++i) {
        (void)plan.graph->build_plan_at_index(i);  // one that cannot be built is not timed
      }
      workspace_.reserve(static_cast<std::size_t>(plan.graph->get_autotune_workspace_size()));
      cudnn::check(plan.graph->autotune(handle_.get(), found.pointers, workspace_.data()), cudnn::description_of(p));
      std::int64_t size = 0;
      cudnn::check(plan.graph->get_plan_name(plan.engine), cudnn::description_of(p));
      cudnn::check(plan.graph->get_workspace_size(size), cudnn::description_of(p));
      plan.workspace = static_cast<std::size_t>(size);
    }
    workspace_.reserve(std::max<std::size_t>(plan.workspace, 1));
    if (std::getenv("SPIKENET_CUDA_LOG")) {
      std::fprintf(stderr, "spikenet: cuDNN: %s: %s, workspace %zu bytes\n", cudnn::description_of(p).c_str(),
                   plan.engine.c_str(), plan.workspace);
    }
  }

  cudnn::handle handle_;
  std::map<cudnn::convolution_problem, prepared> plans_;
  device_storage<std::byte> workspace_;
  filter_copies<Scalar, real> filters_;
  device_storage<real> bias_;
};

}  // namespace spikenet::detail
