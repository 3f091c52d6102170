// Every kernel of the CUDA backend, for the shapes of spikenet::dsrn<spikenet::cuda<float>, 128, 2>, in float and in mixed
// precision: compiled, never run. kernels.sh reads what the compiler says of each.
#include <cuda_bf16.h>

#include <spikenet/backend/cuda/cuda.hpp>
#include <spikenet/backend/cuda/cudnn/filter_layout.hpp>
#include <spikenet/layer/tdbn.hpp>

namespace {

struct none {};  // convolutions and products are not this library's kernels
template <class Real>
using backend = std::conditional_t<std::same_as<Real, float>, spikenet::basic_cuda<float, none, none>,
                                   spikenet::basic_cuda<float, none, none, spikenet::mixed<Real>>>;
using constants = spikenet::neuron_constants<float>;
using dynamics = spikenet::lif_dynamics<spikenet::hard_reset, spikenet::through_reset, spikenet::heaviside>;

// The kernels of a stage of C channels whose input has InSteps timesteps of 2. p: of parameters and statistics
template <class Real, std::size_t C, std::size_t InSteps>
void stage(backend<Real>& b, std::size_t n, const constants& k, const Real* in, Real* out, const float* p, double* sums) {
  b.template channel_moments<C>(n, in, sums, sums, spikenet::detail::tdbn_preparation<float>{});
  b.template tdbn_lif_forward<dynamics, 2, InSteps, C>(n, k, in, p, p, in, out);
  b.template tdbn_lif_backward<dynamics, 2, InSteps, C>(n, k, in, p, p, in, p, p, in, out, sums,
                                                        spikenet::detail::tdbn_differentiation<float>{});
  b.template tdbn_lif_backward_input<dynamics, 2, InSteps, C>(n, k, in, p, p, in, p, p, p, out);
  b.template channel_affine<C>(n, in, in, p, p, p, out);
  b.template normalisation_sums<C>(n, in, in, p, p, sums, spikenet::detail::tdbn_differentiation<float>{});
}

}  // namespace

template <class Real>
void every_kernel(backend<Real>& b, std::size_t n, const constants& k, const Real* in, Real* out, const float* p,
                  float* gradient, double* sums) {
  stage<Real, 128, 1>(b, n, k, in, out, p, sums);
  stage<Real, 128, 2>(b, n, k, in, out, p, sums);
  stage<Real, 256, 2>(b, n, k, in, out, p, sums);
  stage<Real, 512, 2>(b, n, k, in, out, p, sums);
  b.template lif_forward<dynamics, 2, 2>(n, k, in, out);
  b.template lif_backward<dynamics, 2, 2>(n, k, in, in, out);
  b.template channel_sums<256>(n, in, gradient);
  b.template channel_sums<10>(n, in, gradient);
  b.watch(n, p);
  b.divide_and_watch(n, sums, gradient);
  b.sum_of_squares(n, p);
  b.add_to(n, in, out);
  spikenet::detail::filter_copies<float, Real> filters;
  filters.weight(nullptr, {1, 1, 1}, p);
  filters.gradient({1, 1, 1}, gradient);
  filters.finish_gradients(nullptr);
}

template void every_kernel<float>(backend<float>&, std::size_t, const constants&, const float*, float*, const float*, float*,
                                  double*);
template void every_kernel<__half>(backend<__half>&, std::size_t, const constants&, const __half*, __half*, const float*,
                                   float*, double*);

// bfloat16 differs from half in nothing but two conversions: one stage.
void kernels_on_bfloat16(backend<__nv_bfloat16>& b, std::size_t n, const constants& k, const __nv_bfloat16* in,
                         __nv_bfloat16* out, const float* p, double* sums) {
  stage<__nv_bfloat16, 128, 2>(b, n, k, in, out, p, sums);
}
