// The stand-in for the CUDA runtime itself: what a GPU does, it does; what goes wrong on a GPU, it reports.
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "catch.hpp"
#include "cuda/reference.hpp"

using namespace spikenet;
using Catch::Matchers::Contains;

namespace {

using backend_type = test::host_cuda_backend<float>;

template <class T>
T* shared() {
  return detail::cuda_kernels::shared_memory<T>();
}

template <class... Parameters>
std::vector<int> run(dim3 grid, dim3 block, std::size_t count, void (*kernel)(int*, Parameters...),
                     Parameters... arguments) {
  backend_type backend;
  test::device_values<int> out(backend, std::vector<int>(count, -1));
  detail::launch(nullptr, "test", grid, block, 1024 * sizeof(int), kernel, out.data(), arguments...);
  return out.values(backend);
}

__global__ void note_place(int* to) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  to[block * blockDim.x * blockDim.y * blockDim.z + thread] = static_cast<int>(block * 1000 + thread);
}
__global__ void turn_around(int* to) {
  int* const values = shared<int>();
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  to[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}
__global__ void shuffles(int* to) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  int* const own = to + threadIdx.x * 6;
  own[0] = __shfl_sync(0xffffffffu, lane, 5);
  own[1] = __shfl_down_sync(0xffffffffu, lane, 3);
  own[2] = __shfl_up_sync(0xffffffffu, lane, 3, 8);
  own[3] = __shfl_xor_sync(0xffffffffu, lane, 9);
  own[4] = __popc(__ballot_sync(0xffffffffu, lane % 3 == 0));
  own[5] = (__any_sync(0xffffffffu, lane == 31) != 0 ? 1 : 0) + (__all_sync(0xffffffffu, lane < 31) != 0 ? 2 : 0);
}
// Half of a warp goes another way and synchronises by itself.
__global__ void halves(int* to) {
  const unsigned lane = threadIdx.x % 32, mask = lane < 16 ? 0xffffu : 0xffff0000u;
  int sum = static_cast<int>(lane);
  if (lane < 16) {
    for (int by = 8; by > 0; by /= 2) sum += __shfl_xor_sync(mask, sum, by);
  } else {
    __syncwarp(mask);
  }
  to[threadIdx.x] = sum;
}
__global__ void count_up(int* to) { atomicAdd(to, 1); }
__global__ void leaves(int* to) {
  if (threadIdx.x == 7) return;
  __syncthreads();
  to[threadIdx.x] = 1;
}
__global__ void lane_does_not_come(int* to) {
  if (threadIdx.x != 40) to[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
}
__global__ void reads_shared(int* to) { to[threadIdx.x] = shared<int>()[threadIdx.x]; }
__global__ void takes_turns(int* to) { to[0] = static_cast<int>(threadIdx.x); }

// Whether f() ends the process that it is called in, by a signal or the address sanitizer.
template <class F>
bool is_fatal(F f) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) _exit(0);
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

}  // namespace

TEST_CASE("every thread of a grid runs once and knows its place", "[cuda]") {
  const auto values = run(dim3(2, 3, 2), dim3(5, 4, 3), 12 * 60, &note_place);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) wrong += values[i] != static_cast<int>(i / 60 * 1000 + i % 60) ? 1 : 0;
  CHECK(wrong == 0);
}

TEST_CASE("barriers, shuffles and votes", "[cuda]") {
  for (const auto order : {host_cuda::order::ascending, host_cuda::order::descending}) {
    host_cuda::set_order(order);
    const auto turned = run(dim3(1), dim3(96), 96, &turn_around);
    for (int i = 0; i < 96; ++i) CHECK(turned[static_cast<std::size_t>(i)] == 95 - i);
    const auto shuffled = run(dim3(1), dim3(64), 64 * 6, &shuffles);
    for (int thread = 0; thread < 64; ++thread) {
      const int lane = thread % 32;
      const int* const own = &shuffled[static_cast<std::size_t>(thread) * 6];
      CAPTURE(thread);
      CHECK(own[0] == 5);
      CHECK(own[1] == (lane + 3 < 32 ? lane + 3 : lane));
      CHECK(own[2] == (lane % 8 >= 3 ? lane - 3 : lane));
      CHECK(own[3] == (lane ^ 9));
      CHECK(own[4] == 11);
      CHECK(own[5] == 1);
    }
    const auto sums = run(dim3(1), dim3(32), 32, &halves);
    CHECK(sums[3] == 120);
    CHECK(sums[20] == 20);
    CHECK(run(dim3(7), dim3(33), 1, &count_up)[0] == -1 + 7 * 33);
  }
  host_cuda::set_order(host_cuda::order::ascending);
}

