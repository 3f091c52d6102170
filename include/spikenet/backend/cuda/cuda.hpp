// The CUDA backend, but for the libraries that it multiplies with: spikenet::cuda in <spikenet/cuda.cuh> is this with cuDNN
// and cuBLASLt. The same operations as the CPU backend (docs/backend.md), on memory of the device. Each network has a stream
// of its own, on which everything runs in order; the host waits for it where it reads something, and only there.
//
// Tensors are channels last, parameters in PyTorch's layouts, spikes real numbers. The same call gives the same bits, on
// any device, as far as the libraries do. In mixed precision (options.hpp) tensors are stored in other numbers than Scalar.
#pragma once

#include <cuda_fp16.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "spikenet/backend/backend.hpp"
#include "spikenet/backend/cuda/kernels/for_each.hpp"
#include "spikenet/backend/cuda/kernels/neurons.hpp"
#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/backend/cuda/kernels/statistics.hpp"
#include "spikenet/backend/cuda/options.hpp"
#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/backend/options.hpp"

namespace spikenet {

namespace detail {

template <class S, std::size_t Out>
struct add_bias {
  const S* bias;
  S* y;
  SPIKENET_HOST_DEVICE void operator()(std::size_t i) const { y[i] += bias[i % Out]; }
};

// Sends values from the host to the device. The host writes them into one of two pieces of pinned memory, so that it need
// not wait for the copy of the values before.
class upload_queue {
 public:
  template <class T, class F>
  void send(cudaStream_t stream, T* to, std::size_t count, F&& write) {
    piece& next = pieces_[turn_++ % pieces_.size()];
    if (!next.copied) next.copied = make_event();
    check(cudaEventSynchronize(next.copied.get()), "cudaEventSynchronize");
    auto* const values = reinterpret_cast<T*>(next.memory.reserve(count * sizeof(T)));
    write(values);
    check(cudaMemcpyAsync(to, values, count * sizeof(T), cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync",
          std::to_string(count * sizeof(T)) + " bytes to the device");
    check(cudaEventRecord(next.copied.get(), stream), "cudaEventRecord");
  }

 private:
  struct piece {
    pinned_storage memory;
    unique_event copied;
  };
  std::array<piece, 2> pieces_;
  std::size_t turn_ = 0;
};

}  // namespace detail

// Convolution: its members forward<G>(stream, items, x, weight, bias, y), backward_input<G>(stream, items, gy, weight, gx, add)
// and backward_weight<G>(stream, items, x, gy, gweight) are this backend's conv2d operations on that stream, begin_pass(stream)
// and finish_gradients(stream) those. MatrixProduct:
// linear_forward<In, Out>, linear_backward_input<In, Out>, linear_backward_weight<In, Out>, likewise. Options: one_by_one,
// mixed, step_graphs; the others are for those two.
template <std::floating_point Scalar, class Convolution, class MatrixProduct, class... Options>
class basic_cuda {
 public:
  using scalar = Scalar;
  using real = typename detail::real_of_options<Scalar, Options...>::type;
  template <class T>
  using storage = device_storage<T>;
  // Half has 5 bits of exponent and loses what is under 2^-24; the others lose no gradient.
  static constexpr double loss_scale = std::same_as<real, __half> ? 1024 : 1;
  static constexpr bool host_visible = false;
  static constexpr bool fuses_stages = !detail::has_cuda_option<one_by_one, Options...>;
  static constexpr bool recomputes_neurons = fuses_stages;
  static constexpr bool adds_input_gradient = Convolution::adds_input_gradient;
  static constexpr bool watches_moments = true, continues_reductions = true;
  template <std::size_t Channels, std::size_t T>
  static constexpr bool copies_spikes = fuses_stages && detail::cuda_kernels::copies_spikes<Channels, T>;
  static constexpr bool has_step_graphs = detail::has_cuda_option<step_graphs, Options...>;

