// expect: inference_cannot_run<.*lif<.*ramp>
// expect: error: static.*spikenet: inference cannot run this layer
#include <spikenet/inference/inference.hpp>

using namespace spikenet;
using model = inference<architecture<timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, lif<ramp>, global_avg_pool,
                                     linear<10>>>;

const std::size_t size = model::classes;
