// A backend that computes nothing and notes what the CUDA backend would do: bytes that each operation must move if caches
// keep nothing from one kernel to the next, multiplications and additions, kernels, and where the host waits. A network on
// it takes the very steps that it takes on a GPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <spikenet/backend/backend.hpp>
#include <spikenet/backend/cuda/kernels/lanes.hpp>
#include <spikenet/core/buffer.hpp>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace spikenet_tests {

struct cost {
  double bytes = 0;       // read or written
  double operations = 0;  // 2 for a multiplication with an addition
  double calls = 0, kernels = 0;

  cost& operator+=(const cost& o) {
    bytes += o.bytes;
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
inline double& counted_neurons() {  // times timesteps, of all fused stages
  static double neurons = 0;
  return neurons;
}

// As large as half; nothing is computed.
struct half_sized {
  std::uint16_t bits = 0;
  half_sized() = default;
  half_sized(float) {}
  operator float() const { return 0; }
};

// Real: what lies between layers, float or half_sized. The names that the report sums up by: those of the operations of
// libraries begin with the library's.
template <class Real>
class counting_backend {
 public:
  using scalar = float;
  using real = Real;
  template <class T>
  using storage = spikenet::buffer<T>;
  static constexpr bool host_visible = false;
  static constexpr bool fuses_stages = true, recomputes_neurons = true, watches_moments = true,
                        adds_input_gradient = true, continues_reductions = true;
  template <std::size_t Channels, std::size_t T>
  static constexpr bool copies_spikes = spikenet::detail::cuda_kernels::copies_spikes<Channels, T>;
  static constexpr double loss_scale = sizeof(Real) == sizeof(float) ? 1 : 1024;

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
    note("watch", {static_cast<double>(count * sizeof(T)), 0, 1, 1});
  }
  template <class T>
  void divide_and_watch(std::size_t count, const double*, T*) {
    note("divide_and_watch", {static_cast<double>(2 * count * sizeof(T)), 0, 1, 1});
  }
  bool all_finite() {
    ++counted_waits();
    return true;
  }
  void add_to(std::size_t count, const Real*, Real*) {
    note("add_to", {static_cast<double>(3 * count * sizeof(Real)), 0, 1, 1});
  }

  // What a function that a layer brings reads and writes is not known here: one number for each pointer that it holds is
  // the most that any of this library's takes of large arrays. Those that work on parameters, which are floats, are told by
  // where they come from.
  template <class F>
  void for_each(std::size_t count, F) {
    const std::string_view from = typeid(F).name();
    const auto is_from = [&](std::string_view name) { return from.find(name) != std::string_view::npos; };
    const bool of_parameters = is_from("adam") || is_from("tdbn");
    const std::size_t pointers = sizeof(F) / sizeof(void*), size = of_parameters ? sizeof(float) : sizeof(Real);
    note(of_parameters ? "for_each, of parameters" : "for_each", {static_cast<double>(count * pointers * size), 0, 1, 1});
  }

  // A weight between its layout and type and those that cuDNN takes, where they differ (cudnn/filter_layout.hpp). Those of
  // linear layers are too small to matter.
  void begin_pass() { copied(filters_); }
  void finish_gradients() { copied(std::exchange(finished_, 0)); }

  template <class G>
  void conv2d_forward(std::size_t items, const Real*, const float* weight, const float*, Real*) {
    convolution<G>("cuDNN forward", items);
    if (seen_.insert(weight).second) filters_ += copied_values<G>();
  }
  template <class G>
  void conv2d_backward_input(std::size_t items, const Real*, const float*, Real*, bool add = false) {
    const double added = add ? static_cast<double>(items * G::in_size * sizeof(Real)) : 0;  // what is there is read
    convolution<G>("cuDNN gradient by the input", items, added);
  }
  template <class G>
  void conv2d_backward_weight(std::size_t items, const Real*, const Real*, float*) {
    convolution<G>("cuDNN gradient by the weight", items);
    finished_ += copied_values<G>();
  }
  template <std::size_t In, std::size_t Out>
  void linear_forward(std::size_t items, const Real*, const float*, const float*, Real*) {
    product<In, Out>(items);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(std::size_t items, const Real*, const float*, Real*) {
    product<In, Out>(items);
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(std::size_t items, const Real*, const Real*, float*) {
    product<In, Out>(items);
  }

  // Of the kernels of this library: how many values each reads and writes of arrays as large as the layer. A reduction is
  // two kernels, the second over a few thousand values.
  template <std::size_t C>
  void channel_sums(std::size_t rows, const Real*, float*) {
    kernels("channel_sums", rows * C, 1, 2);
  }
  template <std::size_t C, class Then = spikenet::nothing_then>
  void channel_moments(std::size_t rows, const Real*, double*, double*, Then = {}) {
    kernels("channel_moments", rows * C, 1, 2);
  }
  template <std::size_t C, class Then = spikenet::nothing_then>
  void normalisation_sums(std::size_t rows, const Real*, const Real*, const float*, const float*, double*, Then = {}) {
    kernels("normalisation_sums", rows * C, 2, 2);
  }
  template <std::size_t C>
  void channel_affine(std::size_t rows, const Real*, const Real* z, const float*, const float*, const float*, Real*) {
    kernels("channel_affine", rows * C, z ? 3 : 2, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_forward(std::size_t neurons, const spikenet::neuron_constants<float>&, const Real*, Real*) {
    kernels("lif_forward", neurons, InSteps + T, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps>
  void lif_backward(std::size_t neurons, const spikenet::neuron_constants<float>&, const Real*, const Real*, Real*) {
    kernels("lif_backward", neurons, InSteps + T + InSteps, 1);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t C>
  void tdbn_lif_forward(std::size_t rows, const spikenet::neuron_constants<float>&, const Real*, const float*,
                        const float*, spikenet::addend<Real> residual, Real*, spikenet::spike_bits* copy = nullptr) {
    kernels("tdbn_lif_forward", rows * C, InSteps + (reads_numbers(residual) ? T : 0) + T, 1,
            ((residual.spikes ? 1 : 0) + (copy ? 1 : 0)) * rows * T * spikenet::spike_bytes<C>);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t C, class Then = spikenet::nothing_then>
  void tdbn_lif_backward(std::size_t rows, const spikenet::neuron_constants<float>&, const Real*, const float*,
                         const float*, spikenet::addend<Real> residual, const float*, const float*, const Real*, Real* gu,
                         double*, Then = {}) {
    kernels("tdbn_lif_backward", rows * C, InSteps + (reads_numbers(residual) ? T : 0) + T + (gu ? InSteps : 0), 2,
            residual.spikes ? rows * T * spikenet::spike_bytes<C> : 0);
    counted_neurons() += static_cast<double>(rows * C * T);
  }
  template <class Dynamics, std::size_t T, std::size_t InSteps, std::size_t C>
  void tdbn_lif_backward_input(std::size_t rows, const spikenet::neuron_constants<float>&, const Real*, const float*,
                               const float*, const Real*, const float*, const float*, const float*, Real*) {
    kernels("tdbn_lif_backward_input", rows * C, InSteps + T + InSteps, 1);
  }

 private:
  static void note(const std::string& name, const cost& c) { counted()[name] += c; }
  static bool reads_numbers(const spikenet::addend<Real>& residual) { return residual.values && !residual.spikes; }
  static void kernels(const char* name, std::size_t size, std::size_t each, double launches, std::size_t more_bytes = 0) {
    note(name, {static_cast<double>(size * each * sizeof(Real) + more_bytes), 0, 1, launches});
  }
  template <class G>
  static constexpr double weights_of = static_cast<double>(G::out_channels* G::group_in* G::kernel* G::kernel);
  template <class G>
  static constexpr double copied_values() {
    const bool is_mixed = sizeof(Real) != sizeof(float);
    return is_mixed || (G::kernel > 1 && G::group_in > 1) ? weights_of<G> : 0;
  }
  static void copied(double weights) { note("copy_filters", {weights * (sizeof(float) + sizeof(Real)), 0, 1, 1}); }
  template <class G>
  static void convolution(const char* name, std::size_t items, double more_bytes = 0) {
    note(name, {(static_cast<double>(items * (G::in_size + G::out_size)) + weights_of<G>) * sizeof(Real) + more_bytes,
                2 * static_cast<double>(items * G::out_height * G::out_width) * weights_of<G>, 1, 1});
  }
  template <std::size_t In, std::size_t Out>
  static void product(std::size_t items) {
    note("cuBLASLt", {static_cast<double>(items * (In + Out) + In * Out) * sizeof(Real),
                      2 * static_cast<double>(items * In * Out), 1, 1});
  }

  std::set<const float*> seen_;
  double filters_ = 0, finished_ = 0;  // values of the weights that were seen, and of the gradients to be copied
};

}  // namespace spikenet_tests
