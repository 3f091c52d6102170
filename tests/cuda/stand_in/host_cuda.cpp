#include "host_cuda.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda_runtime.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_CUDA_ADDRESS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HOST_CUDA_ADDRESS_SANITIZER
#endif
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(HOST_CUDA_RACES)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

// The kernels' dynamic shared memory; see shared_memory in backend/cuda/kernels.
namespace spikenet::detail::cuda_kernels {
extern unsigned char dynamic_shared[];
alignas(1 << 16) unsigned char dynamic_shared[1 << 16];  // whole pages, of whatever size
}  // namespace spikenet::detail::cuda_kernels

namespace host_cuda {
namespace {

using spikenet::detail::cuda_kernels::dynamic_shared;
constexpr std::size_t shared_limit = 48 * 1024;
constexpr unsigned lanes = 32, threads_limit = 1024;
constexpr unsigned char fresh = 0xff;  // floating-point numbers of such bytes are NaN

// ---- Switching between stacks, without a system call ----

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.type host_cuda_switch, @function
host_cuda_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size host_cuda_switch, .-host_cuda_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.type host_cuda_switch, %function
host_cuda_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size host_cuda_switch, .-host_cuda_switch
)");
#endif

#if defined(__x86_64__) || defined(__aarch64__)
extern "C" void host_cuda_switch(void** from, void* to);

// Where a context goes on: its stack pointer, above which its registers lie.
struct context {
  void* stack = nullptr;

  void start(char* bottom, std::size_t size, void (*entry)()) {
#if defined(__x86_64__)
    void** top = reinterpret_cast<void**>(bottom + size) - 2;  // ret leaves the stack as after a call
    *top = reinterpret_cast<void*>(entry);
    top[1] = nullptr;
    stack = top - 6;
    std::fill_n(static_cast<void**>(stack), 6, nullptr);
#else
    void** const frame = reinterpret_cast<void**>(bottom + size) - 20;
    std::fill_n(frame, 20, nullptr);
    frame[11] = reinterpret_cast<void*>(entry);
    stack = frame;
#endif
  }
  static void change(context& from, context& to) { host_cuda_switch(&from.stack, to.stack); }
};
#else
struct context {
  ucontext_t registers{};

