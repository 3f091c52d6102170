// Stands in for libFuzzer in the ordinary tests, with any compiler: runs a target over its seeds and over random
// changes of them, the same in every run.
//
//   replay_X mutate N     the seeds, then N changed ones; an input that fails is left in the current directory
//   replay_X run FILE...  these inputs
//   replay_X write DIR    the seeds as files, for libFuzzer to start from
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz/fuzz.hpp"

namespace {

namespace fs = std::filesystem;

spikenet::random_stream random_numbers{spikenet::seed{1}};

std::uint32_t below(std::size_t bound) { return random_numbers.below(static_cast<std::uint32_t>(bound)); }

void write(const fs::path& path, const fuzz::bytes& content) {
  std::ofstream stream{path, std::ios::binary};
  stream.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  if (!stream.flush()) throw std::runtime_error(path.string() + ": cannot be written");
}

// In a block of its own size, so that a sanitizer sees a read beyond its end.
void run(const fuzz::bytes& input, const std::string& label) {
  const fuzz::bytes exact{input.begin(), input.end()};
  try {
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", label.c_str(), failure.what());
    write("failed-" + fs::path{label}.filename().string(), exact);
    std::exit(1);
  }
}

// Input i is a function of i alone.
void run_changed(std::uint64_t i, const std::vector<fuzz::bytes>& seeds) {
  constexpr std::size_t max_size = 2048;
  random_numbers = spikenet::random_stream{spikenet::seed{1}, i};
  fuzz::bytes input = seeds[below(seeds.size())];
  std::size_t size = input.size();
  input.resize(std::max(size, max_size));
  for (std::uint32_t changes = 1 + below(4); changes > 0; --changes)
    size = LLVMFuzzerCustomMutator(input.data(), size, input.size(), random_numbers());
  input.resize(size);
  run(input, "changed-" + std::to_string(i));
}

}  // namespace

// One of: a bit flipped, a byte set, bytes erased, repeated or inserted.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  constexpr std::uint8_t telling[]{0, 1, 0x7f, 0x80, 0xff, '0', '9', '"', '{', '}', '[', ']', ',', ':', '-', '\\'};
  fuzz::bytes content(data, data + size);
  const auto at = [&](std::size_t position) { return content.begin() + static_cast<std::ptrdiff_t>(position); };
  const auto some_byte = [&] {
    return below(2) == 0 ? telling[below(std::size(telling))] : static_cast<std::uint8_t>(random_numbers());
  };
  const std::size_t position = size > 0 ? below(size) : 0;
  const std::size_t length = size > 0 ? 1 + below(std::min<std::size_t>(size - position, 16)) : 0;
  switch (size > 0 ? below(5) : 4) {
    case 0:
      content[position] = static_cast<std::uint8_t>(content[position] ^ 1u << below(8));
      break;
    case 1:
      content[position] = some_byte();
      break;
    case 2:
      content.erase(at(position), at(position + length));
      break;
    case 3: {
      const fuzz::bytes part(at(position), at(position + length));
      content.insert(at(below(size + 1)), part.begin(), part.end());
      break;
    }
    default:
      content.insert(at(position), 1 + below(4), some_byte());
  }
  content.resize(std::min(content.size(), max_size));
  std::copy(content.begin(), content.end(), data);
  return content.size();
}

int main(int argc, char** argv) try {
  const std::string mode = argc > 2 ? argv[1] : "";
  const std::vector<fuzz::bytes> seeds = fuzz::seeds();
  if (mode == "mutate" && argc == 3) {
    for (std::size_t i = 0; i < seeds.size(); ++i) run(seeds[i], "seed-" + std::to_string(i));
    fuzz::require(fuzz::count.accepted > 0, "some seeds are accepted");
    for (std::uint64_t i = 0, n = std::stoull(argv[2]); i < n; ++i) run_changed(i, seeds);
  } else if (mode == "run") {
    for (int i = 2; i < argc; ++i) {
      std::ifstream stream{argv[i], std::ios::binary};
      if (!stream) throw std::runtime_error(std::string{argv[i]} + ": cannot be opened");
      run({std::istreambuf_iterator<char>{stream}, {}}, argv[i]);
    }
  } else if (mode == "write" && argc == 3) {
    fs::create_directories(argv[2]);
    for (std::size_t i = 0; i < seeds.size(); ++i) write(fs::path{argv[2]} / ("seed-" + std::to_string(i)), seeds[i]);
  } else {
    std::fprintf(stderr, "usage: %s mutate N | run FILE... | write DIR\n", argv[0]);
    return 2;
  }
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "%s: %s\n", argv[0], failure.what());
  return 1;
}
