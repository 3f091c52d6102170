// The expected numbers below were computed apart from the library, by PyTorch's formulae evaluated step by step in
// Python's arithmetic: a table per schedule, one entry an epoch.
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <spikenet/training/schedule.hpp>

#include "catch.hpp"

namespace {

using spikenet::argument_error;

// Every schedule of the library and any callable is a schedule.
static_assert(spikenet::learning_rate_schedule<spikenet::constant>);
static_assert(spikenet::learning_rate_schedule<spikenet::step_decay>);
static_assert(spikenet::learning_rate_schedule<spikenet::cosine>);
static_assert(spikenet::learning_rate_schedule<spikenet::one_cycle>);
static_assert(spikenet::learning_rate_schedule<spikenet::warmup<spikenet::warmup<spikenet::cosine>>>);
static_assert(spikenet::learning_rate_schedule<double (*)(double)>);
static_assert(!spikenet::learning_rate_schedule<int>);

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class Schedule, std::size_t Count>
void check_table(const Schedule& schedule, const std::array<double, Count>& expected) {
  for (std::size_t epoch = 0; epoch < Count; ++epoch) {
    CAPTURE(epoch);
    CHECK(schedule(static_cast<double>(epoch)) == Approx(expected[epoch]).epsilon(1e-12).margin(1e-15));
  }
}

}  // namespace

TEST_CASE("a constant schedule leaves the learning rate alone", "[schedule]") {
  CHECK(spikenet::constant{}(0) == 1);
  CHECK(spikenet::constant{}(1e6) == 1);
}

TEST_CASE("step decay multiplies by its factor every so many epochs", "[schedule]") {
  const spikenet::step_decay original{};  // times 0.1 every 10 epochs
  CHECK(original(0) == 1);
  CHECK(original(9.999) == 1);
  CHECK(original(10) == Approx(0.1).epsilon(1e-14));
  CHECK(original(19.5) == Approx(0.1).epsilon(1e-14));
  CHECK(original(20) == Approx(0.01).epsilon(1e-14));
  check_table(spikenet::step_decay{.factor = 0.5, .every = 2}, std::array{1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125});
  CHECK(spikenet::step_decay{.factor = 0.5, .every = 1.5}(1.5) == 0.5);
}

TEST_CASE("cosine annealing follows its table and stays at its floor", "[schedule]") {
  check_table(spikenet::cosine{.epochs = 8, .floor = 0.1},
              std::array{1.0, 0.9657457896300791, 0.8681980515339464, 0.7222075445642905, 0.55, 0.3777924554357097,
                         0.2318019484660537, 0.134254210369921, 0.1});
  const spikenet::cosine schedule{.epochs = 11};
  CHECK(schedule(0) == 1);
  CHECK(schedule(5.5) == Approx(0.5));
  CHECK(schedule(11) == Approx(0).margin(1e-15));
  CHECK(schedule(100) == schedule(11));
}

TEST_CASE("one cycle follows its table, rises to 1 and ends at its last factor", "[schedule]") {
  check_table(spikenet::one_cycle{.epochs = 10},
              std::array{0.04000000000000004, 0.28, 0.7599999999999999, 1.0, 0.9504893855078144, 0.8117637264392739,
                         0.6112993409314593, 0.3888006590685407, 0.1883362735607262, 0.04961061449218561, 0.0001});
  const spikenet::one_cycle schedule{.epochs = 10, .warmup_fraction = 0.25, .start_factor = 0.2, .end_factor = 0.01};
  CHECK(schedule(0) == Approx(0.2));
  CHECK(schedule(1.25) == Approx(0.6));  // half way up
  CHECK(schedule(2.5) == Approx(1));
  CHECK(schedule(6.25) == Approx(0.505));  // half way down
  CHECK(schedule(10) == Approx(0.01));
  CHECK(schedule(25) == schedule(10));

  for (double epoch = 0; epoch < 2.4; epoch += 0.1) CHECK(schedule(epoch) < schedule(epoch + 0.1));
  for (double epoch = 2.5; epoch < 9.85; epoch += 0.1) CHECK(schedule(epoch) > schedule(epoch + 0.1));
}