TEST_CASE("whoever leaves while others wait is found", "[cuda]") {
  CHECK_THROWS_WITH(run(dim3(1), dim3(64), 64, &leaves),
                    Contains("waits at a barrier") && Contains("thread (7, 0, 0) of block (0, 0, 0) has left"));
  CHECK_THROWS_WITH(run(dim3(2), dim3(64), 64, &lane_does_not_come), Contains("waits for lanes of its warp"));
  CHECK(run(dim3(1), dim3(96), 96, &turn_around)[0] == 95);  // and all is well afterwards
}

TEST_CASE("launches that a GPU refuses are errors, which name the kernel", "[cuda]") {
  CHECK_THROWS_WITH(run(dim3(1), dim3(1025), 1, &count_up),
                    Contains("test, 1 x 1 x 1 blocks of 1025 x 1 x 1 threads") && Contains("invalid configuration"));
  CHECK_THROWS_AS(run(dim3(1, 70000), dim3(1), 1, &count_up), device_error);
}

TEST_CASE("memory that nobody has written is not what it was before", "[cuda]") {
  const auto values = run(dim3(2), dim3(8), 8, &reads_shared);
  for (const int value : values) CHECK(value == -1);  // all bits set, which is NaN
}

TEST_CASE("what depends on the order of threads shows", "[cuda]") {
  CHECK(run(dim3(1), dim3(8), 1, &takes_turns)[0] == 7);
  host_cuda::set_order(host_cuda::order::descending);
  CHECK(run(dim3(1), dim3(8), 1, &takes_turns)[0] == 0);
  host_cuda::set_order(host_cuda::order::ascending);
}

TEST_CASE("the host cannot touch the memory of the device", "[cuda]") {
  device_storage<int> memory;
  volatile int* const at = memory.reserve(4);
  CHECK(is_fatal([=] { at[0] = 1; }));
  CHECK(is_fatal([=] { static_cast<void>(at[3]); }));
}

TEST_CASE("deferred work is done when somebody waits for it", "[cuda]") {
  backend_type backend;
  test::device_values<int> out(backend, std::vector<int>(1, 5));
  host_cuda::set_deferred(true);
  const std::size_t before = host_cuda::launches();
  detail::launch(nullptr, "test", dim3(1), dim3(3), 0, &count_up, out.data());
  CHECK(host_cuda::launches() == before);
  CHECK(out.values(backend)[0] == 8);
  host_cuda::set_deferred(false);
}

TEST_CASE("too little memory is an error that says how much", "[cuda]") {
  device_storage<float> memory;
  host_cuda::set_memory(1 << 20);
  CHECK_THROWS_WITH(memory.reserve(1 << 19), Contains("2097152 bytes") && Contains("of 1048576 are free"));
  host_cuda::set_memory(std::size_t{4} << 30);
  CHECK(memory.reserve(1 << 19) != nullptr);
}

TEST_CASE("a graph runs when it is launched, as often as it is", "[cuda]") {
  backend_type backend;
  test::device_values<int> out(backend, std::vector<int>(1, 5));
  const auto stream = detail::make_stream();
  const auto graph = detail::record(
      stream.get(), [&] { detail::launch(stream.get(), "test", dim3(1), dim3(3), 0, &count_up, out.data()); });
  CHECK(out.values(backend)[0] == 5);
  for (int i = 0; i < 2; ++i) detail::check(cudaGraphLaunch(graph.get(), stream.get()), "cudaGraphLaunch");
  CHECK(out.values(backend)[0] == 11);
}

TEST_CASE("what a graph cannot hold spoils it", "[cuda]") {
  const auto stream = detail::make_stream();
  const auto event = detail::make_event();
  device_storage<int> memory;
  memory.reserve(2);
  int value = 0;
  const auto record = [&](auto pass) { return detail::record(stream.get(), pass); };
  const std::string refused = ": operation not permitted when stream is capturing";
  CHECK_THROWS_WITH(record([&] { memory.reserve(4); }), Contains("cudaFree" + refused));
  CHECK_THROWS_WITH(record([&] { device_storage<int>{}.reserve(4); }), Contains("cudaMalloc") && Contains(refused));
  CHECK_THROWS_WITH(record([&] { backend_type{}.download(memory.data(), 1, &value); }),
                    Contains("cudaStreamSynchronize" + refused));
  CHECK_THROWS_WITH(record([&] { detail::check(cudaEventSynchronize(event.get()), "waiting"); }),
                    Contains("waiting" + refused));
  // Where nobody looks at the status, the end of the capture tells.
  CHECK_THROWS_WITH(record([&] { cudaStreamSynchronize(stream.get()); }), Contains("previous error during capture"));
  CHECK(static_cast<bool>(record([] {})));
}
