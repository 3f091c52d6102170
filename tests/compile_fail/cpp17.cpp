// options: -std=c++17
// errors: 2
// expect: error: .*spikenet needs C\+\+20: compile with -std=c\+\+20
// expect: fatal error: .*the compilation ends here, since spikenet needs C\+\+20
#include <spikenet/spikenet.hpp>

using net_t =
    spikenet::network<spikenet::cpu<float>, spikenet::timesteps<2>, spikenet::image<1, 28, 28>, spikenet::flatten,
                      spikenet::linear<10>>;

int main() { net_t net; }
