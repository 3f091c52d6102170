// A convolution's weight between PyTorch's layout and channels last.
//
// Parameters are in PyTorch's layout, [Cout, Cin / groups, K, K], so that state dicts and optimizers need not know what
// runs a network. With activations channels last, cuDNN's engines for tensor cores want the weight so, too: [Cout, K, K,
// Cin / groups]. One in PyTorch's layout it transposes in its workspace, at each call, and for some shapes another engine
// than the best must do (docs/cuda-plans.md). In mixed precision this is where parameters become half, and their gradients
// float, too.
//
// All weights of a network are copied by one kernel before a forward pass, and all their gradients by one after a backward
// pass: a weight is small, and a kernel for each took as long as the memory's traffic many times over.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "spikenet/backend/cuda/kernels/reduction.hpp"
#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/core/compiler.hpp"

namespace spikenet::detail {

// [filters, channels, taps] in PyTorch's layout, [filters, taps, channels] channels last.
struct filter_shape {
  unsigned filters, channels, taps;
  friend bool operator==(const filter_shape&, const filter_shape&) = default;
  SPIKENET_HOST_DEVICE unsigned pairs() const { return filters * channels; }
  std::size_t size() const noexcept { return std::size_t{filters} * channels * taps; }
};
template <class G>
inline constexpr filter_shape filter_shape_of{static_cast<unsigned>(G::out_channels), static_cast<unsigned>(G::group_in),
                                              static_cast<unsigned>(G::kernel* G::kernel)};

// True where both layouts are the same.
template <class G>
inline constexpr bool filter_layouts_agree = G::kernel == 1 || G::group_in == 1;

// Filters to copy, an argument of a kernel. A block takes neighbouring pairs of a filter and a channel, by way of the memory
// that its threads share: so neighbours read and write neighbouring values on both sides.
template <class From, class To>
struct filter_list {
  struct entry {
    const From* from;
    To* to;
    filter_shape shape;
    unsigned pairs_of_block;  // a power of 2
    unsigned first_block;
  };
  static constexpr unsigned most = 64, threads = 256;
  entry entries[most];
  unsigned count = 0, blocks = 0;
  std::size_t shared_bytes = 0;

  void add(const From* from, To* to, const filter_shape& shape) {
    constexpr unsigned values_of_block = 8192;
    const unsigned pairs = std::clamp(std::bit_floor(values_of_block / shape.taps), 1u, threads);
    entries[count++] = {from, to, shape, pairs, blocks};
    blocks += (shape.pairs() + pairs - 1) / pairs;
    shared_bytes = std::max(shared_bytes, std::size_t{pairs} * shape.taps * sizeof(To));
  }
};

struct into_channels_last;
struct into_pytorch;

// Into: the layout that To is in, one of those two.
template <class Into, class From, class To>
__global__ void __launch_bounds__(256) copy_filters(const __grid_constant__ filter_list<From, To> list) {
  unsigned which = 0;
  while (which + 1 < list.count && list.entries[which + 1].first_block <= blockIdx.x) ++which;
  const auto& entry = list.entries[which];
  const From* const from = entry.from;
  To* const to = entry.to;
  const unsigned channels = entry.shape.channels, taps = entry.shape.taps, width = entry.pairs_of_block;
  const unsigned first = (blockIdx.x - entry.first_block) * width, left = entry.shape.pairs() - first;
  const unsigned pairs = left < width ? left : width;  // of this block: side by side in PyTorch's layout
  const std::size_t begin = std::size_t{first} * taps;

  // The pair of this thread, and what its taps lie apart channels last.
  const unsigned own = threadIdx.x % width, pair = first + own;
  const std::size_t at = std::size_t{pair / channels} * taps * channels + pair % channels;
  To* const block = cuda_kernels::shared_memory<To>();  // [pairs, taps]
  if constexpr (std::is_same_v<Into, into_channels_last>) {
    for (unsigned i = threadIdx.x; i < pairs * taps; i += blockDim.x) block[i] = static_cast<To>(from[begin + i]);
    __syncthreads();
    for (unsigned tap = threadIdx.x / width; own < pairs && tap < taps; tap += blockDim.x / width)
      to[at + std::size_t{tap} * channels] = block[own * taps + tap];
  } else {
    for (unsigned tap = threadIdx.x / width; own < pairs && tap < taps; tap += blockDim.x / width)
      block[own * taps + tap] = static_cast<To>(from[at + std::size_t{tap} * channels]);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < pairs * taps; i += blockDim.x) to[begin + i] = block[i];
  }
}

