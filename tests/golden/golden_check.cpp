// The golden files on the CPU backend: golden_check_8x2s4 FILE...
#include "golden/golden_check.hpp"

#include <spikenet/dsrn.hpp>

int main(int argc, char** argv) {
  using namespace spikenet;
  using golden::variant;
  return golden::run<cpu<double>, SPIKENET_GOLDEN_VARIANTS>(argc, argv);
}
