// Two types of network that must train alike, whatever the way in which they compute.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/support.hpp"

namespace test {

inline constexpr double tolerance = 1e-12;
inline constexpr spikenet::neuron neurons{
    .threshold = 0.4, .decay = 0.6, .surrogate = {.half_width = 0.7, .height = 0.9}};

template <class Scalar>
void check_same(const snapshot<Scalar>& a, const snapshot<Scalar>& b, const char* what) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(what, a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(error(a[i].values, b[i].values) < tolerance);
  }
}

// Two networks of the same tensors and two ways to give them the same images, images_of(batch, seed).
template <class A, class B, class ImagesOfA, class ImagesOfB>
void check_same_training(ImagesOfA images_of_a, ImagesOfB images_of_b) {
  A a{spikenet::seed{5}, neurons};
  B b{spikenet::seed{5}, neurons};
  check_same(tensors(a), tensors(b), "at first");
  // Weights and biases of the normalisations start at 1 and 0, which would hide their mistakes.
  std::uint64_t number = 0;
  a.for_each_parameter([&](const spikenet::tensor_info& info, std::span<double> values, std::span<double>) {
    if (info.name.find("bn") == std::string::npos && info.name.find("downsample") == std::string::npos) return;
    const auto noise = normal<double>(values.size(), ++number, 0, 0.2);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += noise[i];
  });
  copy_tensors(a, b);

  for (const std::size_t batch : {std::size_t{3}, std::size_t{5}, std::size_t{2}}) {
    CAPTURE(batch);
    const auto targets = labels(batch, A::classes, batch);
    const auto ra = a.compute_gradients(images_of_a(batch, batch), targets);
    const auto rb = b.compute_gradients(images_of_b(batch, batch), targets);
    CHECK(ra.loss == Approx(rb.loss).epsilon(tolerance));
    CHECK(error(a.logits(), b.logits()) < tolerance);
    check_same(gradients(a), gradients(b), "gradients");
    // The whole network takes part: no gradient is 0 throughout.
    for (const auto& gradient : gradients(a)) {
      CAPTURE(gradient.name);
      CHECK(std::any_of(gradient.values.begin(), gradient.values.end(), [](double g) { return g != 0; }));
    }
    a.update(spikenet::sgd{.learning_rate = 0.05});
    b.update(spikenet::sgd{.learning_rate = 0.05});
    check_same(tensors(a), tensors(b), "tensors");
  }
  CHECK(error(a.evaluate(images_of_a(4, 9)), b.evaluate(images_of_b(4, 9))) < tolerance);
}

// Fused stages and packed spikes against the same layers one by one on real numbers.
template <template <class> class Network>
void check_fused() {
  using fused = Network<spikenet::cpu<double>>;
  using plain = Network<spikenet::cpu<double, spikenet::one_by_one, spikenet::real_spikes>>;
  const auto images_of = [](std::size_t batch, std::uint64_t s) {
    return normal<double>(batch * fused::input::steps * fused::input::size, s);
  };
  check_same_training<fused, plain>(images_of, images_of);
}

// Direct encoding computes what comes before the first neurons once; nobody may tell.
template <template <class, template <std::size_t, std::size_t, std::size_t> class> class Network>
void check_direct_encoding() {
  using once = Network<spikenet::cpu<double>, spikenet::image>;
  using every_time = Network<spikenet::cpu<double>, spikenet::frames>;
  const auto images_of = [](std::size_t batch, std::uint64_t s) {
    return normal<double>(batch * once::input::size, s);
  };
  const auto frames_of = [&](std::size_t batch, std::uint64_t s) {
    const auto images = images_of(batch, s);
    std::vector<double> repeated;
    for (std::size_t t = 0; t < once::timesteps; ++t) repeated.insert(repeated.end(), images.begin(), images.end());
    return repeated;
  };
  check_same_training<once, every_time>(images_of, frames_of);
}

}  // namespace test
