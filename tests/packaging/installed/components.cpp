#include <spikenet/data/idx.hpp>
#include <spikenet/io/checkpoint.hpp>

int main() {}