  void start(char* bottom, std::size_t size, void (*entry)()) {
    getcontext(&registers);
    registers.uc_stack.ss_sp = bottom;
    registers.uc_stack.ss_size = size;
    registers.uc_link = nullptr;
    makecontext(&registers, entry, 0);
  }
  static void change(context& from, context& to) { swapcontext(&from.registers, &to.registers); }
};
#endif

// ---- A block and its threads ----

enum class state { ready, at_warp_barrier, at_block_barrier, left };

constexpr std::size_t stack_size = 64 * 1024;

struct fibre {
  context where;
  char* stack = nullptr;
  unsigned index[3] = {};
  state is = state::ready;
  unsigned waits_for = 0;  // lanes of its warp
  unsigned phase = 0;      // of the warp's exchanges
  void* own_sanitizer_stack = nullptr;
  void* sanitizer_fibre = nullptr;
};

// Addresses by which the thread sanitizer knows who waits for whom. Each block has others, so that it does not take what
// one did before a barrier of its own to be ordered before what another does after one.
std::uint64_t* meeting_point() {
  static std::array<std::uint64_t, 1 << 16> points;
  static std::size_t next = 0;
  return &points[next++ % points.size()];
}
std::uint64_t launch_begins, launch_ends;

struct warp {
  std::uint64_t offers[2][lanes] = {};  // two phases: a lane may offer again before the others have read
  std::uint64_t* barrier = meeting_point();
};

struct block {
  std::vector<fibre> fibres;
  std::vector<warp> warps;
  const std::function<void()>* thread = nullptr;
  const launch_shape* shape = nullptr;
  unsigned index[3] = {};
  std::uint64_t* barrier = meeting_point();
};

order the_order = order::ascending;
bool deferred = false;
std::size_t launch_count = 0, graph_launch_count = 0, allocation_count = 0, synchronisation_count = 0;

block running;
fibre* current = nullptr;
context scheduler;
[[maybe_unused]] const void* scheduler_stack = nullptr;  // for the sanitizers
[[maybe_unused]] std::size_t scheduler_stack_size = 0;
[[maybe_unused]] void* scheduler_sanitizer_stack = nullptr;
[[maybe_unused]] void* scheduler_sanitizer_fibre = nullptr;

char* stack_of(unsigned thread) {
  static char* const stacks = [] {
    void* const memory = mmap(nullptr, threads_limit * stack_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(memory);
  }();
  return stacks + thread * stack_size;
}

void release([[maybe_unused]] std::uint64_t& what) {
#if defined(HOST_CUDA_RACES)
  __tsan_release(&what);
#endif
}
void acquire([[maybe_unused]] std::uint64_t& what) {
#if defined(HOST_CUDA_RACES)
  __tsan_acquire(&what);
#endif
}

#if defined(HOST_CUDA_RACES)
// Makes the thread sanitizer forget who used that memory.
void renew(void* memory, std::size_t size) {
  const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(memory, size, PROT_READ | PROT_WRITE, how, -1, 0) == MAP_FAILED) throw std::bad_alloc();
}
constexpr unsigned no_synchronisation = 1;
#endif

void to_fibre(fibre& f) {
  current = &f;
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(&scheduler_sanitizer_stack, f.stack, stack_size);
#endif
#if defined(HOST_CUDA_RACES)
  __tsan_switch_to_fiber(f.sanitizer_fibre, no_synchronisation);
#endif
  context::change(scheduler, f.where);
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(scheduler_sanitizer_stack, nullptr, nullptr);
#endif
}

void to_scheduler(fibre& f) {
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  __sanitizer_start_switch_fiber(f.is == state::left ? nullptr : &f.own_sanitizer_stack, scheduler_stack,
                                 scheduler_stack_size);
#endif
#if defined(HOST_CUDA_RACES)
  __tsan_switch_to_fiber(scheduler_sanitizer_fibre, no_synchronisation);
#endif
  context::change(f.where, scheduler);
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(f.own_sanitizer_stack, &scheduler_stack, &scheduler_stack_size);
#endif
}

void run_fibre() {
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
  acquire(launch_begins);
  (*running.thread)();
  release(launch_ends);
  current->is = state::left;
  to_scheduler(*current);
}

unsigned number_of(const fibre& f) { return static_cast<unsigned>(&f - running.fibres.data()); }

std::string place(const fibre& f) {
  const auto three = [](const unsigned (&x)[3]) {
    return std::to_string(x[0]) + ", " + std::to_string(x[1]) + ", " + std::to_string(x[2]);
  };
  return "thread (" + three(f.index) + ") of block (" + three(running.index) + ")";
}

// The threads that wait at a block barrier go on where all have come.
bool open_block_barrier() {
  for (fibre& f : running.fibres)
    if (f.is != state::at_block_barrier) return false;
  for (fibre& f : running.fibres) f.is = state::ready;
  return true;
}

[[noreturn]] void report_stuck() {
  const auto with = [](state s) {
    return std::find_if(running.fibres.begin(), running.fibres.end(), [s](const fibre& f) { return f.is == s; });
  };
  const auto left = with(state::left), lane = with(state::at_warp_barrier), thread = with(state::at_block_barrier);
  const auto none = running.fibres.end();
  if (lane != none) {
    throw kernel_error(place(*lane) + " waits for lanes of its warp that do not come" +
                       (left != none ? "; " + place(*left) + " has left" : std::string()));
  }
  throw kernel_error(place(*thread) + " waits at a barrier" +
                     (left != none ? ", but " + place(*left) + " has left the block" : std::string()));
}

void run_block() {
  const unsigned threads = static_cast<unsigned>(running.fibres.size());
#if defined(HOST_CUDA_RACES)
  renew(dynamic_shared, sizeof dynamic_shared);  // it is another block's
#endif
  std::memset(dynamic_shared, fresh, shared_limit);
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
  ASAN_POISON_MEMORY_REGION(dynamic_shared + running.shape->shared_bytes,
                            shared_limit - running.shape->shared_bytes);
#endif
  running.warps.clear();
  running.warps.resize((threads + lanes - 1) / lanes);
  running.barrier = meeting_point();
  for (unsigned t = 0; t < threads; ++t) {
    fibre& f = running.fibres[t];
    f = {};
    f.stack = stack_of(t);
    const auto& size = running.shape->block;
    f.index[0] = t % size[0];
    f.index[1] = t / size[0] % size[1];
    f.index[2] = t / size[0] / size[1];
#if defined(HOST_CUDA_RACES)
    // What lies on the stack belongs to another thread than before; kernels need no more than this end of it.
    constexpr std::size_t top = 16 * 1024;
    renew(f.stack + stack_size - top, top);
#endif
    f.where.start(f.stack, stack_size, &run_fibre);
#if defined(HOST_CUDA_RACES)
    f.sanitizer_fibre = __tsan_create_fiber(0);
#endif
  }
  release(launch_begins);
  const auto clean_up = [&] {
#if defined(HOST_CUDA_RACES)
    for (fibre& f : running.fibres) __tsan_destroy_fiber(f.sanitizer_fibre);
#endif
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
    ASAN_UNPOISON_MEMORY_REGION(dynamic_shared, shared_limit);
#endif
    current = nullptr;
  };
  for (;;) {
    unsigned ran = 0, left = 0;
    for (unsigned i = 0; i < threads; ++i) {
      fibre& f = running.fibres[the_order == order::ascending ? i : threads - 1 - i];
      if (f.is == state::ready) {
        to_fibre(f);
        ++ran;
      }
    }
    for (const fibre& f : running.fibres) left += f.is == state::left ? 1 : 0;
    if (left == threads) break;
    if (ran == 0 && !open_block_barrier()) {
      current = nullptr;
      const auto tidy = std::shared_ptr<void>(nullptr, [&](void*) {
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
        for (const fibre& f : running.fibres) ASAN_UNPOISON_MEMORY_REGION(f.stack, stack_size);  // nobody returns there
#endif
        clean_up();
      });
      report_stuck();
    }
  }
  clean_up();
}

// ---- Device memory ----

struct memory_of_device {
  static constexpr std::size_t alignment = 256;
  std::map<char*, std::size_t> taken;
  std::size_t used = 0, limit = std::size_t{4} << 30;
  unsigned open = 0;  // how many may touch it
#if !defined(HOST_CUDA_ADDRESS_SANITIZER)
  static constexpr std::size_t reserved = std::size_t{1} << 36;
  char* base = nullptr;
  std::size_t end = 0;  // addresses are never given out twice
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
#endif

