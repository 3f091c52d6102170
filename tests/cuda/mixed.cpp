// Mixed precision on the CUDA backend: kernels on half and bfloat16, and whole networks that store them between layers.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "catch.hpp"
#include "cuda/reference.hpp"
#include "spikenet/backend/cpu/cpu.hpp"
#include "spikenet/backend/cuda/cudnn/filter_layout.hpp"
#include "spikenet/networks.hpp"
#include "unit/support.hpp"

using namespace spikenet;
using test::device_values;

namespace {

template <class Real>
using mixed_backend = test::host_cuda_backend<float, mixed<Real>>;
using float_backend = test::host_cuda_backend<float>;

// The largest relative error of rounding to Real.
template <class Real>
constexpr double rounding = std::same_as<Real, __half> ? 0x1p-11 : 0x1p-8;

// ---- The stand-in's own numbers ----

// Every number of Real, in ascending order, from its bits.
template <class Real>
std::vector<float> all_numbers() {
  std::vector<float> numbers;
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = static_cast<float>(std::bit_cast<Real>(static_cast<std::uint16_t>(bits)));
    if (std::isfinite(value)) numbers.push_back(value);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

template <class Real>
void check_rounding(std::size_t count, float smallest, float largest) {
  const std::vector<float> numbers = all_numbers<Real>();
  CHECK(numbers.size() == count);  // of both signs, zeros too
  CHECK(numbers.back() == largest);
  CHECK(*std::upper_bound(numbers.begin(), numbers.end(), 0.0f) == smallest);
  const auto round = [](double value) { return static_cast<float>(static_cast<Real>(static_cast<float>(value))); };
  std::size_t wrong = 0;
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
    const double low = numbers[i], high = numbers[i + 1], middle = (low + high) / 2;
    wrong += round(low) != numbers[i] ? 1 : 0;
    if (low == high) continue;  // the zeros
    const float below = std::nextafter(static_cast<float>(middle), -std::numeric_limits<float>::infinity());
    const float above = std::nextafter(static_cast<float>(middle), std::numeric_limits<float>::infinity());
    wrong += round(below) != numbers[i] ? 1 : 0;
    wrong += round(above) != numbers[i + 1] ? 1 : 0;
    // The middle goes to the one whose last bit is 0.
    const bool low_is_even = std::bit_cast<std::uint16_t>(static_cast<Real>(numbers[i])) % 2 == 0;
    wrong += round(middle) != (low_is_even ? numbers[i] : numbers[i + 1]) ? 1 : 0;
  }
  CHECK(wrong == 0);
  CHECK(std::isinf(round(3.4e38)));
  CHECK(std::isnan(static_cast<float>(static_cast<Real>(test::nan<float>))));
}

// ---- Kernels ----

template <class Real>
std::vector<Real> stored(std::size_t count, std::uint64_t seed, double mean = 0) {
  const auto values = test::normal<float>(count, seed, mean);
  return {values.begin(), values.end()};
}
template <class T>
std::vector<double> exact(const std::vector<T>& values) {
  std::vector<double> all;
  for (const T value : values) all.push_back(static_cast<double>(static_cast<float>(value)));
  return all;
}

// Every value is within what rounding it to Real may do, and float's sums before that.
template <class Real>
void check_rounded(const std::vector<Real>& actual, const std::vector<double>& expected, const char* what) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(static_cast<double>(static_cast<float>(actual[i])) - expected[i]);
    worst = std::max(worst, difference / (rounding<Real> * std::abs(expected[i]) + 2e-6));
  }
  CAPTURE(what);
  CHECK(worst <= 1);
}

