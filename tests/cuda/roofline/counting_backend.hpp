// A backend that computes nothing and notes what the CUDA backend would do: values that each operation must move if caches
// keep nothing from one kernel to the next, multiplications and additions, kernels, and where the host waits. A network on
// it takes the very steps that it takes on a GPU.
#pragma once

#include <cstddef>
#include <map>
#include <spikenet/backend/backend.hpp>
#include <spikenet/core/buffer.hpp>
#include <string>

namespace spikenet_tests {

struct cost {
  double values = 0;      // of the network's type, read or written
  double operations = 0;  // 2 for a multiplication with an addition
  double calls = 0, kernels = 0;

  cost& operator+=(const cost& o) {
    values += o.values;
    operations += o.operations;
    calls += o.calls;
    kernels += o.kernels;
    return *this;
  }
};

inline std::map<std::string, cost>& counted() {
  static std::map<std::string, cost> all;
  return all;
}
inline std::size_t& counted_waits() {
  static std::size_t waits = 0;
  return waits;
}

// The names that the report sums up by: those of the operations of libraries begin with the library's.
class counting_backend {
 public:
  using scalar = float;
  template <class T>
  using storage = spikenet::buffer<T>;
  static constexpr bool host_visible = false;
  static constexpr bool fuses_stages = true;

  template <class T, class F>
  void fill(T* to, std::size_t, F&& write) {
    write(to);
  }
  template <class T>
  void download(const T* from, std::size_t count, T* to) {
    std::copy_n(from, count, to);
    ++counted_waits();
  }
  template <class T>
  void clear(T* values, std::size_t count) {
    std::fill_n(values, count, T{});
  }
  void wait() { ++counted_waits(); }
  template <class T>
  void watch(std::size_t count, const T*) {
    note("watch", {static_cast<double>(count * sizeof(T) / sizeof(float)), 0, 1, 1});
  }
  bool all_finite() {
    ++counted_waits();
    return true;
  }

  // What a function that a layer brings reads and writes is not known here: one value for each pointer that it holds is
  // the most that any of this library's takes of large arrays.
  template <class F>
  void for_each(std::size_t count, F) {
    note("for_each", {static_cast<double>(count * (sizeof(F) / sizeof(void*))), 0, 1, 1});
  }

  template <class G>
  void conv2d_forward(std::size_t items, const float*, const float*, const float*, float*) {
    convolution<G>("cuDNN forward", items);
  }
  template <class G>
  void conv2d_backward_input(std::size_t items, const float*, const float*, float*) {
    convolution<G>("cuDNN gradient by the input", items);
  }
  template <class G>
  void conv2d_backward_weight(std::size_t items, const float*, const float*, float*) {
    convolution<G>("cuDNN gradient by the weight", items);
  }
  template <std::size_t In, std::size_t Out>
  void linear_forward(std::size_t items, const float*, const float*, const float*, float*) {
    product<In, Out>(items);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(std::size_t items, const float*, const float*, float*) {
    product<In, Out>(items);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(std::size_t items, const float*, const float*, float*) {
    product<In, Out>(items);
  }

  // Of the kernels of this library: how many values each reads and writes of arrays as large as the layer. A reduction is
  // two kernels, the second over a few thousand values.
  template <std::size_t C>
  void channel_sums(std::size_t rows, const float*, float*) {
    kernels("channel_sums", rows * C, 1, 2);
  }
  template <std::size_t C>
  void channel_moments(std::size_t rows, const float*, double*, double*) {
    kernels("channel_moments", rows * C, 1, 2);
  }
  template <std::size_t C>
  void normalisation_sums(std::size_t rows, const float*, const float*, const float*, const float*, double*) {
    kernels("normalisation_sums", rows * C, 2, 2);
  }
  template <std::size_t C>
  void channel_affine(std::size_t rows, const float*, const float* z, const float*, const float*, const float*, float*) {
    kernels("channel_affine", rows * C, z ? 3 : 2, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_forward(std::size_t neurons, const spikenet::neuron_constants<float>&, const float*, float*) {
    kernels("lif_forward", neurons, InSteps + T, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_backward(std::size_t neurons, const spikenet::neuron_constants<float>&, const float*, const float*, float*) {
    kernels("lif_backward", neurons, InSteps + T + InSteps, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t C>
  void tdbn_lif_forward(std::size_t rows, const spikenet::neuron_constants<float>&, const float*, const float*,
                        const float*, const float* residual, float*) {
    kernels("tdbn_lif_forward", rows * C, InSteps + (residual ? T : 0) + T, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t C>
  void tdbn_lif_backward(std::size_t rows, const spikenet::neuron_constants<float>&, const float*, const float*,
                         const float*, const float* residual, const float*, const float*, const float*, float*, double*) {
    kernels("tdbn_lif_backward", rows * C, InSteps + (residual ? T : 0) + T + InSteps, 2);
    fused_neurons += static_cast<double>(rows * C * T);
  }

  inline static double fused_neurons = 0;  // times timesteps, of all fused stages

 private:
  static void note(const std::string& name, const cost& c) { counted()[name] += c; }
  static void kernels(const char* name, std::size_t size, std::size_t each, double launches) {
    note(name, {static_cast<double>(size * each), 0, 1, launches});
  }
  template <class G>
  static void convolution(const char* name, std::size_t items) {
    const double weights = static_cast<double>(G::out_channels * G::group_in * G::kernel * G::kernel);
    note(name, {static_cast<double>(items * (G::in_size + G::out_size)) + weights,
                2 * static_cast<double>(items * G::out_height * G::out_width) * weights, 1, 1});
    if (G::kernel > 1 && G::group_in > 1) note("transpose_filter", {2 * weights, 0, 1, 1});  // cudnn/filter_layout.hpp
  }
  template <std::size_t In, std::size_t Out>
  static void product(std::size_t items) {
    note("cuBLASLt", {static_cast<double>(items * (In + Out) + In * Out), 2 * static_cast<double>(items * In * Out), 1, 1});
  }
};

}  // namespace spikenet_tests
