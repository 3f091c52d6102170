// Races in kernels, by the thread sanitizer: each thread of a grid is a thread to it (stand_in/host_cuda.hpp).
//
//     cuda_races kernels      the kernels that are more than a function of an index; none may be reported
//     cuda_races shared       a planted race in shared memory, between threads of a block
//     cuda_races global       a planted race in global memory, between blocks
//     cuda_races warp         a planted race in shared memory, between lanes that shuffle but do not synchronise
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "cuda/reference.hpp"
#include "spikenet/backend/cuda/cudnn/filter_layout.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

using backend_type = test::host_cuda_backend<float>;

// Reductions: of several blocks, in both kernels; each thread is a thread to the sanitizer, so no more than it takes.
template <std::size_t C, std::size_t Rows>
void run_reductions() {
  backend_type backend;
  constexpr std::size_t T = 2, size = T * Rows * C;
  const neuron_constants<float> k{0.3f, 0.25f, 0.7f, 0.9f};
  using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
  test::device_values<float> x(backend, test::normal<float>(size, 1)), g(backend, test::normal<float>(size, 2));
  test::device_values<float> a(backend, test::normal<float>(C, 3)), b(backend, test::normal<float>(C, 4));
  test::device_values<float> out(backend, std::vector<float>(size)), of_channel(backend, std::vector<float>(C));
  test::device_values<double> sums(backend, std::vector<double>(2 * C));
  backend.channel_sums<C>(Rows, x.data(), of_channel.data());
  backend.channel_moments<C>(Rows, x.data(), sums.data(), sums.data() + C);
  backend.tdbn_lif_backward<dynamics, T, T, C>(Rows, k, x.data(), a.data(), b.data(), g.data(), a.data(), b.data(),
                                               g.data(), out.data(), sums.data());
  std::printf("%zu channels: %g\n", C, sums.values(backend)[0]);
}

// Filters between two layouts, by way of shared memory.
void run_filters() {
  constexpr detail::filter_shape shape{9, 31, 9};  // two blocks
  backend_type backend;
  test::device_values<float> from(backend, test::normal<float>(shape.size(), 1)), back(backend, std::vector<float>(shape.size()));
  detail::filter_copies<float, float> filters;
  const float* const there = filters.weight(nullptr, shape, from.data());
  backend.for_each(shape.size(), [=, to = filters.gradient(shape, back.data())](std::size_t i) { to[i] = there[i]; });
  filters.finish_gradients(nullptr);
  std::printf("filters: %g\n", back.values(backend)[0] - from.values(backend)[0]);
}

// A function of each index, in place, and one that all threads write the same place from.
void run_functions() {
  backend_type backend;
  constexpr std::size_t size = 300;
  test::device_values<float> x(backend, std::vector<float>(size, test::nan<float>));
  float* const at = x.data();
  backend.for_each(size, [=](std::size_t i) { at[i] += 1; });
  backend.watch(size, at);
  std::printf("%s\n", backend.all_finite() ? "finite" : "not finite");
}

__global__ void without_a_barrier(float* to) {
  float* const shared = detail::cuda_kernels::shared_memory<float>();
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  to[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}
__global__ void same_place_in_every_block(float* to) { to[threadIdx.x] += 1; }
__global__ void without_a_warp_barrier(float* to) {
  float* const shared = detail::cuda_kernels::shared_memory<float>();
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  const float other = __shfl_down_sync(0xffffffffu, 1.0f, 1);  // which orders no memory
  to[threadIdx.x] = other + shared[threadIdx.x ^ 1u];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  backend_type backend;
  test::device_values<float> out(backend, std::vector<float>(64));
  const auto launch = [&](unsigned blocks, unsigned threads, void (*kernel)(float*)) {
    detail::launch(nullptr, "planted", dim3(blocks), dim3(threads), 64 * sizeof(float), kernel, out.data());
    std::printf("%g\n", static_cast<double>(out.values(backend)[0]));
  };
  if (what == "kernels") {
    run_reductions<5, 1100>();
    run_reductions<33, 270>();
    run_filters();
    run_functions();
  } else if (what == "shared") {
    launch(1, 64, &without_a_barrier);
  } else if (what == "global") {
    launch(2, 32, &same_place_in_every_block);
  } else if (what == "warp") {
    launch(1, 32, &without_a_warp_barrier);
  } else {
    std::fprintf(stderr, "usage: %s kernels|shared|global|warp\n", argv[0]);
    return 2;
  }
}
