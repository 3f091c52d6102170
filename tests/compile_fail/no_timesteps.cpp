// expect: timesteps<0>
// expect: error: static.*spikenet: timesteps<0>: a network needs at least 1 timestep
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t =
    network<cpu<float>, timesteps<0>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>, global_avg_pool, linear<10>>;

int main() { net_t net; }
