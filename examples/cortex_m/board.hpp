// What the program needs of where it runs: a few functions that cortex_m.cpp and host.cpp define.
#pragma once

#include <cstddef>
#include <cstdint>

namespace board {

void write(const char* text);

// Counts up, and starts again after 2^24.
std::uint32_t ticks();

// The most bytes of stack that there have been so far; 0 where nobody counts.
std::size_t stack_used();

}  // namespace board

// The program, which the board calls. Returns its exit status.
int classify_all();
