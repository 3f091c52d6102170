// expect-success
// The other files of this folder without their mistakes: what they show is due to those alone.
#include <spikenet/dsrn.hpp>

using namespace spikenet;
using net_t =
    network<cpu<float>, timesteps<2>, image<1, 28, 28>, conv2d<20, 3, in_channels<1>>, tdbn<>, lif<>,
            conv2d<16, 3, groups<4>>, tdbn<>, lif<>, residual<sequence<conv2d<16, 3>, tdbn<2>>>, avg_pool2d<4>,
            conv2d<8, 7, padding<0>>, named<"head", sequence<flatten, linear<10, in_channels<8>>>>>;
using dsrn_t = dsrn<cpu<float>, 4, 1>;

int main() {
  net_t net;
  dsrn_t dsrn;
}
