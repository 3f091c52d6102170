// Residual blocks: fused stages against the same layers one by one.
#include <cstddef>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/same_training.hpp"

using namespace spikenet;
using test::check_fused;

namespace {

// Layers behind a stem that spikes: a block that keeps its shape, one that does not, and the readout.
template <class Backend, std::size_t T, class... Readout>
using two_blocks =
    network<Backend, timesteps<T>, image<2, 7, 6>, named<"conv1", conv2d<3, 3>>, named<"bn1", tdbn<>>, lif<>,
            sequence<basic_block<3>, basic_block<4, stride<2>>>, global_avg_pool, linear<4>, Readout...>;
template <class Backend>
using one_timestep = two_blocks<Backend, 1>;
template <class Backend>
using three_timesteps_of_spikes = two_blocks<Backend, 3, lif<>>;

template <class Backend>
using normalised_soft_reset =
    network<Backend, timesteps<3>, frames<2, 7, 6>, named<"conv1", conv2d<3, 3>>, named<"bn1", tdbn<>>, lif<soft_reset>,
            basic_block<3, normalised_shortcut, soft_reset>, basic_block<4, stride<2>, normalised_shortcut, soft_reset>,
            global_avg_pool, linear<4>>;

}  // namespace

TEST_CASE("fused and plain: residual blocks over one and several timesteps", "[residual][fused]") {
  check_fused<one_timestep>();
  check_fused<three_timesteps_of_spikes>();
}

TEST_CASE("fused and plain: normalised shortcuts, soft resets, frames", "[residual][fused]") {
  check_fused<normalised_soft_reset>();
}
