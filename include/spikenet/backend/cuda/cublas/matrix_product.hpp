// The products of linear layers by cuBLASLt, with the bias added in the same kernel.
#pragma once

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "spikenet/backend/cuda/kernels/convert.hpp"
#include "spikenet/backend/cuda/options.hpp"
#include "spikenet/backend/cuda/runtime.hpp"
#include "spikenet/core/error.hpp"

namespace spikenet::detail {

namespace cublas {

inline void check(cublasStatus_t status, const std::string& what) {
  if (status != CUBLAS_STATUS_SUCCESS) throw device_error("cuBLASLt: " + what + ": " + cublasLtGetStatusString(status));
}

// What cuBLASLt creates and wants to have destroyed.
template <auto Destroy>
struct destroyer {
  template <class Handle>
  void operator()(Handle handle) const {
    Destroy(handle);
  }
};
using handle = std::unique_ptr<cublasLtContext, destroyer<&cublasLtDestroy>>;
using product_description = std::unique_ptr<cublasLtMatmulDescOpaque_t, destroyer<&cublasLtMatmulDescDestroy>>;
using layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, destroyer<&cublasLtMatrixLayoutDestroy>>;
using preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, destroyer<&cublasLtMatmulPreferenceDestroy>>;

template <class T>
inline constexpr cudaDataType_t data_type = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t data_type<__half> = CUDA_R_16F;
template <>
inline constexpr cudaDataType_t data_type<__nv_bfloat16> = CUDA_R_16BF;

// c [rows, columns] = op(a) op(b), op transposing where it is said so; all are column-major, as cuBLAS has them, so that
// a row-major matrix is its own transpose here. depth: the columns of op(a).
struct product {
  bool transpose_a, transpose_b, bias;
  std::int64_t rows, columns, depth;
  cudaDataType_t result = CUDA_R_32F;
  friend auto operator<=>(const product&, const product&) = default;
};

}  // namespace cublas

// What flows is of type real, float or what the option mixed says; weights, biases and their gradients are float, and sums
// are taken in float. Every pointer is aligned to 16 bytes.
template <class Scalar, class... Options>
class cublas_matrix_product {
 public:
  using real = typename real_of_options<Scalar, Options...>::type;

  // y = x weight^T + bias: x [items, In], weight [Out, In], bias [Out] or null, y [items, Out]
  template <std::size_t In, std::size_t Out>
  void linear_forward(cudaStream_t stream, std::size_t items, const real* x, const Scalar* weight, const Scalar* bias,
                      real* y) {
    multiply(stream, {true, false, bias != nullptr, number(Out), number(items), number(In)},
             as_real(stream, In * Out, weight, weight_), x, bias ? as_real(stream, Out, bias, bias_) : nullptr, y);
  }
  // gx [items, In] = gy weight
  template <std::size_t In, std::size_t Out>
  void linear_backward_input(cudaStream_t stream, std::size_t items, const real* gy, const Scalar* weight, real* gx) {
    multiply(stream, {false, false, false, number(In), number(items), number(Out)},
             as_real(stream, In * Out, weight, weight_), gy, nullptr, gx);
  }
  // gweight [Out, In] = gy^T x
  template <std::size_t In, std::size_t Out>
  void linear_backward_weight(cudaStream_t stream, std::size_t items, const real* x, const real* gy, Scalar* gweight) {
    multiply(stream, {false, true, false, number(In), number(Out), number(items)}, x, gy, nullptr, gweight);
  }

 private:
  static constexpr std::size_t workspace_size = std::size_t{4} << 20;
  static constexpr bool tf32 = std::same_as<real, float> && has_cuda_option<allow_tf32, Options...>;
  static constexpr cublasComputeType_t compute_type = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;

  struct plan {
    cublas::product_description description;
    cublas::layout a, b, c;
    cublasLtMatmulAlgo_t algorithm;
  };

