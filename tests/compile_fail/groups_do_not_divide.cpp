// expect: what_it_is_given<3, spikenet::conv2d<32, 3, spikenet::groups<3> ?>, spikenet::shape<16, 28, 28>,
// expect: spikenet::shape<16, 28, 28>, spikenet::conv2d_groups_must_divide_its_input_and_output_channels>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>,
                      conv2d<32, 3, groups<3>>, tdbn<>, lif<>, global_avg_pool, linear<10>>;

int main() { net_t net; }
