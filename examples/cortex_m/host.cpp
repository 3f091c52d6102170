// The machine that compiles.
#include <cstdio>

#include "board.hpp"

namespace board {

void write(const char* text) { std::fputs(text, stdout); }
std::uint32_t ticks() { return 0; }
std::size_t stack_used() { return 0; }

}  // namespace board

int main() { return classify_all(); }
