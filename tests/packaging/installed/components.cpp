#include <spikenet/data/idx.hpp>
#include <spikenet/io/checkpoint.hpp>
#include <spikenet/io/event_file.hpp>

int main() {}
