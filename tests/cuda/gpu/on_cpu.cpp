#include <spikenet/spikenet.hpp>

#include "cases.hpp"

gpu_tests::outcome gpu_tests::run_on_cpu(const batch& data, std::size_t steps) {
  return run<small_network<spikenet::cpu<float>>>(data, steps);
}
