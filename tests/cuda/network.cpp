// Whole training steps on the CUDA backend, kernels, memory, copies and all, against the CPU backend.
#include "spikenet/network/network.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "catch.hpp"
#include "cuda/reference.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/same_training.hpp"
#include "unit/support.hpp"

using namespace spikenet;

namespace {

// Every layer, and a residual block of either kind.
template <class Backend>
using net_t = network<Backend, timesteps<3>, image<2, 9, 7>, named<"conv1", conv2d<5, 3>>,
                      named<"bn1", tdbn<>>, named<"spike1", lif<>>, named<"block1", basic_block<5>>,
                      named<"block2", basic_block<6, stride<2>, soft_reset>>,
                      named<"conv2", conv2d<8, 3, with_bias, groups<2>>>, lif<>, avg_pool2d<2>, flatten,
                      named<"fc1", linear<24>>, lif<detached_reset>, named<"fc2", linear<4>>>;

template <class Backend>
std::vector<double> images(std::size_t batch, std::uint64_t seed) {
  return test::normal<double>(batch * net_t<Backend>::input::size, seed);
}

using host = cpu<double>;
template <class... Options>
using device = test::host_cuda_backend<double, Options...>;

}  // namespace

TEST_CASE("training on the device is training on the CPU", "[cuda]") {
  test::check_same_training<net_t<host>, net_t<device<>>>(images<host>, images<host>);
}

TEST_CASE("training on the device with nothing fused, too", "[cuda]") {
  test::check_same_training<net_t<host>, net_t<device<one_by_one>>>(images<host>, images<host>);
}
