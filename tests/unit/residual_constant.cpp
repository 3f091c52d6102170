// Residual blocks on an image, which is the same at every timestep: fused stages against the same layers one by one,
// and what is computed once against the same image given at every timestep.
#include <cstddef>

#include "catch.hpp"
#include "spikenet/spikenet.hpp"
#include "unit/same_training.hpp"

using namespace spikenet;
using test::check_direct_encoding;
using test::check_fused;

namespace {

// The input of the first block is the same at every timestep and no spikes.
template <class Backend, template <std::size_t, std::size_t, std::size_t> class Input = image>
using block_on_a_constant = network<Backend, timesteps<3>, Input<2, 5, 6>, conv2d<3, 3>, basic_block<3>,
                                    basic_block<3, detached_reset>, global_avg_pool, linear<3>>;
template <class Backend, template <std::size_t, std::size_t, std::size_t> class Input = image>
using shortcuts_of_a_constant =
    network<Backend, timesteps<2>, Input<2, 5, 6>, conv2d<3, 3>, named<"bn1", tdbn<>>,
            basic_block<3, normalised_shortcut>, basic_block<4, stride<2>>, global_avg_pool, linear<3>>;

template <class Backend>
using block_on_an_image = block_on_a_constant<Backend>;
template <class Backend>
using shortcuts_of_an_image = shortcuts_of_a_constant<Backend>;

}  // namespace

TEST_CASE("fused and plain: blocks whose input is no spikes and the same at every timestep", "[residual][fused]") {
  check_fused<block_on_an_image>();
  check_fused<shortcuts_of_an_image>();
}

TEST_CASE("an image computed once is the same image computed at every timestep", "[residual][direct encoding]") {
  check_direct_encoding<block_on_a_constant>();
  check_direct_encoding<shortcuts_of_a_constant>();
}
