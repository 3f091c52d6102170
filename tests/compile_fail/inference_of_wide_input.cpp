// expect: error: static.*spikenet: quantised takes images of float or of std::uint8_t
#include <spikenet/inference/inference.hpp>

using namespace spikenet;

using model =
    inference<architecture<timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, lif<>, global_avg_pool, linear<10>>, quantised<double>>;
static_assert(model::classes == 10);