  char* take(std::size_t bytes) {
    if (used + bytes > limit) return nullptr;
    const std::size_t whole = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
    char* const memory = static_cast<char*>(std::aligned_alloc(alignment, whole));
    if (!memory) return nullptr;
    std::memset(memory, fresh, bytes);
    ASAN_POISON_MEMORY_REGION(memory, whole);
#else
    if (!base) {
      void* const all = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (all == MAP_FAILED) return nullptr;
      base = static_cast<char*>(all);
    }
    if (end + whole > reserved) return nullptr;
    char* const memory = base + end;
    end += whole;
#endif
    taken[memory] = bytes;
    used += bytes;
    const device_code access;
    std::memset(memory, fresh, bytes);
    return memory;
  }
  bool give_back(char* memory) {
    const auto found = taken.find(memory);
    if (found == taken.end()) return false;
    {
      const device_code access;
      std::memset(memory, fresh, found->second);
    }
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
    std::free(memory);
#else
    const std::size_t first = (static_cast<std::size_t>(memory - base) + page - 1) / page * page;
    const std::size_t last = (static_cast<std::size_t>(memory - base) + found->second) / page * page;
    if (first < last) madvise(base + first, last - first, MADV_DONTNEED);  // the address remains, the memory does not
#endif
    used -= found->second;
    taken.erase(found);
    return true;
  }
  void set_access(bool allowed) {
#if defined(HOST_CUDA_ADDRESS_SANITIZER)
    for (const auto& [memory, bytes] : taken) {
      if (allowed) {
        ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
      } else {
        ASAN_POISON_MEMORY_REGION(memory, bytes);
      }
    }
#else
    if (base) mprotect(base, (end + page - 1) / page * page, allowed ? PROT_READ | PROT_WRITE : PROT_NONE);
#endif
  }
} device;

// ---- Streams: one queue for all ----

using work_list = std::vector<std::function<void()>>;

std::deque<std::function<void()>> queue;
std::uint64_t begun = 0;  // how much of what was queued
std::optional<work_list> capture;
bool capture_is_valid = true;
unsigned devices = 1;
int chosen_device = 0;

std::uint64_t queued() { return begun + queue.size(); }
// Does what was queued before that.
void catch_up(std::uint64_t until = queued()) {
  while (begun < until) {
    const std::function<void()> work = std::move(queue.front());
    queue.pop_front();
    ++begun;
    work();
  }
}
// Whether a graph is being captured, which then comes to nothing: what asks must not be done meanwhile.
bool spoils_capture() {
  if (capture) capture_is_valid = false;
  return capture.has_value();
}

}  // namespace

