// Every operation of the CUDA backend against the CPU backend, with sizes that are multiples of nothing; in either order of
// threads and blocks, which must not change a bit.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "catch.hpp"
#include "cuda/reference.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "unit/support.hpp"

using namespace spikenet;
using test::device_values;

namespace {

template <class T>
constexpr double tolerance = sizeof(T) == 8 ? 1e-12 : 2e-6;
template <class T>
using cuda = test::host_cuda_backend<T>;
using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
using soft_dynamics = lif_dynamics<soft_reset, detached_reset, ramp>;

template <class T>
std::vector<T> empty(std::size_t count) {
  return std::vector<T>(count, test::nan<T>);
}

// run(cpu backend, pointers) and run(cuda backend, pointers) must write the same into outputs of these sizes.
template <class T, class Out = T, std::size_t Inputs, std::size_t Outputs, class Run>
void check_same(const std::array<std::vector<T>, Inputs>& inputs, const std::array<std::size_t, Outputs>& sizes, Run run,
                double allowed = tolerance<T>) {
  std::vector<std::vector<Out>> expected;
  {
    std::array<const T*, Inputs> in{};
    std::array<Out*, Outputs> out{};
    for (std::size_t i = 0; i < Inputs; ++i) in[i] = inputs[i].data();
    for (const std::size_t size : sizes) expected.push_back(empty<Out>(size));
    for (std::size_t i = 0; i < Outputs; ++i) out[i] = expected[i].data();
    cpu<T> backend;
    run(backend, in, out);
  }
  std::vector<std::vector<Out>> first;
  for (const auto order : {host_cuda::order::ascending, host_cuda::order::descending}) {
    host_cuda::set_order(order);
    cuda<T> backend;
    std::vector<device_values<T>> in_memory;
    std::vector<device_values<Out>> out_memory;
    std::array<const T*, Inputs> in{};
    std::array<Out*, Outputs> out{};
    for (const auto& values : inputs) in_memory.emplace_back(backend, values);
    for (const std::size_t size : sizes) out_memory.emplace_back(backend, empty<Out>(size));
    for (std::size_t i = 0; i < Inputs; ++i) in[i] = in_memory[i].data();
    for (std::size_t i = 0; i < Outputs; ++i) out[i] = out_memory[i].data();
    run(backend, in, out);
    for (std::size_t i = 0; i < Outputs; ++i) {
      CAPTURE(i);
      const auto values = out_memory[i].values(backend);
      CHECK(test::error(values, expected[i]) < allowed);
      CHECK(out_memory[i].within_bounds(backend));
      if (first.size() <= i) {
        first.push_back(values);
      } else {
        CHECK(std::memcmp(values.data(), first[i].data(), values.size() * sizeof(Out)) == 0);
      }
    }
    for (std::size_t i = 0; i < Inputs; ++i) CHECK(in_memory[i].values(backend) == inputs[i]);
    host_cuda::set_order(host_cuda::order::ascending);
  }
}

template <class T, std::size_t C>
void check_statistics(std::size_t rows) {
  CAPTURE(C, rows, sizeof(T));
  // A mean far from 0, where a difference of squares would lose everything.
  const auto x = test::normal<T>(rows * C, 1, 100), g = test::normal<T>(rows * C, 2), z = test::normal<T>(rows * C, 3);
  const auto a = test::normal<T>(C, 4), b = test::normal<T>(C, 5), d = test::normal<T>(C, 6);
  check_same<T>(std::array{g}, std::array{C}, [=](auto& backend, const auto& in, const auto& out) {
    backend.template channel_sums<C>(rows, in[0], out[0]);
  });
  check_same<T, double>(std::array{x}, std::array{C, C}, [=](auto& backend, const auto& in, const auto& out) {
    backend.template channel_moments<C>(rows, in[0], out[0], out[1]);
  }, sizeof(T) == 8 ? 1e-12 : 1e-4);
  const std::vector<T> mean(C, 100);
  check_same<T, double>(std::array{x, g, mean, b}, std::array{2 * C},
                        [=](auto& backend, const auto& in, const auto& out) {
                          backend.template normalisation_sums<C>(rows, in[0], in[1], in[2], in[3], out[0]);
                        }, 5 * tolerance<T>);
  check_same<T>(std::array{g, z, a, b, d}, std::array{rows * C, rows * C},
                [=](auto& backend, const auto& in, const auto& out) {
                  backend.template channel_affine<C>(rows, in[0], in[1], in[2], in[3], in[4], out[0]);
                  backend.template channel_affine<C>(rows, in[0], nullptr, in[2], nullptr, in[4], out[1]);
                });
}

// Inputs on a grid of 1/1024, so that no neuron is at its threshold but for rounding.
template <class T>
std::vector<T> coarse(std::size_t count, std::uint64_t seed) {
  auto values = test::normal<T>(count, seed);
  for (T& value : values) value = static_cast<T>(std::round(static_cast<double>(value) * 1024) / 1024);
  return values;
}

template <class T, class Dynamics, std::size_t Steps, std::size_t InSteps, std::size_t C>
void check_neurons(std::size_t rows) {
  CAPTURE(C, rows, Steps, InSteps, sizeof(T));
  const neuron_constants<T> k{T(0.3), T(0.25), T(0.7), T(0.9)};
  const std::size_t in_size = InSteps * rows * C, size = Steps * rows * C;
  const auto x = coarse<T>(in_size, 1), residual = coarse<T>(size, 2), go = test::normal<T>(size, 3);
  const std::vector<T> scale(C, T(0.5)), shift(C, T(0.125)), mean(C, T(0.25)), inverse(C, T(1.5));
  check_same<T>(std::array{x, go}, std::array{size, in_size}, [=](auto& backend, const auto& in, const auto& out) {
    backend.template lif_forward<Dynamics, Steps, InSteps>(rows * C, k, in[0], out[0]);
    backend.template lif_backward<Dynamics, Steps, InSteps>(rows * C, k, in[0], in[1], out[1]);
  });
  for (const bool with_residual : {false, true}) {
    check_same<T>(std::array{x, scale, shift, residual, mean, inverse, go}, std::array{size, in_size},
                  [=](auto& backend, const auto& in, const auto& out) {
                    typename std::decay_t<decltype(backend)>::template storage<double> sums;
                    const T* const r = with_residual ? in[3] : nullptr;
                    backend.template tdbn_lif_forward<Dynamics, Steps, InSteps, C>(rows, k, in[0], in[1], in[2], r,
                                                                                   out[0]);
                    backend.template tdbn_lif_backward<Dynamics, Steps, InSteps, C>(
                        rows, k, in[0], in[1], in[2], r, in[4], in[5], in[6], out[1], sums.reserve(2 * C));
                  });
    check_same<T, double>(std::array{x, scale, shift, residual, mean, inverse, go}, std::array{2 * C},
                          [=](auto& backend, const auto& in, const auto& out) {
                            typename std::decay_t<decltype(backend)>::template storage<T> gu;
                            const T* const r = with_residual ? in[3] : nullptr;
                            backend.template tdbn_lif_backward<Dynamics, Steps, InSteps, C>(
                                rows, k, in[0], in[1], in[2], r, in[4], in[5], in[6], gu.reserve(in_size), out[0]);
                          }, 5 * tolerance<T>);
  }
}

// Spikes that a stage leaves as bits, too, are its spikes; and another stage that adds them reads the bits alone.
template <class T, class Dynamics, std::size_t Steps, std::size_t InSteps, std::size_t C>
void check_copies(std::size_t rows) {
  CAPTURE(C, rows, Steps, InSteps, sizeof(T));
  static_assert(cuda<T>::template copies_spikes<C, Steps>);
  const neuron_constants<T> k{T(0.3), T(0.25), T(0.7), T(0.9)};
  const std::size_t in_size = InSteps * rows * C, size = Steps * rows * C;
  for (const auto order : {host_cuda::order::ascending, host_cuda::order::descending}) {
    host_cuda::set_order(order);
    cuda<T> backend;
    device_values<T> x(backend, coarse<T>(in_size, 1)), other_x(backend, coarse<T>(in_size, 2));
    device_values<T> go(backend, test::normal<T>(size, 3));
    device_values<T> scale(backend, std::vector<T>(C, T(0.5))), shift(backend, std::vector<T>(C, T(0.125)));
    device_values<T> o(backend, empty<T>(size)), from_values(backend, empty<T>(size)), from_bits(backend, empty<T>(size));
    device_values<T> gu_of_values(backend, empty<T>(in_size)), gu_of_bits(backend, empty<T>(in_size));
    device_values<T> nowhere(backend, empty<T>(size));
    device_values<double> sums_of_values(backend, empty<double>(2 * C)), sums_of_bits(backend, empty<double>(2 * C));
    device_values<spike_bits> bits(backend, std::vector<spike_bits>(size / 8));

    backend.template tdbn_lif_forward<Dynamics, Steps, InSteps, C>(rows, k, other_x.data(), scale.data(), shift.data(),
                                                                   nullptr, o.data(), bits.data());
    const auto spikes = o.values(backend);
    const auto copied = bits.values(backend);
    std::size_t fired = 0, wrong = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const bool bit = (static_cast<unsigned>(copied[i / 8]) >> i % 8 & 1u) != 0;
      fired += bit ? 1 : 0;
      wrong += bit != (spikes[i] != T{0}) ? 1 : 0;
    }
    CHECK(wrong == 0);
    CHECK(fired > 0);
    CHECK(fired < size);
    CHECK(bits.within_bounds(backend));

    const auto both = [&](addend<T> residual, T* spikes_out, T* gu, double* sums) {
      backend.template tdbn_lif_forward<Dynamics, Steps, InSteps, C>(rows, k, x.data(), scale.data(), shift.data(),
                                                                     residual, spikes_out);
      backend.template tdbn_lif_backward<Dynamics, Steps, InSteps, C>(rows, k, x.data(), scale.data(), shift.data(),
                                                                      residual, shift.data(), scale.data(), go.data(), gu,
                                                                      sums);
    };
    both(o.data(), from_values.data(), gu_of_values.data(), sums_of_values.data());
    both({nowhere.data(), bits.data()}, from_bits.data(), gu_of_bits.data(), sums_of_bits.data());
    CHECK(from_bits.values(backend) == from_values.values(backend));
    CHECK(from_bits.values(backend) != spikes);
    CHECK(gu_of_bits.values(backend) == gu_of_values.values(backend));
    CHECK(sums_of_bits.values(backend) == sums_of_values.values(backend));
    host_cuda::set_order(host_cuda::order::ascending);
  }
}

}  // namespace

