// expect: what_it_is_given<0, spikenet::conv2d<20, 3, spikenet::in_channels<3> ?>, spikenet::shape<1, 28, 28>,
// expect: spikenet::shape<1, 28, 28>, spikenet::conv2d_was_promised_other_input_channels<3, 1> ?>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<20, 3, in_channels<3>>, tdbn<>, lif<>,
                      global_avg_pool, linear<10>>;

int main() { net_t net; }
