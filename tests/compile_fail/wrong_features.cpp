// expect: what_it_is_given<4, spikenet::linear<10, spikenet::in_channels<64> ?>, spikenet::shape<16>,
// expect: spikenet::shape<16>, spikenet::linear_was_promised_other_input_features<64, 16> ?>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>, global_avg_pool,
                      linear<10, in_channels<64>>>;

int main() { net_t net; }