void set_order(order o) { the_order = o; }
void set_deferred(bool d) {
  catch_up();
  deferred = d;
}
void set_memory(std::size_t bytes) { device.limit = bytes; }
void set_devices(int n) { devices = static_cast<unsigned>(n); }
std::size_t launches() { return launch_count; }
std::size_t graph_launches() { return graph_launch_count; }
std::size_t allocations() { return allocation_count; }
std::size_t synchronisations() { return synchronisation_count; }

device_code::device_code() {
  if (device.open++ == 0) device.set_access(true);
}
device_code::~device_code() {
  if (--device.open == 0) device.set_access(false);
}

void submit(std::function<void()> work) {
  if (capture) {
    capture->push_back(std::move(work));
  } else if (deferred) {
    queue.push_back(std::move(work));
  } else {
    work();
  }
}

bool is_valid(const launch_shape& s) {
  const std::size_t threads = std::size_t{s.block[0]} * s.block[1] * s.block[2];
  return threads > 0 && threads <= threads_limit && s.block[2] <= 64 && s.grid[0] > 0 && s.grid[0] <= 0x7fffffffu &&
         s.grid[1] > 0 && s.grid[1] <= 65535 && s.grid[2] > 0 && s.grid[2] <= 65535 && s.shared_bytes <= shared_limit;
}

void run_grid(const launch_shape& shape, const std::function<void()>& thread) {
  ++launch_count;
  const device_code access;
  running.shape = &shape;
  running.thread = &thread;
  running.fibres.resize(shape.block[0] * shape.block[1] * shape.block[2]);
#if defined(HOST_CUDA_RACES)
  scheduler_sanitizer_fibre = __tsan_get_current_fiber();
#endif
  const std::size_t blocks = std::size_t{shape.grid[0]} * shape.grid[1] * shape.grid[2];
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t b = the_order == order::ascending ? i : blocks - 1 - i;
    running.index[0] = static_cast<unsigned>(b % shape.grid[0]);
    running.index[1] = static_cast<unsigned>(b / shape.grid[0] % shape.grid[1]);
    running.index[2] = static_cast<unsigned>(b / shape.grid[0] / shape.grid[1]);
    run_block();
  }
  acquire(launch_ends);  // the host and the next launch see what the blocks have done; they do not see each other
}

unsigned own(coordinate which) noexcept {
  const auto at = static_cast<unsigned>(which);
  if (at < 3) return current->index[at];
  if (at < 6) return running.index[at - 3];
  return at < 9 ? running.shape->block[at - 6] : running.shape->grid[at - 9];
}
unsigned own_lane() noexcept { return number_of(*current) % lanes; }

void block_barrier() {
  fibre& f = *current;
  release(*running.barrier);
  f.is = state::at_block_barrier;
  to_scheduler(f);
  acquire(*running.barrier);
}

