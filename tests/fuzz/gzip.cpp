// Fuzz target: the IDX reader over gzip input. Changed bytes of a gzip file hardly ever get past its checksum, so that
// two changes out of three are made to the content, which is then compressed again.
#include <algorithm>

#include "fuzz/idx_reader.hpp"

std::vector<fuzz::bytes> fuzz::seeds() {
  const bytes counting{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const bytes small = encode_idx({2, 6}, counting);
  // More than the 64 KiB that the reader takes memory for at once, and not much more: it takes the longest to run.
  const bytes large = encode_idx({300, 220}, bytes(66'000, 1));

  bytes file_name{'a', '.', 'i', 'd', 'x', 0}, extra{'A', 'B', 2, 0, 1, 2};
  gz_header header{};
  header.name = header.comment = file_name.data();
  header.extra = extra.data();
  header.extra_len = static_cast<uInt>(extra.size());
  header.hcrc = 1;

  bytes two = gzip(std::span{small}.first(9), 9);
  const bytes second = gzip(std::span{small}.subspan(9), 0), empty = gzip({}, 9);
  two.insert(two.end(), second.begin(), second.end());
  bytes three = two, trailing = two;
  three.insert(three.end(), empty.begin(), empty.end());
  trailing.push_back(0);
  return {gzip(small, 0), gzip(small, 9), gzip(small, 1, &header), two, three, trailing, gzip(large, 9)};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::check_idx_reader({data, size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  const std::uint32_t members = random.below(3);
  const auto mutate_compressed = [&] {
    const std::size_t changed = LLVMFuzzerMutate(data, size, max_size);
    // Without these two bytes it would be an input for the other target.
    if (changed >= 2) data[0] = 0x1f, data[1] = 0x8b;
    return changed;
  };
  if (members == 0) return mutate_compressed();

  fuzz::bytes content = fuzz::inflate_all({data, size}).content;
  // Large content takes long, and its changes show little that those of small content do not.
  constexpr std::size_t usual = 4096;
  if (random.below(16) > 0) content.resize(std::min(content.size(), usual));
  fuzz::mutate_idx(content, std::max<std::size_t>(content.size(), 100) + 50, random);
  const std::size_t first =
      members == 1 ? content.size() : random.below(static_cast<std::uint32_t>(content.size() + 1));
  constexpr int levels[]{0, 1, 9};
  fuzz::bytes result = fuzz::gzip(std::span{content}.first(first), levels[random.below(3)]);
  if (members == 2) {
    const fuzz::bytes second = fuzz::gzip(std::span{content}.subspan(first), levels[random.below(3)]);
    result.insert(result.end(), second.begin(), second.end());
  }
  if (result.size() > max_size) return mutate_compressed();
  std::copy(result.begin(), result.end(), data);
  return result.size();
}
