// A name changes nothing.
// expect: type_is_not_a_layer<1, double, spikenet::shape<16, 28, 28> ?>
// expect: error: static.*spikenet: this type is not a layer
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, named<"bn1", double>, lif<>,
                      global_avg_pool, linear<10>>;

int main() { net_t net; }
