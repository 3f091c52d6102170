// expect: what_it_is_given<2, spikenet::global_avg_pool, spikenet::shape<100>,
// expect: spikenet::shape<100>, spikenet::pooling_needs_a_map_of_channels_height_width>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, flatten, linear<100>, global_avg_pool, linear<10>>;

int main() { net_t net; }