TEST_CASE("sums and moments over rows", "[cuda]") {
  check_statistics<double, 1>(1);
  check_statistics<double, 3>(1001);
  check_statistics<double, 7>(9973);
  check_statistics<double, 37>(1511);
  check_statistics<double, 130>(2);
  check_statistics<float, 1>(20011);
  check_statistics<float, 13>(2503);
  check_statistics<float, 65>(611);
}

TEST_CASE("neurons alone and with the normalisation before them", "[cuda]") {
  check_neurons<double, dynamics, 1, 1, 3>(5);
  check_neurons<double, dynamics, 3, 3, 5>(1009);
  check_neurons<double, soft_dynamics, 4, 1, 33>(77);
  check_neurons<float, dynamics, 2, 2, 19>(401);
  check_neurons<float, soft_dynamics, 5, 5, 2>(613);
}

TEST_CASE("spikes as bits beside spikes as numbers", "[cuda]") {
  check_copies<double, dynamics, 1, 1, 8>(5);
  check_copies<double, lif_dynamics<soft_reset, detached_reset, heaviside>, 4, 1, 24>(77);
  check_copies<float, dynamics, 2, 2, 16>(401);
  check_copies<float, dynamics, 3, 3, 40>(33);
  static_assert(!cuda<float>::copies_spikes<12, 2>, "a byte would be of two pixels");
}

