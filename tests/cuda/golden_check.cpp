// The golden files on the CUDA backend, without a GPU: cuda_golden_check_8x2s4 FILE...
#include "cuda/reference.hpp"
#include "golden/golden_check.hpp"

int main(int argc, char** argv) {
  using namespace spikenet;
  using golden::variant;
  return golden::run<test::host_cuda_backend<double>, SPIKENET_GOLDEN_VARIANTS>(argc, argv);
}
