// What leads to the mistake is long here; the message still starts with the mistake.
// expect: what_it_is_given<7, spikenet::conv2d<20, 3, spikenet::in_channels<3> ?>, spikenet::shape<32, 14, 14>,
// expect: spikenet::shape<32, 14, 14>, spikenet::conv2d_was_promised_other_input_channels<3, 32> ?>
// expect: error: static.*spikenet: a layer cannot take the shape that the layer before it produces
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>, basic_block<16>,
                      conv2d<32, 3, stride<2>>, tdbn<>, lif<>, conv2d<20, 3, in_channels<3>>, tdbn<>, lif<>,
                      basic_block<20>, basic_block<40, stride<2>>, basic_block<40>, basic_block<80, stride<2>>,
                      global_avg_pool, linear<256>, lif<>, linear<10>>;

int main() { net_t net; }
