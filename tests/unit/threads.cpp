// The same bits whatever the number of threads, whoever else computes, and whatever was computed before.
#include <algorithm>
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

using namespace spikenet;

namespace {

constexpr std::size_t pixels = 13 * 12;
using deep = dsrn<cpu<float>, 16, 2, stem<5>, image<1, 13, 12>>;
using small = network<cpu<float>, timesteps<3>, image<1, 13, 12>, conv2d<6, 3, with_bias>, tdbn<>, lif<>, avg_pool2d<2>,
                      flatten, linear<150>, lif<>, linear<10>>;

// What set_cpu_threads was before a test.
class restore_threads {
 public:
  restore_threads() = default;
  restore_threads(const restore_threads&) = delete;
  restore_threads& operator=(const restore_threads&) = delete;
  ~restore_threads() { set_cpu_threads(threads_); }

 private:
  std::size_t threads_ = cpu_threads();
};

template <class Network>
struct trained {
  test::snapshot<float> tensors, gradients;
  std::vector<double> losses;
  std::vector<float> logits;

  friend bool operator==(const trained& a, const trained& b) {
    return test::identical(a.tensors, b.tensors) && test::identical(a.gradients, b.gradients) && a.losses == b.losses &&
           a.logits == b.logits;
  }
};

// Three steps and an evaluation.
template <class Network>
trained<Network> train(std::uint64_t weights, std::size_t batch) {
  Network net{seed{weights}};
  trained<Network> result;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const auto images = test::normal<float>(batch * pixels, step);
    result.losses.push_back(net.train_step(images, test::labels(batch, 10, step), adam{}).loss);
  }
  result.tensors = test::tensors(net);
  result.gradients = test::gradients(net);
  const auto images = test::normal<float>(67 * pixels, 9);
  const auto logits = net.evaluate(images);
  result.logits.assign(logits.begin(), logits.end());
  return result;
}

}  // namespace

TEST_CASE("any number of threads gives the same bits", "[threads]") {
  const restore_threads restore;
  set_cpu_threads(1);
  CHECK(cpu_threads() == 1);
  const auto one_deep = train<deep>(1, 9);
  const auto one_small = train<small>(1, 21);
  for (const std::size_t threads : {std::size_t{2}, std::size_t{3}, std::size_t{5}}) {
    CAPTURE(threads);
    set_cpu_threads(threads);
    CHECK(cpu_threads() == threads);
    CHECK((train<deep>(1, 9) == one_deep));
    CHECK((train<small>(1, 21) == one_small));
  }
  set_cpu_threads(0);
  CHECK(cpu_threads() == std::max(1u, std::thread::hardware_concurrency()));
}

TEST_CASE("the same seed gives the same bits, another seed others", "[threads]") {
  const auto one = train<small>(1, 4);
  CHECK((train<small>(1, 4) == one));
  const auto other = train<small>(2, 4);
  CHECK_FALSE(test::identical(other.tensors, one.tensors));
  CHECK(other.losses != one.losses);
}

TEST_CASE("networks that train at the same time on threads of their own do not disturb each other", "[threads]") {
  const restore_threads restore;
  set_cpu_threads(3);
  const auto expected = train<small>(1, 6);
  std::vector<trained<small>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&result] { result = train<small>(1, 6); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) CHECK((result == expected));
}

TEST_CASE("a network keeps its threads when their number changes for networks after it", "[threads]") {
  const restore_threads restore;
  const auto images = test::normal<float>(4 * pixels, 1);
  const auto labels = test::labels(4, 10, 1);
  set_cpu_threads(3);
  small before{seed{1}};
  before.train_step(images, labels, adam{});
  set_cpu_threads(2);
  small after{seed{1}};
  after.train_step(images, labels, adam{});
  before.train_step(images, labels, adam{});
  after.train_step(images, labels, adam{});
  CHECK(test::identical(test::tensors(before), test::tensors(after)));
}

TEST_CASE("no state survives a call: batches of 3, 7, 1 and 7 as in fresh networks", "[threads]") {
  const auto check = []<class Network>(std::unique_ptr<Network> used) {
    for (const std::size_t batch : {std::size_t{3}, std::size_t{7}, std::size_t{1}, std::size_t{7}}) {
      CAPTURE(batch);
      const auto images = test::normal<float>(batch * pixels, batch);
      const auto labels = test::labels(batch, 10, batch);
      const auto fresh = std::make_unique<Network>(seed{99});
      test::copy_tensors(*used, *fresh);
      const step_result a = used->compute_gradients(images, labels), b = fresh->compute_gradients(images, labels);
      CHECK(a.loss == b.loss);
      CHECK(a.correct == b.correct);
      CHECK(test::error(used->logits(), fresh->logits()) == 0);
      CHECK(test::identical(test::gradients(*used), test::gradients(*fresh)));
      CHECK(test::identical(test::tensors(*used), test::tensors(*fresh)));
      used->update(sgd{.learning_rate = 0.1});

      // An evaluation in between is no different.
      test::copy_tensors(*used, *fresh);
      const auto more = test::normal<float>(70 * pixels, batch);
      CHECK(test::error(used->evaluate(more), fresh->evaluate(more)) == 0);
    }
  };
  check(std::make_unique<deep>(seed{1}));
  check(std::make_unique<small>(seed{1}));
}

TEST_CASE("a pool runs every item once, with workers that have a number each", "[threads]") {
  for (const std::size_t threads : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    detail::thread_pool pool(threads);
    REQUIRE(pool.workers() == threads);
    for (std::size_t call = 0; call < 200; ++call) {
      const std::size_t items = call * 7 % 41;
      std::vector<int> times(items);
      std::vector<std::size_t> worker_of(items, threads);
      pool.run(items, [&](std::size_t item, std::size_t worker) {
        ++times[item];
        worker_of[item] = worker;
      });
      CHECK(times == std::vector<int>(items, 1));
      for (const std::size_t worker : worker_of) CHECK(worker < threads);
    }
  }
}