// The weights that convolutions were given, channels last and as Reals, and the gradients by them, as convolutions leave
// them. A weight or gradient that was here once must stay where it is for as long as this is used.
template <class Scalar, class Real>
class filter_copies {
 public:
  // The weight as it was in begin_pass, or is, where it is here for the first time.
  const Real* weight(cudaStream_t stream, const filter_shape& shape, const Scalar* original) {
    if (const auto* known = find(weights_, shape, original)) return known->memory.data();
    copy<const Scalar>& added = add(weights_, shape, original);
    filter_list<Scalar, Real> list;
    list.add(original, added.memory.data(), shape);
    run<into_channels_last>(stream, list);
    return added.memory.data();
  }
  // Where to leave the gradient by a weight: finish_gradients brings it to `original`.
  Real* gradient(const filter_shape& shape, Scalar* original) {
    copy<Scalar>* known = find(gradients_, shape, original);
    copy<Scalar>& wanted = known ? *known : add(gradients_, shape, original);
    wanted.to_finish = true;
    return wanted.memory.data();
  }

  // Weights may be others than before.
  void begin_pass(cudaStream_t stream) {
    filter_list<Scalar, Real> list;
    for (copy<const Scalar>& c : weights_) add_to<into_channels_last>(stream, list, c.original, c.memory.data(), c.shape);
    run<into_channels_last>(stream, list);
  }
  void finish_gradients(cudaStream_t stream) {
    filter_list<Real, Scalar> list;
    for (copy<Scalar>& c : gradients_) {
      if (!c.to_finish) continue;
      c.to_finish = false;
      add_to<into_pytorch>(stream, list, c.memory.data(), c.original, c.shape);
    }
    run<into_pytorch>(stream, list);
  }

 private:
  template <class Original>
  struct copy {
    Original* original;
    filter_shape shape;
    device_storage<Real> memory;
    bool to_finish = false;  // of a gradient
  };

  template <class Original>
  static copy<Original>* find(std::vector<copy<Original>>& copies, const filter_shape& shape, Original* original) {
    const auto is_it = [&](const copy<Original>& c) { return c.original == original && c.shape == shape; };
    const auto found = std::find_if(copies.begin(), copies.end(), is_it);
    return found == copies.end() ? nullptr : &*found;
  }
  template <class Original>
  static copy<Original>& add(std::vector<copy<Original>>& copies, const filter_shape& shape, Original* original) {
    copy<Original> added{original, shape, {}};
    added.memory.reserve(shape.size());
    copies.push_back(std::move(added));
    return copies.back();
  }
  template <class Into, class From, class To>
  static void add_to(cudaStream_t stream, filter_list<From, To>& list, const std::type_identity_t<From>* from,
                     std::type_identity_t<To>* to, const filter_shape& shape) {
    if (list.count == list.most) {
      run<Into>(stream, list);
      list = {};
    }
    list.add(from, to, shape);
  }
  template <class Into, class From, class To>
  static void run(cudaStream_t stream, const filter_list<From, To>& list) {
    if (list.count == 0) return;
    launch(stream, "copy of filters", dim3(list.blocks), dim3(list.threads), list.shared_bytes,
           &copy_filters<Into, From, To>, list);
  }

  std::vector<copy<const Scalar>> weights_;
  std::vector<copy<Scalar>> gradients_;
};

}  // namespace spikenet::detail
