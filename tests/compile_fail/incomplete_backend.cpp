// A backend without lif_backward.
// expect: error: .*constrain
// expect: backend_neurons
// expect: [ .]lif_backward<.*(would be|is) invalid
#include <spikenet/spikenet.hpp>

using namespace spikenet;

struct incomplete : private cpu<float> {
  using cpu<float>::scalar, cpu<float>::fuses_stages, cpu<float>::for_each;
  template <class T>
  using storage = cpu<float>::storage<T>;
  using cpu<float>::conv2d_forward, cpu<float>::conv2d_backward_input, cpu<float>::conv2d_backward_weight;
  using cpu<float>::linear_forward, cpu<float>::linear_backward_input, cpu<float>::linear_backward_weight;
  using cpu<float>::channel_sums, cpu<float>::channel_moments, cpu<float>::normalisation_sums;
  using cpu<float>::channel_affine, cpu<float>::lif_forward, cpu<float>::tdbn_lif_forward,
      cpu<float>::tdbn_lif_backward;
};
using net_t = network<incomplete, timesteps<2>, image<1, 28, 28>, flatten, linear<10>>;

int main() { net_t net; }
