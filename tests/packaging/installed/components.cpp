#include <spikenet/data/idx.hpp>
#include <spikenet/io/event_file.hpp>
#include <spikenet/io/safetensors.hpp>

int main() {}
