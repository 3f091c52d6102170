// The index counts within the main branch.
// expect: what_it_is_given<0, spikenet::conv2d<16, 3, spikenet::in_channels<8> ?>, spikenet::shape<16, 28, 28>,
// expect: spikenet::shape<16, 28, 28>, spikenet::conv2d_was_promised_other_input_channels<8, 16> ?>
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>,
                      residual<sequence<conv2d<16, 3, in_channels<8>>, tdbn<2>>>, global_avg_pool, linear<10>>;

int main() { net_t net; }
