// Every kernel of the CUDA backend, for the shapes of spikenet::dsrn<spikenet::cuda<float>, 128, 2>: compiled, never run.
// kernels.sh reads what the compiler says of each.
#include <spikenet/backend/cuda/cuda.hpp>

namespace {

struct none {};  // convolutions and products are not this library's kernels
template <class S>
using backend = spikenet::basic_cuda<S, none, none>;
using dynamics = spikenet::lif_dynamics<spikenet::hard_reset, spikenet::through_reset, spikenet::heaviside>;

// The kernels of a stage of C channels whose input has InSteps timesteps of 2.
template <class S, std::size_t C, std::size_t InSteps>
void stage(backend<S>& b, std::size_t n, const spikenet::neuron_constants<S>& k, const S* in, S* out, double* sums) {
  b.template channel_moments<C>(n, in, sums, sums);
  b.template tdbn_lif_forward<dynamics, 2, InSteps, C>(n, k, in, in, in, in, out);
  b.template tdbn_lif_backward<dynamics, 2, InSteps, C>(n, k, in, in, in, in, in, in, in, out, sums);
  b.template channel_affine<C>(n, in, in, in, in, in, out);
  b.template normalisation_sums<C>(n, in, in, in, in, sums);
}

}  // namespace

template <class S>
void every_kernel(backend<S>& b, std::size_t n, const spikenet::neuron_constants<S>& k, const S* in, S* out,
                  double* sums) {
  stage<S, 128, 1>(b, n, k, in, out, sums);
  stage<S, 128, 2>(b, n, k, in, out, sums);
  stage<S, 256, 2>(b, n, k, in, out, sums);
  stage<S, 512, 2>(b, n, k, in, out, sums);
  b.template lif_forward<dynamics, 2, 2>(n, k, in, out);
  b.template lif_backward<dynamics, 2, 2>(n, k, in, in, out);
  b.template channel_sums<256>(n, in, out);
  b.template channel_sums<10>(n, in, out);
  b.watch(n, in);
  b.sum_of_squares(n, in);
}

template void every_kernel(backend<float>&, std::size_t, const spikenet::neuron_constants<float>&, const float*, float*,
                           double*);
