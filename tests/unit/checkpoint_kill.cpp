// A program that saves checkpoints without a pause is killed with SIGKILL, again and again at random moments: each time
// the directory must hold a pair that belongs together, whole, and not older than the last one known.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/spikenet.hpp>
#include <thread>

#include "catch.hpp"
#include "unit/scratch.hpp"

using namespace spikenet;

namespace {

namespace fs = std::filesystem;
using net_t = network<cpu<float>, timesteps<1>, image<1, 28, 28>, flatten, named<"fc1", linear<32>>,
                      named<"bn1", tdbn<>>, lif<>, named<"fc2", linear<10>>>;

// Checkpoint number n: all numbers in both files are n. No thread is needed, and a forked program has none.
void save(net_t& net, std::uint64_t n, const fs::path& directory) {
  net.restore_updates<adam>(n, n);
  const auto set = [&](std::span<float> values) { std::ranges::fill(values, static_cast<float>(n)); };
  net.for_each_tensor([&](const tensor_info&, std::span<float> values) { set(values); });
  net.for_each_moment<adam>([&](const tensor_info&, std::size_t, std::span<float> values) { set(values); });
  save_checkpoint(net, adam{}, directory, {.epoch = n, .batch = n, .seed = {n}});
}

// The number of the checkpoint that is loaded; 0 where not all of it has the same.
std::uint64_t loaded_number(net_t& net, const fs::path& directory) {
  const training_state state = load_checkpoint(net, adam{}, directory);
  const std::uint64_t n = state.epoch;
  bool same = state.batch == n && state.seed.value == n && net.updates() == n && net.updates_by<adam>() == n;
  const auto check = [&](std::span<float> values) {
    for (const float value : values) same = same && value == static_cast<float>(n);
  };
  net.for_each_tensor([&](const tensor_info&, std::span<float> values) { check(values); });
  net.for_each_moment<adam>([&](const tensor_info&, std::size_t, std::span<float> values) { check(values); });
  return same ? n : 0;
}

// Saves checkpoints first, first + 1, ... until it is killed.
pid_t start_saving(net_t& net, std::uint64_t first, const fs::path& directory) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    for (std::uint64_t n = first;; ++n) save(net, n, directory);
  } catch (...) {
    ::_exit(1);
  }
}

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator{directory}, fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("SIGKILL at any moment leaves a checkpoint that loads", "[checkpoint]") {
  constexpr int kills = 220;
  const fs::path directory = test::scratch("killed");
  net_t saved{seed{1}}, loaded{seed{2}};

  using clock = std::chrono::steady_clock;
  const auto start = clock::now();
  std::uint64_t last = 0;
  while (last < 5) save(saved, ++last, directory);
  // About as long as a save takes, whatever else the machine does: longer after a child that did not get to the end of
  // one, shorter after one that did.
  double patience = std::chrono::duration<double>(clock::now() - start).count() / 5;

  random_stream random{seed{1}};
  int in_the_middle = 0;
  for (int i = 0; i < kills; ++i) {
    CAPTURE(i, last);
    const pid_t child = start_saving(saved, last + 1, directory);
    REQUIRE(child > 0);
    std::this_thread::sleep_for(std::chrono::duration<double>(random.uniform(0, 2 * patience)));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    if (files_in(directory) > 2) ++in_the_middle;
    const std::uint64_t number = loaded_number(loaded, directory);
    REQUIRE(number >= last);
    patience *= number == last ? 1.05 : 0.95;
    last = number;
  }
  // Else this would be a test of nothing.
  CHECK(in_the_middle > kills / 10);
  CHECK(last > kills / 10);

  save(saved, last + 1, directory);
  CHECK(loaded_number(loaded, directory) == last + 1);
  CHECK(files_in(directory) == 2);
}
