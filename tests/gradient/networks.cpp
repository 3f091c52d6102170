// Backward passes of layers in a row, residual blocks and a whole network, with and without fused kernels, against
// differences.
#include "differences.hpp"

TEMPLATE_TEST_CASE("tdBN and LIF", "", fused, unfused) {
  using net = net_of<TestType, 3, image<1, 5, 4>, conv2d<3, 3>, tdbn<>, named<"spike1", lif<ramp>>, conv2d<4, 3>,
                     tdbn<>, named<"spike2", lif<ramp, soft_reset>>, global_avg_pool, linear<3>>;
  require_agreement(compare_with_differences<net>(3, 60, 2));
}

TEMPLATE_TEST_CASE("residual blocks: identity, projection and normalised shortcuts", "", fused, unfused) {
  using net = net_of<TestType, 3, image<1, 6, 5>, conv2d<3, 3>, tdbn<>, named<"spike", lif<ramp>>, basic_block<3, ramp>,
                     basic_block<4, stride<2>, ramp>, basic_block<4, normalised_shortcut, ramp, soft_reset>,
                     global_avg_pool, linear<3>>;
  require_agreement(compare_with_differences<net>(3, 25, 7));
}

TEMPLATE_TEST_CASE("a residual block on what is the same at every timestep", "", fused, unfused) {
  using net = net_of<TestType, 3, image<1, 5, 5>, conv2d<3, 3>, basic_block<3, ramp>, global_avg_pool, linear<3>>;
  require_agreement(compare_with_differences<net>(3, 40, 2));
}

TEMPLATE_TEST_CASE("a whole deep spiking residual network", "", fused, unfused) {
  using net = dsrn<TestType, 2, 2, image<1, 8, 8>, classes<4>, stem<3>, ramp, mean_spikes>;
  require_agreement(compare_with_differences<net>(3, 4, 19));
}
