// The CUDA backend without a GPU: its own kernels and host code on the CPU (stand_in/), and plain loops in place of cuDNN
// and cuBLASLt.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "spikenet/backend/cuda/cuda.hpp"
#include "spikenet/backend/cuda/cudnn/filter_layout.hpp"

namespace test {

// In T, from what is stored as Real; parameters are rounded to that first, as tensor cores have them.
template <class Real, class T>
T rounded(T value) {
  return static_cast<T>(static_cast<Real>(value));
}

// y[n, i, j, o] = bias[o] + sum of weight[o, c, k, l] x[n, i * stride + k * dilation - padding, ..., c]
template <class T, class Real = T>
class reference_convolution {
 public:
  static constexpr bool adds_input_gradient = true;
  template <class G>
  void forward(cudaStream_t stream, std::size_t items, const Real* x, const T* weight, const T* bias, Real* y) {
    const Real* const filter = filters_.weight(stream, spikenet::detail::filter_shape_of<G>, weight);
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      std::vector<T> sums(items * G::out_size);
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = bias ? rounded<Real>(bias[i % G::out_channels]) : T{};
      for_each_product<G>(items, [&](std::size_t in, std::size_t w, std::size_t out) {
        sums[out] += static_cast<T>(x[in]) * static_cast<T>(filter[w]);
      });
      store(sums, y);
    });
  }
  template <class G>
  void backward_input(cudaStream_t stream, std::size_t items, const Real* gy, const T* weight, Real* gx, bool add) {
    const Real* const filter = filters_.weight(stream, spikenet::detail::filter_shape_of<G>, weight);
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      std::vector<T> sums(items * G::in_size);
      for (std::size_t i = 0; add && i < sums.size(); ++i) sums[i] = static_cast<T>(gx[i]);
      for_each_product<G>(items, [&](std::size_t in, std::size_t w, std::size_t out) {
        sums[in] += static_cast<T>(gy[out]) * static_cast<T>(filter[w]);
      });
      store(sums, gx);
    });
  }
  template <class G>
  void backward_weight(cudaStream_t, std::size_t items, const Real* x, const Real* gy, T* gweight) {
    Real* const gfilter = filters_.gradient(spikenet::detail::filter_shape_of<G>, gweight);
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      std::vector<T> sums(G::out_channels * G::group_in * G::kernel * G::kernel);
      for_each_product<G>(items, [&](std::size_t in, std::size_t w, std::size_t out) {
        sums[w] += static_cast<T>(x[in]) * static_cast<T>(gy[out]);
      });
      store(sums, gfilter);
    });
  }
  void begin_pass(cudaStream_t stream) { filters_.begin_pass(stream); }
  void finish_gradients(cudaStream_t stream) { filters_.finish_gradients(stream); }

 private:
  static void store(const std::vector<T>& sums, Real* to) {
    for (std::size_t i = 0; i < sums.size(); ++i) to[i] = static_cast<Real>(sums[i]);
  }

  // f(index of the input, of the weight, channels last, of the output) for every product of a convolution.
  template <class G, class F>
  static void for_each_product(std::size_t items, F f) {
    for (std::size_t n = 0; n < items; ++n) {
      for (std::size_t i = 0; i < G::out_height; ++i) {
        for (std::size_t j = 0; j < G::out_width; ++j) {
          for (std::size_t tap = 0; tap < G::kernel * G::kernel; ++tap) {
            const std::size_t row = i * G::stride + tap / G::kernel * G::dilation;
            const std::size_t column = j * G::stride + tap % G::kernel * G::dilation;
            if (row < G::padding || row >= G::padding + G::in_height) continue;
            if (column < G::padding || column >= G::padding + G::in_width) continue;
            const std::size_t in = n * G::in_size + ((row - G::padding) * G::in_width + column - G::padding) * G::in_channels;
            const std::size_t out = n * G::out_size + (i * G::out_width + j) * G::out_channels;
            for (std::size_t o = 0; o < G::out_channels; ++o) {
              for (std::size_t c = 0; c < G::group_in; ++c)
                f(in + o / G::group_out * G::group_in + c, (o * G::kernel * G::kernel + tap) * G::group_in + c, out + o);
            }
          }
        }
      }
    }
  }

  spikenet::detail::filter_copies<T, Real> filters_;
};

template <class T, class Real = T>
class reference_product {
 public:
  template <std::size_t In, std::size_t Out>
  void linear_forward(cudaStream_t, std::size_t items, const Real* x, const T* weight, const T* bias, Real* y) {
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      for (std::size_t n = 0; n < items; ++n) {
        for (std::size_t o = 0; o < Out; ++o) {
          T sum = bias ? rounded<Real>(bias[o]) : T{};
          for (std::size_t i = 0; i < In; ++i) sum += static_cast<T>(x[n * In + i]) * rounded<Real>(weight[o * In + i]);
          y[n * Out + o] = static_cast<Real>(sum);
        }
      }
    });
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(cudaStream_t, std::size_t items, const Real* gy, const T* weight, Real* gx) {
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      for (std::size_t n = 0; n < items; ++n) {
        for (std::size_t i = 0; i < In; ++i) {
          T sum{};
          for (std::size_t o = 0; o < Out; ++o) {
            sum += static_cast<T>(gy[n * Out + o]) * rounded<Real>(weight[o * In + i]);
          }
          gx[n * In + i] = static_cast<Real>(sum);
        }
      }
    });
  }
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(cudaStream_t, std::size_t items, const Real* x, const Real* gy, T* gweight) {
    host_cuda::submit([=] {
      const host_cuda::device_code access;
      std::fill_n(gweight, Out * In, T{});
      for (std::size_t n = 0; n < items; ++n) {
        for (std::size_t o = 0; o < Out; ++o) {
          for (std::size_t i = 0; i < In; ++i) {
            gweight[o * In + i] += static_cast<T>(gy[n * Out + o]) * static_cast<T>(x[n * In + i]);
          }
        }
      }
    });
  }
};

template <class T, class... Options>
using real_t = typename spikenet::detail::real_of_options<T, Options...>::type;
template <class T, class... Options>
using host_cuda_backend = spikenet::basic_cuda<T, reference_convolution<T, real_t<T, Options...>>,
                                               reference_product<T, real_t<T, Options...>>, Options...>;

// Values in the memory of a device, between others that must survive.
template <class T>
class device_values {
 public:
  template <class Backend>
  device_values(Backend& backend, const std::vector<T>& values) : size_{values.size()} {
    T* const memory = memory_.reserve(size_ + 2 * margin);
    backend.fill(memory, size_ + 2 * margin, [&](T* to) {
      std::fill_n(to, size_ + 2 * margin, mark());
      std::copy(values.begin(), values.end(), to + margin);
    });
  }
  T* data() { return memory_.data() + margin; }
  template <class Backend>
  std::vector<T> values(Backend& backend) {
    std::vector<T> all(size_ + 2 * margin);
    backend.download(memory_.data(), all.size(), all.data());
    return {all.begin() + margin, all.end() - margin};
  }
  template <class Backend>
  bool within_bounds(Backend& backend) {
    std::vector<T> all(size_ + 2 * margin);
    backend.download(memory_.data(), all.size(), all.data());
    for (std::size_t i = 0; i < margin; ++i)
      if (all[i] != mark() || all[all.size() - 1 - i] != mark()) return false;
    return true;
  }

 private:
  static constexpr std::ptrdiff_t margin = 64;
  static T mark() { return static_cast<T>(123); }
  spikenet::device_storage<T> memory_;
  std::size_t size_;
};

}  // namespace test
