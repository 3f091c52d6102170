// expect: what_it_is_given<3, spikenet::linear<10>, spikenet::shape<16, 28, 28>,
// expect: spikenet::shape<16, 28, 28>, spikenet::linear_needs_a_vector_so_put_flatten_or_global_avg_pool_before_it>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>, linear<10>>;

int main() { net_t net; }
