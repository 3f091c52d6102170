// What compilers call differently. Every header of the library reaches this one before it needs C++20.
#pragma once

// A compiler goes on after an #error, but not after a missing file: the errors that would follow hide the first.
#if __cplusplus < 202002L
#error "spikenet needs C++20: compile with -std=c++20, by g++ 12 or clang 14 or later versions"
#include "the compilation ends here, since spikenet needs C++20"
#endif

// In front of the declaration of a function for the host and, where a CUDA compiler compiles it, for the device; and
// between the captures and the parameters of a lambda that a backend's for_each is given:
//
//     c.backend.for_each(n, [=] SPIKENET_HOST_DEVICE (std::size_t i) { out[i] = in[i]; });
//
// A CUDA compiler wants such a lambda without init-captures, and not within a private member function.
#if defined(__CUDACC__)
#define SPIKENET_HOST_DEVICE __host__ __device__
#else
#define SPIKENET_HOST_DEVICE
#endif

// The innermost loops over registers must not be left as loops, at no level of optimisation that matters.
#if defined(__CUDA_ARCH__)
#define SPIKENET_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__)  // the host's part, of which nvcc knows one spelling and the compiler behind it the other
#define SPIKENET_UNROLL
#elif defined(__clang__)
#define SPIKENET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SPIKENET_UNROLL _Pragma("GCC unroll 32")
#endif
