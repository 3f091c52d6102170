// Kernels on the CPU: each thread of a block is a fibre, blocks run one after another. What the stand-in for the CUDA
// runtime (cuda_runtime.h) is made of, and what tests may set of it. It does not merely tolerate what a GPU would, it
// looks for what goes wrong on one:
//
//   * Device memory may be touched by kernels and copies alone: elsewhere it is protected (or, under the address
//     sanitizer, poisoned). Fresh memory is NaN; shared memory is, too, in every block.
//   * A thread that leaves its block while others wait, and lanes that wait for lanes that never come, are errors.
//   * The order of threads and blocks can be reversed, and work can be put off until somebody synchronises: whatever
//     depends on order, or on work being done at once, then goes wrong. Who waits for an event gets what came before it.
//   * While a graph is captured, memory may not be taken or given back, nor may anybody wait.
//   * Under the thread sanitizer each thread of a grid is a thread to it, ordered by barriers alone, so that it sees races
//     in shared and in global memory. host_cuda.cpp must itself be compiled without it, and with HOST_CUDA_RACES.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

namespace host_cuda {

// What a kernel did wrong: names the kernel's block and thread. Thrown where the work is done.
struct kernel_error : std::logic_error {
  using std::logic_error::logic_error;
};

// For tests.
enum class order { ascending, descending };
void set_order(order);        // of blocks, and of threads between two barriers
void set_deferred(bool);      // put work off until somebody synchronises
void set_memory(std::size_t bytes);  // of the device: how much cudaMalloc hands out
void set_devices(int);        // how many there are
std::size_t launches();       // of kernels, ever
std::size_t graph_launches();  // ever
std::size_t allocations();    // of device memory, ever
std::size_t synchronisations();  // that the host waited for, ever

// Makes device memory accessible for the length of its life, for a function of a test that stands in for a library's
// kernel. Belongs inside submit.
class device_code {
 public:
  device_code();
  ~device_code();
  device_code(const device_code&) = delete;
  device_code& operator=(const device_code&) = delete;
};

// Does the work in its turn: at once, or when somebody synchronises; or notes it for the graph that is being captured.
void submit(std::function<void()> work);

struct launch_shape {
  unsigned grid[3], block[3];
  std::size_t shared_bytes;
};
bool is_valid(const launch_shape&);

// Runs thread() as each thread of a grid.
void run_grid(const launch_shape&, const std::function<void()>& thread);

// What a thread asks of its place and of the others.
enum class coordinate {
  thread_x, thread_y, thread_z, block_x, block_y, block_z,
  block_size_x, block_size_y, block_size_z, grid_size_x, grid_size_y, grid_size_z
};
unsigned own(coordinate) noexcept;
unsigned own_lane() noexcept;
void block_barrier();
void warp_barrier(unsigned mask);
unsigned ballot(unsigned mask, bool vote);
std::uint64_t exchange(unsigned mask, std::uint64_t mine, unsigned source_lane);  // what that lane offers

}  // namespace host_cuda
