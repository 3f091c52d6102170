// The whole deep spiking residual network, in every way of computing it against layer by layer on real numbers: stem
// other than width, soft reset, spikes as readout, an image no side of which is a power of two.
#include <algorithm>
#include <cstddef>
#include <vector>

#include "catch.hpp"
#include "spikenet/dsrn.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

template <class Backend>
using net_t = dsrn<Backend, 4, 2, stem<6>, image<2, 11, 9>, classes<5>, soft_reset, mean_spikes>;

}  // namespace

TEMPLATE_TEST_CASE("fused and packed, and neither: the deep spiking residual network", "[dsrn][fused]", cpu<double>,
                   (cpu<double, real_spikes>), (cpu<double, one_by_one>)) {
  constexpr double tolerance = 1e-12;
  const neuron neurons{.threshold = 0.3, .decay = 0.5, .surrogate = {.half_width = 0.6}};
  net_t<TestType> fused{seed{8}, neurons};
  net_t<cpu<double, one_by_one, real_spikes>> plain{seed{8}, neurons};
  for (const std::size_t batch : {std::size_t{4}, std::size_t{3}}) {
    const auto images = test::normal<double>(batch * 2 * 11 * 9, batch);
    const auto labels = test::labels(batch, 5, batch);
    CHECK(fused.compute_gradients(images, labels).loss == Approx(plain.compute_gradients(images, labels).loss));
    CHECK(test::error(fused.logits(), plain.logits()) < tolerance);
    const auto a = test::gradients(fused), b = test::gradients(plain);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(batch, a[i].name);
      CHECK(a[i].name == b[i].name);
      CHECK(test::error(a[i].values, b[i].values) < tolerance);
      CHECK(std::any_of(a[i].values.begin(), a[i].values.end(), [](double g) { return g != 0; }));
    }
    fused.update(adam{});
    plain.update(adam{});
    test::copy_tensors(plain, fused);  // Adam's first steps make large differences of rounding errors near 0
  }
  const auto images = test::normal<double>(70 * 2 * 11 * 9, 1);
  CHECK(test::error(fused.evaluate(images), plain.evaluate(images)) < tolerance);
}
