// Networks on an NVIDIA GPU, by nvcc (C++20, --extended-lambda): spikenet::cuda<float> in place of spikenet::cpu<float>.
//
//     #include <spikenet/cuda.cuh>
//     using net_t = spikenet::dsrn<spikenet::cuda<float>, 128, 2>;
//
// Brings the layers, networks and training of <spikenet/spikenet.hpp> and dsrn with it, but neither the CPU backend nor
// Eigen, which are not for nvcc: where one program has networks on both, they are in different source files. Link with
// cudart, cublasLt, cudnn and nvrtc, which cudnn-frontend wants (CMake: spikenet::cuda). See docs/cuda.md.
#pragma once

#if !defined(__CUDACC__)
#error "spikenet: <spikenet/cuda.cuh> has kernels in it: compile this file with nvcc (docs/cuda.md)"
#endif

// A statement that begins with a variable named module looks to nvcc like the beginning of a C++20 module, and it says so.
#pragma nv_diagnostic push
#pragma nv_diag_suppress 3189

#include "spikenet/backend/cuda/cublas/matrix_product.hpp"
#include "spikenet/backend/cuda/cuda.hpp"
#include "spikenet/backend/cuda/cudnn/convolution.hpp"
#include "spikenet/backend/cuda/options.hpp"
#include "spikenet/cuda_device.hpp"
#include "spikenet/network/dsrn.hpp"
#include "spikenet/networks.hpp"

#pragma nv_diagnostic pop

namespace spikenet {

// Scalar: float. Options: mixed<__half>, mixed<__nv_bfloat16>, allow_tf32, autotune, step_graphs (backend/cuda/options.hpp),
// one_by_one (backend/options.hpp).
template <class Scalar, class... Options>
using cuda = basic_cuda<Scalar, detail::cudnn_convolution<Scalar, Options...>,
                        detail::cublas_matrix_product<Scalar, Options...>, Options...>;

}  // namespace spikenet
