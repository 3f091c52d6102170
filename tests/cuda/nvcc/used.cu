// The networks of the example and of the benchmark, in one source file: they share the network in half precision.
#include "model.cu"
#include "network.cu"