// Each operation on stored values, against the CPU backend in double on the same.
template <class Real, std::size_t Steps, std::size_t InSteps, std::size_t C>
void check_operations(std::size_t rows) {
  using dynamics = lif_dynamics<hard_reset, through_reset, heaviside>;
  CAPTURE(C, rows, Steps, InSteps, rounding<Real>);
  const std::size_t in_size = InSteps * rows * C, size = Steps * rows * C, in_rows = InSteps * rows;
  const auto x = stored<Real>(in_size, 1), residual = stored<Real>(size, 2), go = stored<Real>(size, 3),
             z = stored<Real>(in_size, 4);
  const std::vector<float> scale(C, 0.5f), shift(C, 0.125f), mean(C, 0.25f), inverse(C, 1.5f);
  const auto a = test::normal<float>(C, 5);
  const neuron_constants<float> k{0.3f, 0.25f, 0.7f, 0.9f};

  mixed_backend<Real> device;
  device_values<Real> dx(device, x), dresidual(device, residual), dgo(device, go), dz(device, z);
  device_values<float> dscale(device, scale), dshift(device, shift), dmean(device, mean), dinverse(device, inverse),
      da(device, a), dsums(device, std::vector<float>(C));
  device_values<Real> out(device, std::vector<Real>(size)), in(device, std::vector<Real>(in_size));
  device_values<double> moments(device, std::vector<double>(2 * C));

  cpu<double> host;
  const auto hx = exact(x), hresidual = exact(residual), hgo = exact(go), hz = exact(z), ha = exact(a);
  const auto hscale = exact(scale), hshift = exact(shift), hmean = exact(mean), hinverse = exact(inverse);
  const neuron_constants<double> hk{k.threshold, k.decay, k.half_width, k.height};
  std::vector<double> hout(size), hin(in_size), hmoments(2 * C), hsums(C);
  const double loose = 2e-5;  // sums of many floats

  device.template channel_sums<C>(in_rows, dx.data(), dsums.data());
  host.template channel_sums<C>(in_rows, hx.data(), hsums.data());
  CHECK(test::error(dsums.values(device), hsums) < loose);

  device.template channel_moments<C>(in_rows, dx.data(), moments.data(), moments.data() + C);
  host.template channel_moments<C>(in_rows, hx.data(), hmoments.data(), hmoments.data() + C);
  CHECK(test::error(moments.values(device), hmoments) < loose);

  device.template normalisation_sums<C>(in_rows, dx.data(), dz.data(), dmean.data(), dinverse.data(), moments.data());
  host.template normalisation_sums<C>(in_rows, hx.data(), hz.data(), hmean.data(), hinverse.data(), hmoments.data());
  CHECK(test::error(moments.values(device), hmoments) < loose);

  device.template channel_affine<C>(in_rows, dx.data(), dz.data(), dscale.data(), da.data(), dshift.data(), in.data());
  host.template channel_affine<C>(in_rows, hx.data(), hz.data(), hscale.data(), ha.data(), hshift.data(), hin.data());
  check_rounded(in.values(device), hin, "channel_affine");

  device.template lif_forward<dynamics, Steps, InSteps>(rows * C, k, dx.data(), out.data());
  host.template lif_forward<dynamics, Steps, InSteps>(rows * C, hk, hx.data(), hout.data());
  CHECK(exact(out.values(device)) == hout);  // spikes are 0 and 1 in any type

  device.template lif_backward<dynamics, Steps, InSteps>(rows * C, k, dx.data(), dgo.data(), in.data());
  host.template lif_backward<dynamics, Steps, InSteps>(rows * C, hk, hx.data(), hgo.data(), hin.data());
  check_rounded(in.values(device), hin, "lif_backward");

  for (const bool with_residual : {false, true}) {
    const Real* const r = with_residual ? dresidual.data() : nullptr;
    const double* const hr = with_residual ? hresidual.data() : nullptr;
    device.template tdbn_lif_forward<dynamics, Steps, InSteps, C>(rows, k, dx.data(), dscale.data(), dshift.data(), r,
                                                                  out.data());
    host.template tdbn_lif_forward<dynamics, Steps, InSteps, C>(rows, hk, hx.data(), hscale.data(), hshift.data(), hr,
                                                                hout.data());
    CHECK(exact(out.values(device)) == hout);
    device.template tdbn_lif_backward<dynamics, Steps, InSteps, C>(rows, k, dx.data(), dscale.data(), dshift.data(), r,
                                                                   dmean.data(), dinverse.data(), dgo.data(), in.data(),
                                                                   moments.data());
    host.template tdbn_lif_backward<dynamics, Steps, InSteps, C>(rows, hk, hx.data(), hscale.data(), hshift.data(), hr,
                                                                 hmean.data(), hinverse.data(), hgo.data(), hin.data(),
                                                                 hmoments.data());
    check_rounded(in.values(device), hin, "tdbn_lif_backward");
    CHECK(test::error(moments.values(device), hmoments) < loose);
  }
  device.template tdbn_lif_backward_input<dynamics, Steps, InSteps, C>(rows, k, dx.data(), dscale.data(), dshift.data(),
                                                                       dgo.data(), dscale.data(), da.data(),
                                                                       dshift.data(), in.data());
  host.template tdbn_lif_backward<dynamics, Steps, InSteps, C>(rows, hk, hx.data(), hscale.data(), hshift.data(),
                                                               static_cast<const double*>(nullptr), hmean.data(),
                                                               hinverse.data(), hgo.data(), hin.data(), hmoments.data());
  host.template channel_affine<C>(in_rows, hin.data(), hx.data(), hscale.data(), ha.data(), hshift.data(), hin.data());
  check_rounded(in.values(device), hin, "tdbn_lif_backward_input");

  CHECK(in.within_bounds(device));
  CHECK(out.within_bounds(device));
}

