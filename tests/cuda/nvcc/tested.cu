// The tests that need a GPU, in one source file, as cuda_gpu has them in three: nvcc takes longer to read the headers
// than to compile one of them.
#include "cuda/gpu/mixed_on_gpu.cu"
#include "cuda/gpu/mnist_on_gpu.cu"
#include "cuda/gpu/on_gpu.cu"
