// expect: what_it_is_given<4, spikenet::avg_pool2d<15>, spikenet::shape<16, 14, 14>,
// expect: spikenet::shape<16, 14, 14>, spikenet::avg_pool2d_window_is_larger_than_its_input>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3, stride<2>>, tdbn<>, lif<>,
                      sequence<conv2d<16, 3>, tdbn<>, lif<>>, avg_pool2d<15>, flatten, linear<10>>;

int main() { net_t net; }
