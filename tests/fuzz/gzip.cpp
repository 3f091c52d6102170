// Fuzz target: the IDX reader over gzip input. Changed bytes of a gzip file hardly ever get past its checksum, so that
// two changes out of three are made to the content, which is then compressed again.
#include <algorithm>

#include "fuzz/idx_reader.hpp"

std::vector<fuzz::bytes> fuzz::seeds() {
  const bytes counting{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const bytes small = encode_idx({2, 6}, counting);
  // More than the reader takes memory for at once.
  const bytes large = encode_idx({500, 600}, bytes(300'000, 1));

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
  if (const std::span input{data, size}; fuzz::is_gzip(input)) fuzz::check_idx_reader(input);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  spikenet::random_stream random{spikenet::seed{seed}};
  const std::uint32_t members = random.below(3);
  if (members == 0) return LLVMFuzzerMutate(data, size, max_size);

  fuzz::bytes content = fuzz::inflate_all({data, size}).content;
  fuzz::mutate_idx(content, std::max<std::size_t>(content.size(), 100) + 50, random);
  const std::size_t first =
      members == 1 ? content.size() : random.below(static_cast<std::uint32_t>(content.size() + 1));
  constexpr int levels[]{0, 1, 9};
  fuzz::bytes result = fuzz::gzip(std::span{content}.first(first), levels[random.below(3)]);
  if (members == 2) {
    const fuzz::bytes second = fuzz::gzip(std::span{content}.subspan(first), levels[random.below(3)]);
    result.insert(result.end(), second.begin(), second.end());
  }
  if (result.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(result.begin(), result.end(), data);
  return result.size();
}
