// expect: network_must_end_in_a_vector_of_logits<spikenet::shape<16, 28, 28> ?>
// expect: error: static.*spikenet: the last layer must produce a vector
#include <spikenet/spikenet.hpp>

using namespace spikenet;
using net_t = network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<16, 3>, tdbn<>, lif<>>;

int main() { net_t net; }
