// A main branch of 32 channels and the 16 that an identity shortcut hands on. The block is layer 3.
// expect: residual_branches_differ<spikenet::shape<32, 28, 28>, spikenet::shape<16, 28, 28> ?>
// expect: error: static.*spikenet: the two branches of a residual block produce different shapes
// expect: single_stage<spikenet::cpu<float>, 2, 3, .*spikenet::residual<
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>,
                      residual<sequence<conv2d<32, 3>, tdbn<2>>>, global_avg_pool, linear<10>>;

int main() { net_t net; }