namespace {
void meet(unsigned mask) {
  fibre& f = *current;
  const unsigned number = number_of(f), lane = number % lanes, first = number - lane;
  if ((mask >> lane & 1u) == 0) throw kernel_error(place(f) + " names lanes to wait for and itself is not among them");
  f.is = state::at_warp_barrier;
  f.waits_for = mask;
  for (unsigned l = 0; l < lanes; ++l) {
    if ((mask >> l & 1u) == 0) continue;
    const bool exists = first + l < running.fibres.size();
    if (!exists || running.fibres[first + l].is != state::at_warp_barrier ||
        running.fibres[first + l].waits_for != mask) {
      to_scheduler(f);  // until the last one comes
      return;
    }
  }
  for (unsigned l = 0; l < lanes; ++l)
    if (mask >> l & 1u) running.fibres[first + l].is = state::ready;
}
}  // namespace

void warp_barrier(unsigned mask) {
  std::uint64_t& barrier = *running.warps[number_of(*current) / lanes].barrier;
  release(barrier);
  meet(mask);
  acquire(barrier);
}

std::uint64_t exchange(unsigned mask, std::uint64_t mine, unsigned source) {
  fibre& f = *current;
  auto& offers = running.warps[number_of(f) / lanes].offers[f.phase++ % 2];
  offers[own_lane()] = mine;
  meet(mask);
  return source < lanes && (mask >> source & 1u) ? offers[source] : ~std::uint64_t{0};  // undefined on the device
}

unsigned ballot(unsigned mask, bool vote) {
  fibre& f = *current;
  auto& offers = running.warps[number_of(f) / lanes].offers[f.phase++ % 2];
  offers[own_lane()] = vote ? 1 : 0;
  meet(mask);
  unsigned votes = 0;
  for (unsigned l = 0; l < lanes; ++l)
    if (mask >> l & 1u) votes |= static_cast<unsigned>(offers[l]) << l;
  return votes;
}

}  // namespace host_cuda

// ---- The runtime ----

using namespace host_cuda;

const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorIllegalState: return "cudaErrorIllegalState";
  }
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    default: return "invalid argument";
  }
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(devices);
  return devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaGetDevice(int* index) {
  *index = chosen_device;
  return devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaSetDevice(int index) {
  if (index < 0 || static_cast<unsigned>(index) >= devices) return cudaErrorInvalidDevice;
  chosen_device = index;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index < 0 || static_cast<unsigned>(index) >= devices) return cudaErrorInvalidDevice;
  *properties = {"the CPU, in place of a GPU", device.limit, 0, 0, 1};
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = device.limit;
  *free = device.limit - std::min(device.limit, device.used);
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  ++synchronisation_count;
  catch_up();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  *memory = nullptr;
  if (devices == 0) return cudaErrorNoDevice;
  ++allocation_count;
  *memory = device.take(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* memory) {
  if (!memory) return cudaSuccess;
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  catch_up();
  return device.give_back(static_cast<char*>(memory)) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  *memory = std::malloc(std::max<std::size_t>(1, bytes));
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* memory) {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  catch_up();
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  submit([=] {
    const device_code access;
    std::memcpy(to, from, bytes);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  submit([=] {
    const device_code access;
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}

struct CUstream_st {};
struct CUevent_st {
  std::uint64_t after = 0;  // what was queued before it was recorded
};
struct CUgraph_st {
  work_list work;
};
struct CUgraphExec_st {
  work_list work;
};

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (devices == 0) return cudaErrorNoDevice;
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  catch_up();
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaDeviceSynchronize(); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;  // a real one would become part of the graph
  event->after = queued();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  catch_up(event->after);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  if (capture) return cudaErrorIllegalState;
  capture.emplace();
  capture_is_valid = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  if (!capture) return cudaErrorIllegalState;
  *graph = capture_is_valid ? new CUgraph_st{std::move(*capture)} : nullptr;
  capture.reset();
  return capture_is_valid ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  ++graph_launch_count;
  for (const auto& work : executable->work) submit(work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