  static std::int64_t number(std::size_t value) { return static_cast<std::int64_t>(value); }
  static std::string text(const cublas::product& p) {
    return "product of " + std::to_string(p.rows) + " x " + std::to_string(p.depth) + " and " +
           std::to_string(p.depth) + " x " + std::to_string(p.columns);
  }

  static const real* as_real(cudaStream_t stream, std::size_t count, const Scalar* from, device_storage<real>& memory) {
    if constexpr (std::same_as<real, Scalar>) {
      return from;
    } else {
      real* const copy = memory.reserve(count);
      cuda_kernels::convert(stream, count, from, copy);
      return copy;
    }
  }

  // Result: real, or Scalar for the gradient of a weight.
  template <class Result>
  void multiply(cudaStream_t stream, cublas::product p, const real* a, const real* b, const real* bias, Result* c) {
    p.result = cublas::data_type<Result>;
    plan& found = plan_of(p);
    if (bias) {
      cublas::check(cublasLtMatmulDescSetAttribute(found.description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                                   sizeof bias),
                    text(p));
    }
    const float one = 1, zero = 0;
    cublas::check(cublasLtMatmul(handle_.get(), found.description.get(), &one, a, found.a.get(), b, found.b.get(), &zero,
                                 c, found.c.get(), c, found.c.get(), &found.algorithm, workspace_.data(),
                                 workspace_size, stream),
                  text(p));
  }

  plan& plan_of(const cublas::product& p) {
    const auto known = plans_.find(p);
    if (known != plans_.end()) return known->second;
    if (!handle_) {
      cublasLtHandle_t handle = nullptr;
      cublas::check(cublasLtCreate(&handle), "cublasLtCreate");
      handle_.reset(handle);
      workspace_.reserve(workspace_size);
    }
    return plans_.emplace(p, make_plan(p)).first->second;
  }

  plan make_plan(const cublas::product& p) {
    plan made{};
    made.description = [] {
      cublasLtMatmulDesc_t description = nullptr;
      cublas::check(cublasLtMatmulDescCreate(&description, compute_type, CUDA_R_32F), "cublasLtMatmulDescCreate");
      return cublas::product_description(description);
    }();
    const auto describe = [&](cublasLtMatmulDescAttributes_t attribute, auto value) {
      cublas::check(cublasLtMatmulDescSetAttribute(made.description.get(), attribute, &value, sizeof value), text(p));
    };
    describe(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    describe(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (p.bias) describe(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);

    const auto matrix = [](cudaDataType_t type, bool transposed, std::int64_t rows, std::int64_t columns) {
      if (transposed) std::swap(rows, columns);
      cublasLtMatrixLayout_t layout = nullptr;
      cublas::check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                               static_cast<std::uint64_t>(columns), rows),
                    "cublasLtMatrixLayoutCreate");
      return cublas::layout(layout);
    };
    made.a = matrix(cublas::data_type<real>, p.transpose_a, p.rows, p.depth);
    made.b = matrix(cublas::data_type<real>, p.transpose_b, p.depth, p.columns);
    made.c = matrix(p.result, false, p.rows, p.columns);

    const cublas::preference preference = [] {
      cublasLtMatmulPreference_t preference = nullptr;
      cublas::check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
      return cublas::preference(preference);
    }();
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      cublas::check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value), text(p));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_size);
    // Where the depth is cut into parts, their sums are added in float.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      prefer(operand, std::uint32_t{16});
    }

    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    cublas::check(cublasLtMatmulAlgoGetHeuristic(handle_.get(), made.description.get(), made.a.get(), made.b.get(),
                                                 made.c.get(), made.c.get(), preference.get(), 1, &result, &count),
                  text(p));
    if (count == 0) throw device_error("cuBLASLt: " + text(p) + ": there is no algorithm");
    made.algorithm = result.algo;
    return made;
  }

  cublas::handle handle_;
  device_storage<std::byte> workspace_;
  device_storage<real> weight_, bias_;  // where they are not as they come
  std::map<cublas::product, plan> plans_;
};

}  // namespace spikenet::detail
