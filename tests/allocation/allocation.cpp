// Training takes no memory after its first step: counted at malloc itself, of all threads, because Eigen and others
// allocate behind operator new's back. Only with the GNU C library, whose malloc can be reached by another name.
#include <stdlib.h>  // NOLINT: the C library's own declarations of what is replaced here

#if defined(__GLIBC__)

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "spikenet/dsrn.hpp"
#include "unit/support.hpp"

namespace {

std::atomic<bool> counting{false};
std::atomic<std::size_t> taken{0};

void count() noexcept {
  if (counting.load(std::memory_order_relaxed)) taken.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept {
  count();
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) noexcept {
  count();
  return __libc_calloc(number, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  count();
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  count();
  return __libc_memalign(alignment, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
}

using namespace spikenet;

namespace {

// How often f() takes memory, on whatever thread.
template <class F>
std::size_t allocations(F&& f) {
  taken = 0;
  counting = true;
  f();
  counting = false;
  return taken;
}

// Kept alive and known to no optimizer: an allocation must not be optimised away.
void* volatile kept;

// A training step, an evaluation and the like, again and again, on batches up to the largest one seen first.
template <class Network>
void check_no_allocations() {
  using scalar = typename Network::scalar;
  constexpr std::size_t size = Network::channels * Network::height * Network::width, largest = 20;
  const auto images = test::normal<scalar>(largest * size, 1);
  const auto labels = test::labels(largest, static_cast<std::uint32_t>(Network::classes), 1);
  const auto batch = [&](std::size_t n) { return std::span<const scalar>(images).first(n * size); };
  const auto labels_of = [&](std::size_t n) { return std::span<const std::int32_t>(labels).first(n); };

  const auto net = std::make_unique<Network>(seed{1});
  adam optimizer;
  CHECK(allocations([&] { net->train_step(batch(largest), labels_of(largest), optimizer); }) > 0);
  for (int step = 2; step < 5; ++step) {
    CAPTURE(step);
    CHECK(allocations([&] { net->train_step(batch(largest), labels_of(largest), optimizer); }) == 0);
  }
  // A smaller batch, another rate and loss, and evaluations, which need no more than training.
  CHECK(allocations([&] { net->train_step(batch(7), labels_of(7), optimizer); }) == 0);
  optimizer.learning_rate = 1e-4;
  CHECK(allocations([&] { net->train_step(batch(largest), labels_of(largest), optimizer, mean_squared_error{}); }) ==
        0);
  CHECK(allocations([&] {
          net->compute_gradients(batch(largest), labels_of(largest));
          clip_gradients(*net, 1e-3);
          net->update(optimizer);
        }) == 0);
  CHECK(allocations([&] { net->evaluate(batch(largest)); }) == 0);
  CHECK(allocations([&] { net->test_step(batch(largest), labels_of(largest)); }) == 0);
}

}  // namespace

TEST_CASE("the counter sees every way to take memory, on every thread", "[allocation]") {
  const auto sees = [](auto take) {
    void* memory = nullptr;
    const std::size_t seen = allocations([&] { kept = memory = take(); });
    free(memory);
    return seen;
  };
  CHECK(allocations([] {}) == 0);
  CHECK(sees([] { return malloc(100); }) == 1);
  CHECK(sees([] { return calloc(10, 10); }) == 1);
  CHECK(sees([] { return realloc(nullptr, 100); }) == 1);
  CHECK(sees([] { return aligned_alloc(64, 128); }) == 1);
  CHECK(sees([] {
          void* memory = nullptr;
          return posix_memalign(&memory, 64, 100) == 0 ? memory : nullptr;
        }) == 1);

  CHECK(allocations([] {
          auto* const number = new int(1);
          kept = number;
          delete number;
        }) == 1);
  CHECK(allocations([] {
          const buffer<float> planted(100);
          kept = const_cast<float*>(planted.data());
        }) == 1);
  CHECK(allocations([] {
          const std::string planted(100, 'x');
          kept = const_cast<char*>(planted.data());
        }) == 1);

  // On the threads that compute: every item takes some.
  detail::thread_pool pool(3);
  CHECK(allocations([&] {
          pool.run(1000, [](std::size_t, std::size_t) {
            void* const volatile planted = malloc(100);
            free(planted);
          });
        }) == 1000);
  std::atomic<bool> go{false};
  std::thread other([&] {
    while (!go) std::this_thread::yield();
    void* const volatile planted = malloc(100);
    free(planted);
  });
  CHECK(allocations([&] {
          go = true;
          other.join();
        }) == 1);
}

TEST_CASE("training a deep spiking residual network takes no memory after the first step", "[allocation]") {
  check_no_allocations<dsrn<cpu<float>, 16, 2>>();
}

TEST_CASE("nor do matrix products for which Eigen would", "[allocation]") {
  // Its packed blocks of a 300 x 784 product in double are far beyond the 128 KiB that it puts on the stack.
  using mlp =
      network<cpu<double>, timesteps<2>, image<1, 28, 28>, flatten, named<"a long name for a layer", linear<300>>,
              named<"another name too long for a small string", tdbn<>>, lif<>, linear<10>>;
  check_no_allocations<mlp>();
}

#endif  // __GLIBC__
