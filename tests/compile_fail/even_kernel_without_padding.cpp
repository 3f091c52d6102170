// expect: error: static.*spikenet: conv2d with an even kernel needs its padding: say padding<0>, or padding<1>
// expect: conv2d_options<2
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<4, 2>, tdbn<>, lif<>, global_avg_pool,
                      linear<10>>;

int main() { net_t net; }
