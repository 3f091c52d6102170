// Each layer's backward pass against differences.
#include "differences.hpp"

TEST_CASE("linear") {
  using net = net_of<fused, 1, image<1, 2, 3>, flatten, linear<5>, linear<4, without_bias>>;
  require_agreement(compare_with_differences<net>(3, 100, 0));
  require_agreement(compare_with_differences<net>(3, 100, 0, mean_squared_error{}));
}

TEST_CASE("convolution") {
  using net = net_of<fused, 1, image<2, 9, 7>, conv2d<4, 3, stride<2>, with_bias>,
                     conv2d<6, 3, groups<2>, dilation<2>, padding<1>>, conv2d<3, 2, padding<1>>, flatten, linear<3>>;
  require_agreement(compare_with_differences<net>(3, 100, 0));
}

TEST_CASE("pooling") {
  using net = net_of<fused, 1, image<2, 7, 8>, conv2d<3, 3>, avg_pool2d<3, stride<2>>,
                     conv2d<5, 2, padding<1>>, global_avg_pool, linear<3>>;
  require_agreement(compare_with_differences<net>(3, 100, 0));
}

TEST_CASE("tdBN") {
  using net = net_of<fused, 2, image<1, 6, 5>, conv2d<3, 3>, tdbn<>, conv2d<4, 3>, tdbn<2>, global_avg_pool, linear<3>>;
  require_agreement(compare_with_differences<net>(4, 100, 0));
}

TEST_CASE("LIF, hard reset") {
  using net = net_of<fused, 4, image<1, 2, 3>, flatten, linear<8>, named<"spike1", lif<ramp>>, linear<7>,
                     named<"spike2", lif<ramp>>, linear<4>>;
  require_agreement(compare_with_differences<net>(5, 100, 2));
}

TEST_CASE("LIF, soft reset") {
  using net = net_of<fused, 4, image<1, 2, 3>, flatten, linear<8>, named<"spike1", lif<ramp, soft_reset>>, linear<7>,
                     named<"spike2", lif<ramp, soft_reset>>, linear<4>>;
  require_agreement(compare_with_differences<net>(5, 100, 2));
}

TEST_CASE("LIF as the readout, over frames that change with time") {
  using net = net_of<fused, 5, frames<2, 2, 2>, flatten, linear<8>, named<"spike1", lif<ramp>>, linear<4>,
                     named<"spike2", lif<ramp>>>;
  require_agreement(compare_with_differences<net>(5, 100, 2, mean_squared_error{}));
}