TEST_CASE("a function of each index, once, however many there are", "[cuda]") {
  cuda<float> backend;
  for (const std::size_t count : {std::size_t{1}, std::size_t{255}, std::size_t{257}, std::size_t{70001}}) {
    CAPTURE(count);
    device_values<int> seen(backend, std::vector<int>(count, 0));
    int* const at = seen.data();
    backend.for_each(count, [=] SPIKENET_HOST_DEVICE(std::size_t i) { at[i] += static_cast<int>(i) + 1; });
    const auto values = seen.values(backend);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) wrong += values[i] != static_cast<int>(i) + 1 ? 1 : 0;
    CHECK(wrong == 0);
    CHECK(seen.within_bounds(backend));
  }
  const std::size_t before = host_cuda::launches();
  backend.for_each(0, [] SPIKENET_HOST_DEVICE(std::size_t) {});
  CHECK(host_cuda::launches() == before);
}

TEST_CASE("what is not finite is noted, wherever it is, until it was asked for", "[cuda]") {
  cuda<double> backend;
  std::vector<double> values(1000, 1);
  CHECK(backend.all_finite());
  for (const std::size_t at : {std::size_t{0}, std::size_t{511}, std::size_t{999}}) {
    for (const double bad : {test::nan<double>, std::numeric_limits<double>::infinity()}) {
      CAPTURE(at, bad);
      device_values<double> good(backend, values);
      auto spoilt = values;
      spoilt[at] = bad;
      device_values<double> with_bad(backend, spoilt);
      backend.watch(values.size(), with_bad.data());
      backend.watch(values.size(), good.data());
      CHECK_FALSE(backend.all_finite());
      CHECK(backend.all_finite());
    }
  }
}

