#include <spikenet/cuda_device.hpp>

int main() { return spikenet::cuda_devices().empty() == spikenet::why_no_cuda_device().has_value() ? 0 : 1; }
