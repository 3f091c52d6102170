// What the fuzz targets share. A target is one source file that defines the functions below for one reader. It is
// linked with libFuzzer, or with replay.cpp, which stands in for it in the ordinary tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "spikenet/core/error.hpp"
#include "spikenet/core/random.hpp"

// libFuzzer's interface, https://llvm.org/docs/LibFuzzer.html.
extern "C" {
// The target: runs one input and checks its properties. Whatever it throws is a finding.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// The target: changes an input in place, with what the format needs to be mended afterwards, and returns its new size.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned int seed);
// libFuzzer or replay.cpp: changes bytes without knowing their format.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
}

namespace fuzz {

using bytes = std::vector<std::uint8_t>;

// The target: inputs to start from.
std::vector<bytes> seeds();

inline void require(bool property, const std::string& what) {
  if (!property) throw std::logic_error("does not hold: " + what);
}

// Memory that this thread has taken with operator new and not given back, and the most since reset_peak(). memory.cpp.
std::size_t live_memory() noexcept;
std::size_t peak_memory() noexcept;
void reset_peak() noexcept;

// How many inputs there were and how many a reader accepted, printed at the end: fuzzing that only ever sees refusals
// tests little.
struct tally {
  std::size_t inputs = 0, accepted = 0;
  ~tally() { std::fprintf(stderr, "%zu of %zu inputs were accepted\n", accepted, inputs); }
};
inline tally count;

// What errors call the input.
inline constexpr std::string_view input_name = "the input";

// The result of read(), or nothing where it refuses by a file_error. That error must be one line that starts with the
// name and can be read, and reading must never hold more memory than is allowed. Other exceptions are let through.
template <class Read>
auto attempt(std::size_t memory_allowed, Read read) -> std::optional<decltype(read())> {
  std::optional<decltype(read())> result;
  std::string message;
  const std::size_t before = live_memory();
  reset_peak();
  try {
    result = read();
  } catch (const spikenet::file_error& refusal) {
    message = refusal.what();
  }
  const std::size_t taken = peak_memory() - before;
  require(taken <= memory_allowed, "reading takes " + std::to_string(taken) + " bytes, where " +
                                       std::to_string(memory_allowed) + " are allowed");
  if (!result) {
    require(message.starts_with(input_name), "the message starts with the input's name: " + message);
    require(message.size() < 1100, "the message is short: it has " + std::to_string(message.size()) + " bytes");
    require(std::none_of(message.begin(), message.end(), [](char c) { return c >= 0 && c < ' '; }),
            "the message has no control characters: " + message);
  }
  return result;
}

// Changes `content`, which grows to `max_size` at most.
inline void mutate(bytes& content, std::size_t max_size) {
  const std::size_t size = std::min(content.size(), max_size);
  content.resize(max_size);
  content.resize(LLVMFuzzerMutate(content.data(), size, max_size));
}

}  // namespace fuzz
