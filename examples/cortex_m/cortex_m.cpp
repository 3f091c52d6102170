// A Cortex-M with nothing on it: the vector table, what must happen before the program, a clock, and output through the
// debugger or the emulator (semihosting).
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "board.hpp"

// Addresses that flash.ld defines.
extern "C" {
extern std::uint32_t data_in_flash, data_begin, data_end, bss_begin, bss_end, stack_begin, stack_end;
extern void (*init_begin)(), (*init_end)();
}

namespace {

volatile std::uint32_t& peripheral(std::uint32_t address) { return *reinterpret_cast<volatile std::uint32_t*>(address); }

// Arm's semihosting: a number of what is wanted and one argument.
std::uint32_t semihosting(std::uint32_t operation, std::uint32_t argument) {
  register std::uint32_t r0 asm("r0") = operation;
  register std::uint32_t r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

[[noreturn]] void leave(int status) {
  const std::uint32_t application_exit = 0x20026;
  const std::uint32_t arguments[]{application_exit, static_cast<std::uint32_t>(status)};
  semihosting(0x20, reinterpret_cast<std::uint32_t>(arguments));  // SYS_EXIT_EXTENDED
  while (true) continue;
}

constexpr std::uint32_t unused = 0xdeadbeef;  // what the stack holds where nothing has been

}  // namespace

extern "C" [[noreturn]] void reset() {
#if defined(__ARM_FP)
  peripheral(0xe000ed88) |= 0xfu << 20;  // CPACR: the floating-point unit may be used
  asm volatile("dsb; isb");
#endif
  std::copy_n(&data_in_flash, &data_end - &data_begin, &data_begin);
  std::fill(&bss_begin, &bss_end, 0);
  for (auto f = &init_begin; f != &init_end; ++f) (*f)();

  // Below what this function itself has there.
  std::uint32_t* const here = static_cast<std::uint32_t*>(__builtin_frame_address(0));
  for (std::uint32_t* p = &stack_begin; p < here - 64; ++p) *p = unused;
  peripheral(0xe000e014) = 0xffffff;  // SysTick: reload value
  peripheral(0xe000e018) = 0;
  peripheral(0xe000e010) = 5;  // on, at the processor's clock
  leave(classify_all());
}

extern "C" [[noreturn]] void fault() {
  board::write("fault\n");
  leave(1);
}

using handler = void (*)();
extern "C" [[gnu::section(".vectors"), gnu::used]] const handler vectors[16]{
    reinterpret_cast<handler>(&stack_end), reset, fault, fault, fault, fault, fault};

namespace board {

void write(const char* text) { semihosting(4, reinterpret_cast<std::uint32_t>(text)); }  // SYS_WRITE0

std::uint32_t ticks() { return 0xffffff - peripheral(0xe000e018); }

std::size_t stack_used() {
  const std::uint32_t* p = &stack_begin;
  while (p != &stack_end && *p == unused) ++p;
  return static_cast<std::size_t>(&stack_end - p) * sizeof *p;
}

}  // namespace board
