#include <spikenet/data/idx.hpp>
#include <spikenet/io/safetensors.hpp>

int main() {}