  // Memory; see docs/backend.md.
  template <class T, class F>
  void fill(T* to, std::size_t count, F&& write) {
    uploads_.send(stream_.get(), to, count, std::forward<F>(write));
  }
  template <class T>
  void download(const T* from, std::size_t count, T* to) {
    detail::check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDeviceToHost, stream_.get()), "cudaMemcpyAsync",
                  std::to_string(count * sizeof(T)) + " bytes from the device");
    wait();
  }
  template <class T>
  void clear(T* values, std::size_t count) {
    detail::check(cudaMemsetAsync(values, 0, count * sizeof(T), stream_.get()), "cudaMemsetAsync");
  }
  void wait() { detail::check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize"); }

  // Notes whether all values are finite, for all_finite, which says whether all that was watched since was.
  template <class T>
  void watch(std::size_t count, const T* values) {
    for_each(count, detail::cuda_kernels::note_not_finite<T>{values, not_finite()});
  }
  // The same of the values divided by `by`, which they are from then on.
  template <class T>
  void divide_and_watch(std::size_t count, const double* by, T* values) {
    using namespace detail::cuda_kernels;
    constexpr std::size_t width = 4;
    if (count % width == 0) {
      for_each(count / width, divided<width, T>{values, by, not_finite()});
    } else {
      for_each(count, divided<1, T>{values, by, not_finite()});
    }
  }
  bool all_finite() {
    unsigned long long seen = 0;
    download(not_finite(), 1, &seen);
    if (seen) clear(not_finite(), 1);
    last_not_finite_ = seen;
    return seen == 0;
  }
  // On the device: the address of what was watched first among all that is not finite, or 0; or, within a step, that it is
  // left out.
  static constexpr unsigned long long step_left_out = 1;
  unsigned long long* not_finite() { return not_finite_.reserve(1); }
  // Whether that was `values` when all_finite was called last.
  bool was_not_finite(const void* values) const { return last_not_finite_ == reinterpret_cast<std::uintptr_t>(values); }

  // While what it returns is there, for_each does nothing where something that was watched before is not finite: so the host
  // can have a step done that it has not seen the gradients of. Not a function that is given another, whose kernels nvcc's
  // two compilers would not agree on.
  [[nodiscard]] auto only_if_finite() {
    struct condition {
      const unsigned long long*& unless;
      explicit condition(const unsigned long long*& of_backend, const unsigned long long* where) : unless(of_backend) {
        unless = where;
      }
      condition(const condition&) = delete;
      condition& operator=(const condition&) = delete;
      ~condition() { unless = nullptr; }
    };
    return condition(unless_, not_finite());
  }

  // Adds to to[0 ... Count-1] the sums of what f(i, double* to_add_to) adds for i = 0 ... count-1.
  template <std::size_t Count, class F>
  void add_up(std::size_t count, F f, double* to) {
    reduce<1, detail::cuda_kernels::sums<Count>>("add_up", count, detail::cuda_kernels::sum_of_rows<Count, F>{f},
                                                 detail::cuda_kernels::add_sums<Count>{to});
  }

  // On the host, in double.
  template <class T>
  double sum_of_squares(std::size_t count, const T* values) {
    using namespace detail::cuda_kernels;
    double* const on_device = sum_.reserve(1);
    reduce<1, detail::cuda_kernels::sums<1>>("sum_of_squares", count, sum_of_square<T>{values},
                                             write_sums<1, 1, double>{on_device});
    double sum = 0;
    download(on_device, 1, &sum);
    return sum;
  }

  // Runs a pass, which starts kernels and neither reads nor waits. `kind` says which: a pass of the same kind and batch size
  // starts the same kernels with the same arguments, unless memory was taken since. So the second of two in a row is
  // recorded as a graph, and started as that from then on; others run as they are, and leave the graph to those to come.
  template <class F>
  void repeat(std::size_t batch, const void* kind, F&& pass) requires(has_step_graphs) {
    const pass_key key{batch, kind, detail::device_memory_generation};
    if (key != recorded_ && key == last_) {
      graph_ = detail::record(stream_.get(), pass);
      recorded_ = key;
    }
    last_ = {};
    if (key == recorded_) {
      detail::check(cudaGraphLaunch(graph_.get(), stream_.get()), "cudaGraphLaunch");
    } else {
      pass();
    }
    last_ = {batch, kind, detail::device_memory_generation};  // the pass may have taken memory
  }

  // For when the arguments of a pass have changed.
  void forget_passes() noexcept { last_ = recorded_ = {}; }

  // to[i] += values[i]
  void add_to(std::size_t count, const real* values, real* to) {
    using namespace detail::cuda_kernels;
    constexpr std::size_t width = 4;
    if (count % width == 0) {
      for_each(count / width, added<width, Scalar, real>{values, to});
    } else {
      for_each(count, added<1, Scalar, real>{values, to});
    }
  }

  void begin_pass() { convolution_.begin_pass(stream_.get()); }
  void finish_gradients() { convolution_.finish_gradients(stream_.get()); }

  template <class F>
  void for_each(std::size_t count, F f) {
    detail::cuda_kernels::for_each_on_device(stream_.get(), count, f, unless_);
  }

  template <class G>
  void conv2d_forward(std::size_t items, const real* x, const Scalar* weight, const Scalar* bias, real* y) {
    convolution_.template forward<G>(stream_.get(), items, x, weight, bias, y);
  }
  template <class G>
  void conv2d_backward_input(std::size_t items, const real* gy, const Scalar* weight, real* gx, bool add = false) {
    convolution_.template backward_input<G>(stream_.get(), items, gy, weight, gx, add);
  }
  template <class G>
  void conv2d_backward_weight(std::size_t items, const real* x, const real* gy, Scalar* gweight) {
    convolution_.template backward_weight<G>(stream_.get(), items, x, gy, gweight);
  }

  template <std::size_t In, std::size_t Out>
  void linear_forward(std::size_t items, const real* x, const Scalar* weight, const Scalar* bias, real* y) {
    product_.template linear_forward<In, Out>(stream_.get(), items, x, weight, bias, y);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(std::size_t items, const real* gy, const Scalar* weight, real* gx) {
    product_.template linear_backward_input<In, Out>(stream_.get(), items, gy, weight, gx);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(std::size_t items, const real* x, const real* gy, Scalar* gweight) {
    product_.template linear_backward_weight<In, Out>(stream_.get(), items, x, gy, gweight);
  }

  template <std::size_t Channels>
  void channel_sums(std::size_t rows, const real* x, Scalar* sums) {
    using namespace detail::cuda_kernels;
    reduce<Channels, detail::cuda_kernels::sums<1>>("channel_sums", rows, channel_sum<Channels, Scalar, real>{x},
                                                    write_sums<Channels, 1, Scalar>{sums});
  }
  template <std::size_t Channels, class Then = nothing_then>
  void channel_moments(std::size_t rows, const real* x, double* mean, double* variance, Then then = {}) {
    using namespace detail::cuda_kernels;
    reduce<Channels, sums<2>>(
        "channel_moments", rows, channel_moment<Channels, Scalar, real>{x},
        finish_and_then<write_moments<real>, Then>{{x, static_cast<double>(rows), mean, variance, not_finite()}, then});
  }
  template <std::size_t Channels, class Then = nothing_then>
  void normalisation_sums(std::size_t rows, const real* x, const real* g, const Scalar* mean,
                          const Scalar* inverse_stddev, double* to, Then then = {}) {
    using namespace detail::cuda_kernels;
    reduce<Channels, sums<2>>("normalisation_sums", rows,
                              normalisation_sum<Channels, Scalar, real>{x, g, mean, inverse_stddev},
                              finish_and_then<write_sums<Channels, 2, double>, Then>{{to}, then});
  }
  template <std::size_t Channels>
  void channel_affine(std::size_t rows, const real* x, const real* z, const Scalar* a, const Scalar* b,
                      const Scalar* d, real* y) {
    for_each_group(rows * Channels, detail::cuda_kernels::channel_affine<Channels, Scalar, real>{x, z, a, b, d, y});
  }

  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_forward(std::size_t neurons, const neuron_constants<Scalar>& k, const real* x, real* o) {
    for_each(neurons, detail::cuda_kernels::lif_forward<Dynamics, T, InSteps, Scalar, real>{neurons, k, x, o});
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_backward(std::size_t neurons, const neuron_constants<Scalar>& k, const real* x, const real* go,
                    real* gx) {
    for_each(neurons, detail::cuda_kernels::lif_backward<Dynamics, T, InSteps, Scalar, real>{neurons, k, x, go, gx});
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels>
  void tdbn_lif_forward(std::size_t rows, const neuron_constants<Scalar>& k, const real* x, const Scalar* scale,
                        const Scalar* shift, addend<real> residual, real* o, spike_bits* copy = nullptr) {
    for_each_group(rows * Channels, detail::cuda_kernels::tdbn_lif_forward<Dynamics, T, InSteps, Channels, Scalar, real>{
                                        {rows * Channels, x, scale, shift, residual}, k, o, copy});
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels, class Then = nothing_then>
  void tdbn_lif_backward(std::size_t rows, const neuron_constants<Scalar>& k, const real* x, const Scalar* scale,
                         const Scalar* shift, addend<real> residual, const Scalar* mean, const Scalar* inverse_stddev,
                         const real* go, real* gu, double* to, Then then = {}) {
    using namespace detail::cuda_kernels;
    reduce<Channels, sums<2>>("tdbn_lif_backward", rows,
                              detail::cuda_kernels::tdbn_lif_backward<Dynamics, T, InSteps, Channels, Scalar, real>{
                                  {rows * Channels, x, scale, shift, residual}, k, mean, inverse_stddev, go, gu},
                              finish_and_then<write_sums<Channels, 2, double>, Then>{{to}, then});
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t Channels>
  void tdbn_lif_backward_input(std::size_t rows, const neuron_constants<Scalar>& k, const real* x, const Scalar* scale,
                               const Scalar* shift, const real* go, const Scalar* a, const Scalar* b, const Scalar* d,
                               real* gx) {
    for_each_group(rows * Channels,
                   detail::cuda_kernels::tdbn_lif_backward_input<Dynamics, T, InSteps, Channels, Scalar, real>{
                       {rows * Channels, x, scale, shift, {nullptr}}, k, go, a, b, d, gx});
  }

 private:
  // For a function whose indices stand for so many neighbouring values each.
  template <class F>
  void for_each_group(std::size_t count, F f) {
    for_each(count / F::width, f);
  }
  template <std::size_t Channels, class Accumulator, class F, class Finish>
  void reduce(const char* name, std::size_t rows, F f, Finish finish) {
    detail::cuda_kernels::reduce_rows<Channels, Accumulator>(stream_.get(), reduction_, name, rows, f, finish);
  }

  struct pass_key {
    std::size_t batch = 0;
    const void* kind = nullptr;
    std::uint64_t generation = 0;  // of the device's memory
    friend bool operator==(const pass_key&, const pass_key&) = default;
  };

  detail::unique_stream stream_ = detail::make_stream();
  detail::upload_queue uploads_;
  device_storage<double> reduction_, sum_;
  device_storage<unsigned long long> not_finite_;
  unsigned long long last_not_finite_ = 0;
  const unsigned long long* unless_ = nullptr;
  Convolution convolution_;
  MatrixProduct product_;
  pass_key last_, recorded_;  // the last pass that ran, and that of the graph
  detail::unique_graph graph_;
};

}  // namespace spikenet
