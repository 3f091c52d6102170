// expect: error: static.*spikenet: timesteps<0>: a network needs at least 1 timestep
#include <spikenet/dsrn.hpp>

using net_t = spikenet::dsrn<spikenet::cpu<float>, 16, 0>;

int main() { net_t net; }