// ---- Networks ----

// Every layer but global average pooling, and a residual block of either kind. Spike: heaviside or ramp. A spike that
// rounding turns over changes as much as a spike does; a ramp turns nothing over, and shows rounding alone.
template <class Backend, class Spike>
using net_t = network<Backend, timesteps<2>, image<1, 6, 6>, named<"conv1", conv2d<4, 3>>, named<"bn1", tdbn<>>,
                      named<"spike1", lif<Spike>>, named<"block1", basic_block<4, Spike>>,
                      named<"block2", basic_block<6, stride<2>, Spike>>, named<"conv2", conv2d<6, 3, with_bias>>,
                      named<"bn2", tdbn<>>, lif<Spike>, avg_pool2d<2>, flatten, named<"fc1", linear<8>>, lif<Spike>,
                      named<"fc2", linear<3>>>;
using half_net = net_t<mixed_backend<__half>, heaviside>;
template <class Backend>
using smooth_net = net_t<Backend, ramp>;
using smooth_float = smooth_net<float_backend>;
using smooth_half = smooth_net<mixed_backend<__half>>;
using smooth_bfloat16 = smooth_net<mixed_backend<__nv_bfloat16>>;

constexpr std::size_t pixels = 36;

struct batch_of_bars {
  std::vector<float> images;
  std::vector<std::int32_t> labels;
};
// A bright bar whose row is the label, and noise.
batch_of_bars bars(std::size_t count, std::uint64_t seed) {
  random_stream random{spikenet::seed{seed}};
  batch_of_bars batch{std::vector<float>(count * pixels), std::vector<std::int32_t>(count)};
  for (std::size_t n = 0; n < count; ++n) {
    batch.labels[n] = static_cast<std::int32_t>(n % 3);
    for (std::size_t i = 0; i < pixels; ++i) {
      const bool bright = i / 6 == 2 * (n % 3) + 1;
      batch.images[n * pixels + i] = (bright ? 1.0f : 0.0f) + 0.2f * static_cast<float>(random.uniform());
    }
  }
  return batch;
}

// ||a - b|| / ||b|| of all gradients together, or of those of one parameter.
template <class A, class B>
double gradient_error(A& a, B& b, const std::string& name = {}) {
  const auto ga = test::gradients(a), gb = test::gradients(b);
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < gb.size(); ++i) {
    if (!name.empty() && gb[i].name != name) continue;
    for (std::size_t j = 0; j < gb[i].values.size(); ++j) {
      const double expected = gb[i].values[j], apart = static_cast<double>(ga[i].values[j]) - expected;
      difference += apart * apart;
      norm += expected * expected;
    }
  }
  return std::sqrt(difference / norm);
}

template <class Network>
double accuracy_after_training() {
  Network net{seed{2}};
  for (std::uint64_t step = 0; step < 40; ++step) {
    const auto data = bars(9, 100 + step);
    net.train_step(data.images, data.labels, adam{.learning_rate = 1e-2});
  }
  const auto seen = bars(60, 100), unseen = bars(60, 7);
  net.recalibrate(seen.images, 1);
  return net.test_step(unseen.images, unseen.labels).accuracy();
}