TEST_CASE("the sum of the squares of an array", "[cuda]") {
  cuda<float> backend;
  for (const std::size_t count : {std::size_t{1}, std::size_t{1001}, std::size_t{70001}}) {
    CAPTURE(count);
    const auto values = test::normal<float>(count, 1, 0, 1e25);  // whose squares are beyond float
    device_values<float> on_device(backend, values);
    double expected = 0;
    for (const float value : values) expected += static_cast<double>(value) * static_cast<double>(value);
    CHECK(backend.sum_of_squares(count, static_cast<const float*>(on_device.data())) == Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("the host writes what is next while the device works, and never over what is still to be copied", "[cuda]") {
  cuda<float> backend;
  constexpr std::size_t uploads = 6, size = 4;
  std::vector<device_values<int>> targets;
  for (std::size_t i = 0; i < uploads; ++i) targets.emplace_back(backend, std::vector<int>(size, 0));
  host_cuda::set_deferred(true);
  const std::size_t before = host_cuda::launches();
  for (std::size_t i = 0; i < uploads; ++i) {
    int* const at = targets[i].data();
    backend.fill(at, size, [&](int* values) {
      // The copy of two uploads ago must have been made; the kernel behind it need not have run.
      CHECK(host_cuda::launches() == before + (i < 2 ? 0 : i - 2));
      std::fill_n(values, size, static_cast<int>(10 * i));
    });
    backend.for_each(size, [=] SPIKENET_HOST_DEVICE(std::size_t k) { at[k] += 1; });
  }
  for (std::size_t i = 0; i < uploads; ++i)
    CHECK(targets[i].values(backend) == std::vector<int>(size, static_cast<int>(10 * i + 1)));
  host_cuda::set_deferred(false);
}
