// The index counts within the innermost sequence.
// expect: what_it_is_given<1, spikenet::linear<10>, spikenet::shape<8, 28, 28>,
// expect: spikenet::shape<8, 28, 28>, spikenet::linear_needs_a_vector_so_put_flatten_or_global_avg_pool_before_it>
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>,
                      sequence<tdbn<>, lif<>, sequence<conv2d<8, 3>, linear<10>>>, lif<>>;

int main() { net_t net; }