// The largest of a parameter's gradients, by its name.
template <class Network>
float largest_gradient(Network& net, const std::string& name) {
  float largest = 0;
  net.for_each_parameter([&](const tensor_info& info, std::span<float>, std::span<float> gradient) {
    if (info.name != name) return;
    for (const float g : gradient) largest = std::max(largest, std::abs(g));
  });
  return largest;
}

// What goes back from the last layer becomes as small as this.
template <class Network>
void shrink_last_layer(Network& net, float by) {
  net.for_each_tensor([&](const tensor_info& info, std::span<float> values) {
    if (info.name != "fc2.weight") return;
    for (float& value : values) value *= by;
  });
}

// A loss whose gradient is beyond what half holds.
struct steep_loss {
  template <class Scalar>
  double of_item(std::size_t classes, const Scalar* logits, std::size_t, double, Scalar* gradient) const {
    for (std::size_t c = 0; c < classes; ++c) gradient[c] = 1e6f;
    return static_cast<double>(logits[0]) * 1e6;
  }
  double operator()(std::size_t classes, std::span<const float> logits, std::span<const std::int32_t> labels,
                    std::span<float> gradient) const {
    return detail::mean_loss(*this, classes, logits, labels, gradient);
  }
};

}  // namespace

TEST_CASE("the stand-in's half and bfloat16 are rounded to the nearest, ties to even", "[cuda]") {
  check_rounding<__half>(2 * 31 * 1024, 0x1p-24f, 65504);
  check_rounding<__nv_bfloat16>(2 * 255 * 128, 0x1p-133f, 0x1.fep127f);
}

TEST_CASE("operations on what is stored in half and in bfloat16", "[cuda]") {
  check_operations<__half, 2, 2, 19>(211);
  check_operations<__half, 3, 1, 5>(307);
  check_operations<__nv_bfloat16, 2, 2, 7>(101);
}

