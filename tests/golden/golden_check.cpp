// The golden files on the CPU backend: golden_check_8x2s4 FILE...
#include "golden/golden_check.hpp"

#include <spikenet/dsrn.hpp>

using namespace spikenet;

int main(int argc, char** argv) {
  using golden::variant;
  return golden::run<cpu<double>, variant<hard_reset, through_reset, mean_spikes>,
                     variant<hard_reset, through_reset, mean_current>, variant<hard_reset, detached_reset, mean_spikes>,
                     variant<hard_reset, detached_reset, mean_current>, variant<soft_reset, through_reset, mean_spikes>,
                     variant<soft_reset, through_reset, mean_current>, variant<soft_reset, detached_reset, mean_spikes>,
                     variant<soft_reset, detached_reset, mean_current>>(argc, argv);
}
