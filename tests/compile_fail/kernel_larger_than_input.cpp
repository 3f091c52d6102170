// expect: what_it_is_given<1, spikenet::conv2d<16, 9, spikenet::padding<1> ?>, spikenet::shape<4, 6, 6>,
// expect: spikenet::shape<4, 6, 6>, spikenet::conv2d_kernel_is_larger_than_its_padded_input>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<4, 12, 12>, avg_pool2d<2>, conv2d<16, 9, padding<1>>, tdbn<>,
                      lif<>, global_avg_pool, linear<10>>;

int main() { net_t net; }