TEST_CASE("one cycle may be all rise or all fall", "[schedule]") {
  const spikenet::one_cycle rise{.epochs = 4, .warmup_fraction = 1};
  CHECK(rise(0) == Approx(1.0 / 25));
  CHECK(rise(4) == 1);
  const spikenet::one_cycle fall{.epochs = 4, .warmup_fraction = 0};
  CHECK(fall(0) == 1);
  CHECK(fall(4) == Approx(1e-4));
}

TEST_CASE("warm-up multiplies the schedule inside it by a rising line", "[schedule]") {
  const spikenet::warmup ramp{4, spikenet::constant{}, 0.2};
  check_table(ramp, std::array{0.2, 0.4, 0.6, 0.8, 1.0, 1.0});

  const spikenet::step_decay decay{.factor = 0.5, .every = 2};
  const spikenet::warmup composed{4, decay, 0.2};
  check_table(composed, std::array{0.2, 0.4, 0.3, 0.4, 0.25, 0.25});

  const spikenet::warmup around_callable{2, [](double epoch) { return 10 * epoch; }};
  CHECK(around_callable(0) == 0);
  CHECK(around_callable(1) == Approx(10 * 2.0 / 3));
  CHECK(around_callable(3) == 30);
}

TEST_CASE("schedules refuse an epoch that is negative or not finite", "[schedule]") {
  for (const double epoch : {-1e-9, not_a_number, infinity}) {
    CAPTURE(epoch);
    CHECK_THROWS_MATCHES(spikenet::constant{}(epoch), argument_error, says("epoch must be finite and not negative"));
    CHECK_THROWS_MATCHES(spikenet::step_decay{}(epoch), argument_error, says("epoch must be"));
    CHECK_THROWS_MATCHES(spikenet::cosine{.epochs = 1}(epoch), argument_error, says("epoch must be"));
    CHECK_THROWS_MATCHES(spikenet::one_cycle{.epochs = 1}(epoch), argument_error, says("epoch must be"));
    CHECK_THROWS_MATCHES(spikenet::warmup(1, [](double) { return 1.0; })(epoch), argument_error, says("epoch must be"));
  }
}

TEST_CASE("schedules refuse parameters out of range", "[schedule]") {
  for (const double bad : {-0.5, 1.5, not_a_number, infinity}) {
    CAPTURE(bad);
    CHECK_THROWS_MATCHES(spikenet::step_decay{.factor = bad}(0), argument_error, says("factor must be from 0 to 1"));
    CHECK_THROWS_MATCHES((spikenet::cosine{.epochs = 1, .floor = bad}(0)), argument_error, says("floor must be"));
    CHECK_THROWS_MATCHES((spikenet::one_cycle{.epochs = 1, .warmup_fraction = bad}(0)), argument_error,
                         says("warmup_fraction must be"));
    CHECK_THROWS_MATCHES((spikenet::one_cycle{.epochs = 1, .start_factor = bad}(0)), argument_error,
                         says("start_factor must be"));
    CHECK_THROWS_MATCHES((spikenet::one_cycle{.epochs = 1, .end_factor = bad}(0)), argument_error,
                         says("end_factor must be"));
    CHECK_THROWS_MATCHES(spikenet::warmup(1, spikenet::constant{}, bad), argument_error, says("start_factor must be"));
  }
  for (const double bad : {0.0, -1.0, not_a_number, infinity}) {
    CAPTURE(bad);
    CHECK_THROWS_MATCHES(spikenet::step_decay{.every = bad}(0), argument_error,
                         says("every must be finite and above 0"));
    CHECK_THROWS_MATCHES(spikenet::cosine{.epochs = bad}(0), argument_error, says("epochs must be"));
    CHECK_THROWS_MATCHES(spikenet::one_cycle{.epochs = bad}(0), argument_error, says("epochs must be"));
    CHECK_THROWS_MATCHES(spikenet::warmup(bad, spikenet::constant{}), argument_error,
                         says("epochs of warm-up must be"));
  }
  CHECK_THROWS_MATCHES((spikenet::cosine{.epochs = 3, .floor = 1.0000001}(1)), argument_error,
                       says("floor must be from 0 to 1, but is 1.0000001."));
  CHECK_THROWS_AS(spikenet::cosine{}(0), argument_error);  // the number of epochs has no default
  CHECK_THROWS_AS(spikenet::one_cycle{}(0), argument_error);
}
