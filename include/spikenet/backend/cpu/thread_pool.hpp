// A small pool of standard threads, so that a plain `g++ -I include` uses all cores.
//
// Work is split into items whose number depends on the data alone, never on the number of threads; which thread takes
// which item is left to chance. A reduction keeps one partial result per item and adds them up in the items' order, so
// the same call gives the same bits at any number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "spikenet/core/compiler.hpp"

namespace spikenet {

namespace detail {

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class thread_pool {
 public:
  explicit thread_pool(std::size_t threads) {
    for (std::size_t worker = 1; worker < threads; ++worker) {
      threads_.emplace_back([this, worker] { serve(worker); });
    }
  }
  ~thread_pool() {
    stop_ = true;
    wake();
    for (std::thread& thread : threads_) thread.join();
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  std::size_t workers() const noexcept { return threads_.size() + 1; }

  // Calls f(item, worker) for every item in 0 ... items-1; worker < workers() is this thread's own number during the
  // call. f must not throw and must not call run. Returns when all are done. Takes no memory. Each item has a copy of f
  // on its own stack: what f captures by value is then known not to change with anything that f stores, and is kept in
  // registers.
  template <class F>
  void run(std::size_t items, F&& f) {
    run_all(items, &call<std::remove_reference_t<F>>, std::addressof(f));
  }

 private:
  static constexpr int spin_limit = 20000;  // some tens of microseconds: the gap between two layers

  using function = void(const void* object, std::size_t item, std::size_t worker);

  template <class F>
  static void call(const void* object, std::size_t item, std::size_t worker) {
    auto own = *static_cast<const F*>(object);
    own(item, worker);
  }

  [[gnu::noinline]] void run_all(std::size_t items, function* f, const void* object) {
    if (items == 0) return;
    const std::lock_guard one_at_a_time(busy_);
    if (threads_.empty() || items == 1) {
      for (std::size_t item = 0; item < items; ++item) f(object, item, 0);
      return;
    }
    call_ = f;
    object_ = object;
    items_ = items;
    next_.store(0, std::memory_order_relaxed);
    open_.store(true);
    wake();
    take_items(0);
    // A worker that has not woken up by now is not waited for: only those inside may still hold an item.
    open_.store(false);
    for (int spins = 0; inside_.load() != 0; ++spins) spins < spin_limit ? pause() : std::this_thread::yield();
  }

  void wake() {
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }

  void take_items(std::size_t worker) {
    for (std::size_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < items_;) {
      call_(object_, item, worker);
    }
  }

  void serve(std::size_t worker) {
    std::uint32_t seen = 0;
    for (;;) {
      for (int spins = 0; generation_.load(std::memory_order_acquire) == seen; ++spins) {
        if (spins < spin_limit) {
          pause();
        } else {
          generation_.wait(seen, std::memory_order_acquire);
        }
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      // Sequentially consistent, like the store and the load at the end of run(): either this thread sees the door
      // closed, or run() sees it inside.
      inside_.fetch_add(1);
      if (open_.load()) take_items(worker);
      inside_.fetch_sub(1);
    }
  }

  std::mutex busy_;  // networks on several threads share one pool
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<bool> open_{false};
  std::atomic<std::size_t> next_{0}, inside_{0};
  std::size_t items_ = 0;
  function* call_ = nullptr;
  const void* object_ = nullptr;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

inline std::shared_ptr<thread_pool>& shared_pool() {
  static std::shared_ptr<thread_pool> pool =
      std::make_shared<thread_pool>(std::max<std::size_t>(1, std::thread::hardware_concurrency()));
  return pool;
}

}  // namespace detail

// How many threads the networks constructed from now on compute with; 0 means one for every core. All share one pool.
inline void set_cpu_threads(std::size_t threads) {
  if (threads == 0) threads = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  if (threads != detail::shared_pool()->workers()) {
    detail::shared_pool() = std::make_shared<detail::thread_pool>(threads);
  }
}

inline std::size_t cpu_threads() { return detail::shared_pool()->workers(); }

}  // namespace spikenet