TEST_CASE("filters become half and channels last, and gradients float and PyTorch's", "[cuda]") {
  // Of two blocks; of more than one kernel takes; windows of one pixel, and such as a block takes few of.
  const std::vector<detail::filter_shape> shapes{{9, 31, 9}, {3, 5, 1}, {2, 3, 49}, {1, 2, 9000}};
  constexpr std::size_t copies = 20;
  mixed_backend<__half> device;
  detail::filter_copies<float, __half> filters;
  std::deque<device_values<float>> from, back;
  std::vector<std::vector<float>> weights;
  for (std::size_t i = 0; i < copies * shapes.size(); ++i) {
    const std::size_t size = shapes[i % shapes.size()].size();
    weights.push_back(test::normal<float>(size, 100 + i));
    from.emplace_back(device, std::vector<float>(size));
    back.emplace_back(device, std::vector<float>(size));
  }
  const auto weight = [&](std::size_t i) { return filters.weight(nullptr, shapes[i % shapes.size()], from[i].data()); };
  for (std::size_t i = 0; i < from.size(); ++i) {
    weight(i);
    device.fill(from[i].data(), weights[i].size(), [&](float* to) { std::copy(weights[i].begin(), weights[i].end(), to); });
  }
  filters.begin_pass(nullptr);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const __half* const there = weight(i);
    __half* const gradient = filters.gradient(shapes[i % shapes.size()], back[i].data());
    device.for_each(weights[i].size(), [=](std::size_t at) { gradient[at] = there[at]; });
  }
  filters.finish_gradients(nullptr);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const detail::filter_shape& shape = shapes[i % shapes.size()];
    std::vector<__half> half(shape.size());
    device.download(weight(i), half.size(), half.data());
    const auto returned = back[i].values(device);
    CHECK(back[i].within_bounds(device));
    for (std::size_t o = 0; o < shape.filters; ++o) {
      for (std::size_t c = 0; c < shape.channels; ++c) {
        for (std::size_t tap = 0; tap < shape.taps; ++tap) {
          const std::size_t at = (o * shape.channels + c) * shape.taps + tap;
          const __half expected = static_cast<__half>(weights[i][at]);
          wrong += half[(o * shape.taps + tap) * shape.channels + c] != expected ? 1 : 0;
          wrong += returned[at] != static_cast<float>(expected) ? 1 : 0;
        }
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("gradients in mixed precision are near those in float, and the same at every call", "[cuda]") {
  smooth_float expected{seed{5}};
  smooth_half half{seed{5}};
  smooth_bfloat16 bfloat16{seed{5}};
  CHECK(half.loss_scale() == 1024);
  CHECK(bfloat16.loss_scale() == 1);
  double of_half = 0, of_bfloat16 = 0;
  for (std::uint64_t number = 0; number < 4; ++number) {
    const auto data = bars(12, number);
    const double loss = expected.compute_gradients(data.images, data.labels).loss;
    CHECK(half.compute_gradients(data.images, data.labels).loss == Approx(loss).epsilon(1e-3));
    CHECK(bfloat16.compute_gradients(data.images, data.labels).loss == Approx(loss).epsilon(1e-2));
    of_half = std::max(of_half, gradient_error(half, expected));
    of_bfloat16 = std::max(of_bfloat16, gradient_error(bfloat16, expected));
  }
  // Between 10 and 40 times the rounding of one value, in either type, from some 30 roundings one after another, which
  // normalisations over few values magnify. What is wrong by more than rounding would not be 8 times as small in half.
  CAPTURE(of_half, of_bfloat16);
  CHECK(of_half < 60 * rounding<__half>);
  CHECK(of_bfloat16 < 60 * rounding<__nv_bfloat16>);
  const auto data = bars(12, 3);
  const auto before = test::gradients(half);
  host_cuda::set_order(host_cuda::order::descending);
  host_cuda::set_deferred(true);
  half.compute_gradients(data.images, data.labels);
  host_cuda::set_deferred(false);
  host_cuda::set_order(host_cuda::order::ascending);
  CHECK(test::identical(before, test::gradients(half)));
}

TEST_CASE("training in mixed precision learns what float learns", "[cuda]") {
  CHECK(accuracy_after_training<half_net>() == 1);
  CHECK(accuracy_after_training<smooth_bfloat16>() == 1);
}

TEST_CASE("loss scaling keeps gradients that are too small for half", "[cuda]") {
  const auto data = bars(12, 1);
  smooth_float expected{seed{5}};
  smooth_half half{seed{5}};
  smooth_bfloat16 bfloat16{seed{5}};
  shrink_last_layer(expected, 1e-6f);
  shrink_last_layer(half, 1e-6f);
  shrink_last_layer(bfloat16, 1e-6f);
  expected.compute_gradients(data.images, data.labels);
  CHECK(largest_gradient(expected, "conv1.weight") > 0);
  half.set_loss_scale(1);
  half.compute_gradients(data.images, data.labels);
  CHECK(largest_gradient(half, "conv1.weight") == 0);
  half.set_loss_scale(0x1p20);
  half.compute_gradients(data.images, data.labels);
  CHECK(gradient_error(half, expected, "conv1.weight") < 100 * rounding<__half>);
  bfloat16.compute_gradients(data.images, data.labels);
  CHECK(gradient_error(bfloat16, expected, "conv1.weight") < 100 * rounding<__nv_bfloat16>);
}

TEST_CASE("a loss scale that is too large is halved until gradients are finite", "[cuda]") {
  const auto data = bars(6, 1);
  half_net expected{seed{5}}, net{seed{5}};
  expected.set_loss_scale(0x1p10);
  expected.compute_gradients(data.images, data.labels);
  net.set_loss_scale(0x1p40);
  net.compute_gradients(data.images, data.labels);
  CHECK(net.loss_scale() < 0x1p30);
  CHECK(net.loss_scale() > 0x1p10);
  CHECK(gradient_error(net, expected) < 1e-3);
  // As if it had been so from the start.
  half_net other{seed{5}};
  other.set_loss_scale(net.loss_scale());
  other.compute_gradients(data.images, data.labels);
  CHECK(test::identical(test::gradients(net), test::gradients(other)));
  CHECK(test::identical(test::tensors(net), test::tensors(other)));
}

TEST_CASE("a queued step that is too large for the loss scale moves nothing, and halves it for those that follow", "[cuda]") {
  const auto data = bars(6, 1);
  half_net expected{seed{5}}, net{seed{5}};
  net.compute_gradients(data.images, data.labels);
  expected.compute_gradients(data.images, data.labels);
  const auto before = test::tensors(net);
  net.set_loss_scale(0x1p40);
  net.queue_step(data.images, data.labels, adam{});
  net.finish_steps();
  CHECK(net.loss_scale() == 0x1p39);
  CHECK(net.updates() == 0);
  CHECK(test::identical(before, test::tensors(net)));

  while (net.updates() == 0) {
    for (int i = 0; i < 4; ++i) net.queue_step(data.images, data.labels, adam{});
    net.finish_steps();
    REQUIRE(net.loss_scale() > 1);
  }
  // As if it had been so from the start.
  expected.set_loss_scale(net.loss_scale());
  for (std::uint64_t i = 0; i < net.updates(); ++i) expected.queue_step(data.images, data.labels, adam{});
  expected.finish_steps();
  CHECK(expected.updates() == net.updates());
  net.queue_step(data.images, data.labels, adam{});
  CHECK(net.finish_steps().loss == Approx(expected.train_step(data.images, data.labels, adam{}).loss).epsilon(0.2));

  // What comes after such a step is watched as ever.
  net.set_loss_scale(0x1p40);
  net.queue_step(data.images, data.labels, adam{});
  net.for_each_tensor([&](const tensor_info& info, std::span<float> values) {
    if (info.name == "conv1.weight") std::fill(values.begin(), values.end(), 1.0f);
  });
  const auto as_it_was = test::tensors(net);
  auto images = data.images;
  std::fill(images.begin(), images.end(), 6e4f);
  CHECK_THROWS_WITH(net.train_step(images, data.labels, adam{}), Catch::Matchers::StartsWith("bn1: the batch statistics"));
  CHECK(test::identical(as_it_was, test::tensors(net)));
}

TEST_CASE("what half cannot hold is reported with the layer, and nothing has changed", "[cuda]") {
  half_net net{seed{5}};
  const auto data = bars(6, 1);
  net.train_step(data.images, data.labels, adam{});
  const auto before = test::tensors(net);

  auto images = data.images;
  images[3] = 1e5f;
  CHECK_THROWS_WITH(net.train_step(images, data.labels, adam{}),
                    "input: value 3 of the batch is too large for what layers store");
  std::fill(images.begin(), images.end(), 6e4f);
  net.for_each_tensor([&](const tensor_info& info, std::span<float> values) {
    if (info.name == "conv1.weight") std::fill(values.begin(), values.end(), 1.0f);
  });
  CHECK_THROWS_WITH(net.train_step(images, data.labels, adam{}),
                    Catch::Matchers::StartsWith("bn1: the batch statistics of channel 0"));
  net.for_each_tensor([&, i = std::size_t{0}](const tensor_info&, std::span<float> values) mutable {
    std::copy(before[i].values.begin(), before[i].values.end(), values.begin());
    ++i;
  });

  // What is too large at any loss scale is no matter of that.
  CHECK_THROWS_WITH(net.train_step(data.images, data.labels, adam{}, steep_loss{}),
                    "conv1.weight: its gradient is not finite");
  CHECK(net.loss_scale() == 1);
  CHECK(test::identical(before, test::tensors(net)));

  for (const double scale : {0.0, -2.0, 3.0, test::nan<double>, std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_AS(net.set_loss_scale(scale), argument_error);
  }
}

TEST_CASE("in mixed precision observers are shown floats, and a step takes no memory after the first", "[cuda]") {
  half_net net{seed{5}};
  const auto data = bars(6, 1);
  std::size_t layers = 0;
  double largest = 0;
  net.evaluate(data.images, [&]<class Signal>(const std::string&, tensor<Signal, const float> output) {
    ++layers;
    for (std::size_t i = 0; i < output.size(); ++i) largest = std::max(largest, std::abs(double{output.data[i]}));
  });
  CHECK(layers > 10);
  CHECK(largest > 0);
  CHECK(std::isfinite(largest));
  monitor m;
  net.evaluate(data.images, m);
  CHECK(m.neurons().size() == 7);
  net.train_step(data.images, data.labels, adam{});
  const std::size_t memory = host_cuda::allocations(), waits = host_cuda::synchronisations();
  net.train_step(data.images, data.labels, adam{});
  CHECK(host_cuda::allocations() == memory);
  CHECK(host_cuda::synchronisations() == waits + 2);
}
