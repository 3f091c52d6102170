// Convolutions of spikes kept as bits: x [items, H, W, B] of bytes with B = ceil(Cin / 8), where channel c of a pixel
// is bit c % 8 of its byte c / 8 and the bits beyond the last channel are 0. Everything else is as in convolution.hpp.
//
// Forward is look-up: 8 spikes have 256 combinations, so for each byte of channels and each tap of the window there is
// a table of what they may add to a block of output channels. A pixel then costs one load and one addition of a row for
// 8 input channels, whatever the firing rate; at the usual rates most look-ups hit a few hot rows. One cache line a row
// and as many bytes of channels at a time as have their tables in the second-level cache. Each byte of channels has
// maps of its own, so that neighbouring pixels read neighbouring bytes: once for all windows that share them.
//
// The gradient by the weights is sparse: each input channel's spikes become a list of positions in a zero-padded map of
// the output's gradient, and the sums of all taps stay in registers while the list runs by.
//
// Shapes are run-time numbers here but for what decides how many registers a kernel needs: the inner loops run over
// lists, which gain nothing from constants, and a network of many shapes compiles each kernel once.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "spikenet/backend/cpu/convolution.hpp"
#include "spikenet/backend/cpu/look_up.hpp"
#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/statistics.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/core/geometry.hpp"
#include "spikenet/core/spikes.hpp"

namespace spikenet::detail {

// Memory of the spike convolutions, kept from call to call.
template <class T>
struct spike_convolution_scratch {
  // forward
  buffer<T> weights;               // rows of the tables that belong to a single channel, and the biases
  buffer<T> tables;                // one slice for each worker
  buffer<T> sums;                  // sums over the slices so far, for each worker
  buffer<std::uint8_t> planes;     // padded maps of one byte of channels, for all items, one after another
  buffer<std::uint32_t> windows;   // where the first window of each row of outputs begins
  buffer<std::uint32_t> taps;      // where the byte of each table lies in a window
  buffer<merged_moments> moments;  // of the outputs of each chunk
  // gradient by the weights
  buffer<T> partial;             // one sum for each part of the items
  buffer<T> gradients;           // padded maps of the output's gradient, for each worker
  buffer<std::uint32_t> lists;   // positions of the spikes, for each worker
  buffer<std::uint32_t> counts;  // lengths of these lists
};

// One slice of a convolution by look-up.
template <class T>
struct look_up_slice {
  const std::uint8_t* plane;
  std::size_t stride;                   // from the window of one pixel to the next one's
  std::span<const std::uint32_t> taps;  // one for each table
  const T* tables;
  const T* from;  // what the sums start from: pixel p's row is from + p * from_step
  std::size_t from_step;
  T* to;
  std::size_t to_step, channels;
};

// to[p] = from[p] + sum over the tables t of tables[t][window[p * stride + taps[t]]] for `pixels` pixels of a row, at
// most Pixels at a time. Goes on to the pixels behind them.
template <class T, std::size_t Pixels, std::size_t Vectors, std::size_t Taps>
[[gnu::always_inline]] inline void look_up_row(look_up_slice<T>& slice, const std::uint8_t* window,
                                               std::size_t pixels) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>;
  const std::size_t step = Taps > 1 ? 1 : slice.stride;
  for (; pixels >= Pixels; pixels -= Pixels) {
    V sum[Pixels][Vectors];
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) sum[p][q] = load<V>(slice.from + p * slice.from_step + q * L);
    }
    add_look_ups<Taps, 8>(sum, window, step, slice.taps, slice.tables);
    store_tile(sum, slice.to, slice.to_step, slice.channels);
    window += Pixels * step;
    slice.from += Pixels * slice.from_step;
    slice.to += Pixels * slice.to_step;
  }
  if constexpr (Pixels > 1) look_up_row<T, Pixels / 2, Vectors, Taps>(slice, window, pixels);
}

template <class T, std::size_t Vectors, std::size_t Taps>
[[gnu::noinline]] void look_up(look_up_slice<T> slice, const std::uint32_t* windows, std::size_t rows,
                               std::size_t width) {
  for (std::size_t row = 0; row < rows; ++row)
    look_up_row<T, pixels_of_look_up<Vectors>, Vectors, Taps>(slice, slice.plane + windows[row], width);
}

// The 8 x 8 matrix of bits whose row i is byte i, transposed.
constexpr std::uint64_t transpose_bits(std::uint64_t m) {
  std::uint64_t t = (m ^ (m >> 7)) & 0x00AA00AA00AA00AAu;
  m ^= t ^ (t << 7);
  t = (m ^ (m >> 14)) & 0x0000CCCC0000CCCCu;
  m ^= t ^ (t << 14);
  t = (m ^ (m >> 28)) & 0x00000000F0F0F0F0u;
  return m ^ t ^ (t << 28);
}

// Byte i of the result is x[i * step], for i < count <= 8. Unrolled, since the lists of narrow layers are short work.
[[gnu::always_inline]] inline std::uint64_t gather_bytes(const std::uint8_t* x, std::size_t step, std::size_t count) {
  const auto byte = [=](std::size_t i) { return std::uint64_t{x[i * step]} << (8 * i); };
  switch (count) {
    case 8:
      return byte(0) | byte(1) | byte(2) | byte(3) | byte(4) | byte(5) | byte(6) | byte(7);
    case 7:
      return byte(0) | byte(1) | byte(2) | byte(3) | byte(4) | byte(5) | byte(6);
    case 6:
      return byte(0) | byte(1) | byte(2) | byte(3) | byte(4) | byte(5);
    case 4:
      return byte(0) | byte(1) | byte(2) | byte(3);
    default: {
      std::uint64_t bits = 0;
      for (std::size_t i = 0; i < count; ++i) bits |= byte(i);
      return bits;
    }
  }
}

// Appends to the list of each of 8 channels the positions first + i * Step of the pixels i that have a spike in it.
// bits: byte i is pixel i. A list takes up to 8 values beyond its end.
template <std::size_t Step>
[[gnu::always_inline]] inline void append_spikes(std::uint64_t bits, std::uint32_t first, std::uint32_t* lists,
                                                 std::size_t capacity, std::uint32_t* counts) {
  typedef std::uint32_t words __attribute__((vector_size(32)));
  bits = transpose_bits(bits);
  std::uint32_t length[8];
  std::memcpy(length, counts, sizeof length);
  SPIKENET_UNROLL
  for (std::size_t c = 0; c < 8; ++c) {
    const std::size_t mask = bits >> (8 * c) & 255;
    words at;  // eight words at any width of register, so not to be passed to a function
    std::memcpy(&at, positions_of_bits.at[mask].data(), sizeof at);
    at = at * static_cast<std::uint32_t>(Step) + first;
    std::memcpy(lists + c * capacity + length[c], &at, sizeof at);
    length[c] += positions_of_bits.count[mask];
  }
  std::memcpy(counts, length, sizeof length);
}

// sums[c][i] += sum over the spikes s of list c of gradient[offsets[i] + s], for Taps rows of Vectors vectors each.
template <class T, std::size_t Taps, std::size_t Vectors>
[[gnu::noinline]] void add_lists(std::size_t channels, const std::uint32_t* lists, std::size_t capacity,
                                 const std::uint32_t* counts, const T* gradient, const std::size_t* offsets, T* sums,
                                 std::size_t sums_step) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>;
  const T* rows[Taps];
  SPIKENET_UNROLL
  for (std::size_t i = 0; i < Taps; ++i) rows[i] = gradient + offsets[i];
  for (std::size_t c = 0; c < channels; ++c, lists += capacity, sums += sums_step) {
    V sum[Taps][Vectors];
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < Taps; ++i) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) sum[i][q] = load<V>(sums + (i * Vectors + q) * L);
    }
    for (const std::uint32_t *s = lists, *const end = lists + counts[c]; s != end; ++s) {
      const std::size_t at = *s;
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < Taps; ++i) {
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) sum[i][q] += load<V>(rows[i] + at + q * L);
      }
    }
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < Taps; ++i) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(sums + (i * Vectors + q) * L, sum[i][q]);
    }
  }
}

// sums += terms, of whole vectors.
template <class T>
[[gnu::noinline]] void add_vectors(T* sums, const T* terms, std::size_t size) {
  using V = simd<T>;
  for (std::size_t i = 0; i < size; i += lanes<T>) store(sums + i, load<V>(sums + i) + load<V>(terms + i));
}

template <class T, class G>
class spike_convolution {
  static constexpr std::size_t L = lanes<T>;
  static constexpr std::size_t taps = G::kernel * G::kernel;
  static constexpr std::size_t in_bytes = spike_bytes<G::in_channels>;
  using met = gradient_phases<G>;
  static constexpr std::size_t in_pixels = G::in_height * G::in_width;
  static constexpr std::size_t out_pixels = G::out_height * G::out_width;
  // A row of a table is a cache line, or as much of it as there are output channels.
  static constexpr std::size_t cache_line = 64;
  static constexpr std::size_t vectors =
      std::min(std::max<std::size_t>(1, cache_line / simd_bytes), ceil_div(G::group_out, L));
  static constexpr std::size_t block = vectors * L;
  static constexpr std::size_t forward_taps = shared_taps(G::kernel, G::stride, G::dilation);

  // Each group's channels fill bytes of their own in the padded maps.
  static constexpr std::size_t group_bytes = ceil_div(G::group_in, 8);
  static constexpr std::size_t bits_of(std::size_t byte) { return std::min<std::size_t>(8, G::group_in - byte * 8); }
  static std::uint8_t group_byte(const std::uint8_t* pixel, std::size_t group, std::size_t byte) {
    if constexpr (G::groups == 1) return pixel[byte];
    unsigned result = 0;
    for (std::size_t bit = 0; bit < bits_of(byte); ++bit) {
      const std::size_t c = group * G::group_in + byte * 8 + bit;
      result |= (pixel[c / 8] >> (c % 8) & 1u) << bit;
    }
    return static_cast<std::uint8_t>(result);
  }

 public:
  // Whether forward can tell the moments of its output.
  static constexpr bool tells_moments = G::groups == 1 && G::out_channels % block == 0;

  // y[n] = conv(x[n], weight) + bias for n = 0 ... items-1; bias may be null.
  // x [items, H, W, B] packed, weight [Cout, Cin/groups, K, K], bias [Cout], y [items, Ho, Wo, Cout]
  // mean, variance [Cout]: of y's channels, as channel_moments has them; or null
  static void forward(thread_pool& pool, spike_convolution_scratch<T>& scratch, std::size_t items,
                      const std::uint8_t* x, const T* weight, const T* bias, T* y, double* mean = nullptr,
                      double* variance = nullptr) {
    constexpr std::size_t blocks = ceil_div(G::group_out, block);
    constexpr std::size_t table_size = table_rows<8> * block;
    // A slice is as many bytes of channels as have their tables in this much memory.
    constexpr std::size_t slice_memory = 320 << 10;
    constexpr std::size_t most_bytes = std::max<std::size_t>(1, slice_memory / (taps * table_size * sizeof(T)));
    constexpr std::size_t slices = ceil_div(group_bytes, most_bytes);
    constexpr std::size_t slice_bytes = ceil_div(group_bytes, slices);
    constexpr std::size_t padded_width = G::in_width + 2 * G::padding;
    constexpr std::size_t padded_pixels = (G::in_height + 2 * G::padding) * padded_width;
    constexpr std::size_t weights_size = (1 + group_bytes * taps * 8) * block;  // of one block, the bias first

    // Each chunk of items builds the tables again, so it must be large enough for that not to matter; and small enough
    // for its sums to stay in the cache beside the tables.
    constexpr std::size_t chunk_pixels = 6144;
    const std::size_t chunks =
        std::clamp<std::size_t>(items * out_pixels / chunk_pixels, 1, std::max<std::size_t>(1, items));
    const std::size_t chunk_items = ceil_div(items, chunks);
    // The largest chunk of any number of items, which is not the largest number's: it must not take memory later on.
    constexpr std::size_t most_chunk_items = ceil_div(2 * chunk_pixels, out_pixels);

    T* const weights = scratch.weights.reserve(G::groups * blocks * weights_size);
    constexpr std::size_t beyond = 7;  // bytes that look-ups read
    std::uint8_t* const planes = scratch.planes.reserve(G::groups * group_bytes * items * padded_pixels + beyond);
    T* const tables = scratch.tables.reserve(pool.workers() * slice_bytes * taps * table_size);
    T* const sums = slices > 1 ? scratch.sums.reserve(pool.workers() * most_chunk_items * out_pixels * block) : nullptr;

    merged_moments* const moments = mean ? scratch.moments.reserve(chunks * G::out_channels) : nullptr;

    std::uint32_t* const windows = scratch.windows.reserve(most_chunk_items * G::out_height);
    for (std::size_t n = 0, i = 0; n < chunk_items; ++n) {
      for (std::size_t row = 0; row < G::out_height; ++row)
        windows[i++] = static_cast<std::uint32_t>(n * padded_pixels + row * G::stride * padded_width);
    }
    std::uint32_t* const tap_offsets = scratch.taps.reserve(slice_bytes * taps);
    for (std::size_t byte = 0; byte < slice_bytes; ++byte) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        tap_offsets[byte * taps + tap] = static_cast<std::uint32_t>(
            byte * items * padded_pixels + (tap / G::kernel * padded_width + tap % G::kernel) * G::dilation);
      }
    }

    constexpr std::size_t all_blocks = G::groups * blocks;
    pool.run(all_blocks + items, [&](std::size_t item, std::size_t) {
      if (item < all_blocks) {
        pack_weights(item / blocks, item % blocks * block, weight, bias, weights + item * weights_size);
        return;
      }
      const std::size_t n = item - all_blocks;
      for (std::size_t plane = 0; plane < G::groups * group_bytes; ++plane) {
        pad_plane(x + n * in_pixels * in_bytes, plane / group_bytes, plane % group_bytes,
                  planes + (plane * items + n) * padded_pixels);
      }
    });

    pool.run(all_blocks * chunks, [&](std::size_t item, std::size_t worker) {
      const std::size_t chunk = item / all_blocks, b = item % all_blocks, group = b / blocks;
      const std::size_t first = chunk * items / chunks, last = (chunk + 1) * items / chunks;
      const T* from = weights + b * weights_size;
      const T* row = from + block;
      std::size_t from_step = 0;
      T* const own_tables = tables + worker * slice_bytes * taps * table_size;
      T* const own_sums = slices > 1 ? sums + worker * chunk_items * out_pixels * block : nullptr;
      for (std::size_t slice = 0; slice < slices; ++slice) {
        const std::size_t begin = slice * slice_bytes, end = std::min(group_bytes, begin + slice_bytes);
        for (std::size_t byte = begin, table = 0; byte < end; ++byte) {
          for (std::size_t tap = 0; tap < taps; ++tap, row += 8 * block, ++table) {
            build_table<T, vectors>(row, block, bits_of(byte), own_tables + start_of_table<8>(table, forward_taps, block),
                                    forward_taps);
          }
        }
        look_up_slice<T> work{planes + ((group * group_bytes + begin) * items + first) * padded_pixels,
                              G::stride,
                              {tap_offsets, (end - begin) * taps},
                              own_tables,
                              from,
                              from_step,
                              own_sums,
                              block,
                              block};
        if (slice + 1 == slices) {
          const std::size_t out = b % blocks * block;
          work.to = y + first * G::out_size + group * G::group_out + out;
          work.to_step = G::out_channels;
          work.channels = std::min(block, G::group_out - out);
        }
        if (mean && slice + 1 == slices) {
          look_up_with_moments(work, windows, (last - first) * G::out_height,
                               moments + chunk * G::out_channels + b * block);
        } else {
          look_up<T, vectors, forward_taps>(work, windows, (last - first) * G::out_height, G::out_width);
        }
        from = own_sums;
        from_step = block;
      }
    });
    if (!mean) return;
    for (std::size_t c = 0; c < G::out_channels; ++c) {
      merged_moments all;
      for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        const merged_moments& part = moments[chunk * G::out_channels + c];
        all.add(part.count, part.mean, part.squares);
      }
      mean[c] = all.mean;
      variance[c] = all.variance();
    }
  }

  // gweight = the gradient by the weights, PyTorch's layout. x [items, H, W, B] packed, gy [items, Ho, Wo, Cout]
  static void backward_weight(thread_pool& pool, spike_convolution_scratch<T>& scratch, std::size_t items,
                              const std::uint8_t* x, const T* gy, T* gweight) {
    const weight_sums sums(pool, scratch, items);
    pool.run(sums.parts * ranges, [&](std::size_t item, std::size_t worker) {
      const std::size_t part = item / ranges, range = item % ranges;
      sums.clear(part, range);
      const std::size_t end = (part + 1) * items / sums.parts;
      for (std::size_t n = part * items / sums.parts; n < end; n += list_items) {
        sums.add(part, range, worker, std::min(list_items, end - n), x + n * in_pixels * in_bytes,
                 gy + n * G::out_size);
      }
    });
    sums.finish(pool, gweight);
  }

 private:
  static constexpr std::size_t most_taps = [] {
    std::size_t most = 1;
    for (const auto& p : met::all) most = std::max(most, p.count);
    return most;
  }();

  // One kernel keeps up to 9 taps of a phase in registers, of more vectors of output channels where there are fewer
  // taps.
  static constexpr std::size_t piece_taps = std::min<std::size_t>(9, most_taps);
  static constexpr std::size_t gradient_vectors = [] {
    constexpr std::size_t accumulators = simd_registers == 32 ? 18 : 9;
    std::size_t vectors = 1;
    while (vectors < 4 && 2 * vectors * piece_taps <= accumulators && vectors < ceil_div(G::group_out, L)) vectors *= 2;
    return vectors;
  }();
  static constexpr std::size_t gradient_block = gradient_vectors * L;
  static constexpr std::size_t gradient_blocks = ceil_div(G::group_out, gradient_block);
  static constexpr std::size_t map_size = met::rows * met::columns * gradient_block;

 public:
  // Lists run over as many items as keep one block of their gradient in the first-level cache.
  static constexpr std::size_t list_items = std::clamp<std::size_t>((26 << 10) / (map_size * sizeof(T)), 1, 32);
  // Every range of output channels makes the lists anew: wide enough for that not to matter.
  static constexpr std::size_t range_blocks = std::max<std::size_t>(1, 64 / gradient_block);
  static constexpr std::size_t ranges = ceil_div(G::groups * gradient_blocks, range_blocks);

  // The gradient by the weights in parts, for who walks over the items himself: one sum for each of some ranges of
  // items, which are added up at the end.
  class weight_sums {
    static constexpr std::size_t S = G::stride;
    static constexpr std::size_t row = gradient_block, blocks = gradient_blocks, all_blocks = G::groups * blocks;
    static constexpr std::size_t sums_size = G::group_in * taps * row;  // of one block
    static constexpr std::size_t lists_per_phase = in_bytes * 8;
    static constexpr std::size_t capacity = list_items * ceil_div(G::in_height, S) * ceil_div(G::in_width, S) + 8;
    static constexpr std::size_t lists_size = S * S * lists_per_phase * capacity, counts_size = S * S * lists_per_phase;
    static constexpr std::size_t gradients_size = range_blocks * list_items * map_size;

   public:
    // As many as keep many cores busy.
    const std::size_t parts;

    weight_sums(thread_pool& pool, spike_convolution_scratch<T>& scratch, std::size_t items)
        : parts{std::min(std::max<std::size_t>(1, 16 / ranges), std::max<std::size_t>(1, items))},
          partial_{scratch.partial.reserve(parts * all_blocks * sums_size)},
          gradients_{scratch.gradients.reserve(pool.workers() * gradients_size)},
          lists_{scratch.lists.reserve(pool.workers() * lists_size)},
          counts_{scratch.counts.reserve(pool.workers() * counts_size)} {}

    void clear(std::size_t part, std::size_t range) const {
      T* const sums = partial_ + part * all_blocks * sums_size;
      std::fill(sums + first_block(range) * sums_size, sums + last_block(range) * sums_size, T{});
    }

    // Adds `count` items to the sum of a part, of a range of output channels: at most list_items. x and gy are theirs.
    void add(std::size_t part, std::size_t range, std::size_t worker, std::size_t count, const std::uint8_t* x,
             const T* gy) const {
      T* const gradients = gradients_ + worker * gradients_size;
      std::uint32_t* const lists = lists_ + worker * lists_size;
      std::uint32_t* const counts = counts_ + worker * counts_size;
      T* const sums = partial_ + part * all_blocks * sums_size;
      list_spikes(count, x, lists, capacity, counts);
      for (std::size_t b = first_block(range); b < last_block(range); ++b) {
        T* const maps = gradients + (b - first_block(range)) * list_items * map_size;
        const std::size_t group = b / blocks, out = b % blocks * row;
        for (std::size_t i = 0; i < count; ++i) {
          pad_gradient(gy + i * G::out_size + group * G::group_out + out, std::min(row, G::group_out - out),
                       maps + i * map_size);
        }
        for (const gradient_piece& piece : gradient_pieces) {
          const std::size_t list = piece.phase * lists_per_phase + group * G::group_in;
          piece.add(G::group_in, lists + list * capacity, capacity, counts + list, maps, piece.offsets.data(),
                    sums + b * sums_size + piece.first * row, taps * row);
        }
      }
    }

    void finish(thread_pool& pool, T* gweight) const {
      pool.run(all_blocks, [&](std::size_t b, std::size_t) {
        const std::size_t group = b / blocks, first = b % blocks * row;
        T* const sums = partial_ + b * sums_size;
        for (std::size_t part = 1; part < parts; ++part)
          add_vectors<T>(sums, sums + part * all_blocks * sums_size, sums_size);
        for (std::size_t out = first; out < std::min(first + row, G::group_out); ++out) {
          const T* sum = sums + (out - first);
          for (std::size_t in = 0; in < G::group_in; ++in) {
            for (std::size_t i = 0; i < taps; ++i, sum += row)
              gweight[G::weight_at(group * G::group_out + out, in, tap_order[i])] = *sum;
          }
        }
      });
    }

   private:
    static constexpr std::size_t first_block(std::size_t range) { return range * range_blocks; }
    static constexpr std::size_t last_block(std::size_t range) {
      return std::min(all_blocks, (range + 1) * range_blocks);
    }

    T *partial_, *gradients_;
    std::uint32_t *lists_, *counts_;
  };

 private:
  // A pass of look-ups that ends in y, a few rows of pixels at a time, whose moments are taken while they are in the
  // first-level cache.
  static void look_up_with_moments(look_up_slice<T> work, const std::uint32_t* windows, std::size_t rows,
                                   merged_moments* moments) {
    constexpr std::size_t few = std::max<std::size_t>(1, 128 / G::out_width);
    T means[block], squares[block];
    std::fill_n(moments, block, merged_moments{});
    for (std::size_t row = 0; row < rows; row += few) {
      const std::size_t count = std::min(few, rows - row), pixels = count * G::out_width;
      look_up<T, vectors, forward_taps>(work, windows + row, count, G::out_width);
      moments_of_rows<blocks_of_channels<T, block>>(block, 0, pixels, work.to, work.to_step, means, squares);
      for (std::size_t c = 0; c < block; ++c) {
        moments[c].add(static_cast<double>(pixels), static_cast<double>(means[c]), static_cast<double>(squares[c]));
      }
      work.from += pixels * work.from_step;
      work.to += pixels * work.to_step;
    }
  }

  // packed: the bias, then for each byte of the group's channels and each tap 8 rows of weights, one for each bit.
  static void pack_weights(std::size_t group, std::size_t first, const T* weight, const T* bias, T* packed) {
    const std::size_t channels = std::min(block, G::group_out - first);
    std::fill_n(packed, (1 + group_bytes * taps * 8) * block, T{});
    for (std::size_t j = 0; j < channels; ++j) {
      const std::size_t out = group * G::group_out + first + j;
      if (bias) packed[j] = bias[out];
      const T* w = weight + G::weight_at(out, 0, 0);
      for (std::size_t in = 0; in < G::group_in; ++in) {
        T* to = packed + (1 + in / 8 * taps * 8 + in % 8) * block + j;
        for (std::size_t tap = 0; tap < taps; ++tap) to[tap * 8 * block] = *w++;
      }
    }
  }

  // A byte of a group's channels, with zeros around the map.
  static void pad_plane(const std::uint8_t* map, std::size_t group, std::size_t byte, std::uint8_t* plane) {
    constexpr std::size_t P = G::padding, row = G::in_width + 2 * P;
    plane = std::fill_n(plane, P * row, std::uint8_t{});
    for (std::size_t i = 0; i < G::in_height; ++i) {
      plane = std::fill_n(plane, P, std::uint8_t{});
      for (std::size_t j = 0; j < G::in_width; ++j, map += in_bytes) *plane++ = group_byte(map, group, byte);
      plane = std::fill_n(plane, P, std::uint8_t{});
    }
    std::fill_n(plane, P * row, std::uint8_t{});
  }

  struct gradient_piece {
    decltype(&add_lists<T, 1, 1>) add = nullptr;
    std::size_t phase = 0, first = 0, count = 0;
    std::array<std::size_t, piece_taps> offsets{};
  };
  static constexpr std::size_t piece_count = [] {
    std::size_t count = 0;
    for (const auto& p : met::all) count += ceil_div(p.count, piece_taps);
    return count;
  }();
  static constexpr auto bare_pieces = [] {
    std::array<gradient_piece, piece_count> all{};
    std::size_t piece = 0, first = 0;
    for (std::size_t i = 0; i < met::all.size(); ++i) {
      for (std::size_t tap = 0; tap < met::all[i].count; tap += piece_taps, ++piece) {
        gradient_piece& p = all[piece];
        p.phase = i;
        p.first = first;
        p.count = std::min(piece_taps, met::all[i].count - tap);
        for (std::size_t j = 0; j < p.count; ++j) p.offsets[j] = met::all[i].pixel[tap + j] * gradient_block;
        first += p.count;
      }
    }
    return all;
  }();
  static constexpr auto gradient_pieces = []<std::size_t... Piece>(std::index_sequence<Piece...>) {
    auto all = bare_pieces;
    ((all[Piece].add = &add_lists<T, bare_pieces[Piece].count, gradient_vectors>), ...);
    return all;
  }
  (std::make_index_sequence<piece_count>{});
  // The taps in the order of their sums: phase after phase. A tap that no pixel reaches comes last, its sum stays 0.
  static constexpr auto tap_order = [] {
    std::array<std::size_t, taps> order{};
    std::array<bool, taps> known{};
    std::size_t count = 0;
    for (const auto& p : met::all) {
      for (std::size_t j = 0; j < p.count; ++j) known[order[count++] = p.tap[j]] = true;
    }
    for (std::size_t tap = 0; tap < taps; ++tap) {
      if (!known[tap]) order[count++] = tap;
    }
    return order;
  }();

  // lists[phase][channel]: the spikes of x [items, H, W, B] as positions in padded maps of gradient_block channels.
  static void list_spikes(std::size_t items, const std::uint8_t* x, std::uint32_t* lists, std::size_t capacity,
                          std::uint32_t* counts) {
    constexpr std::size_t S = G::stride, map_pixels = met::rows * met::columns;
    std::fill_n(counts, S * S * in_bytes * 8, std::uint32_t{});
    for (std::size_t n = 0; n < items; ++n) {
      for (std::size_t row = 0; row < G::in_height; ++row) {
        for (std::size_t px = 0; px < std::min(S, G::in_width); ++px) {
          const std::size_t i = row % S * S + px, first_list = i * in_bytes * 8;
          if (met::all[i].count == 0) continue;
          const std::size_t columns = ceil_div(G::in_width - px, S);
          for (std::size_t column = 0; column < columns; column += 8) {
            const std::uint8_t* pixel = x + ((n * G::in_height + row) * G::in_width + px + column * S) * in_bytes;
            const std::size_t pixels = std::min<std::size_t>(8, columns - column);
            const auto at =
                static_cast<std::uint32_t>((n * map_pixels + row / S * met::columns + column) * gradient_block);
            for (std::size_t byte = 0; byte < in_bytes; ++byte) {
              const std::uint64_t bits = gather_bytes(pixel + byte, S * in_bytes, pixels);
              const std::size_t list = first_list + byte * 8;
              append_spikes<gradient_block>(bits, at, lists + list * capacity, capacity, counts + list);
            }
          }
        }
      }
    }
  }

  // gy: the first of `channels` output channels of one item. map [met::rows, met::columns, gradient_block]
  static void pad_gradient(const T* gy, std::size_t channels, T* map) {
    constexpr std::size_t row_size = met::columns * gradient_block, low = met::low;
    map = std::fill_n(map, low * row_size, T{});
    for (std::size_t row = 0; row < G::out_height; ++row, gy += G::out_width * G::out_channels) {
      map = std::fill_n(map, low * gradient_block, T{});
      if (channels == gradient_block) {
        for (std::size_t column = 0; column < G::out_width; ++column, map += gradient_block)
          std::memcpy(map, gy + column * G::out_channels, gradient_block * sizeof(T));
      } else {
        for (std::size_t column = 0; column < G::out_width; ++column)
          map = std::fill_n(std::copy_n(gy + column * G::out_channels, channels, map), gradient_block - channels, T{});
      }
      map = std::fill_n(map, (met::columns - low - G::out_width) * gradient_block, T{});
    }
    std::fill_n(map, (met::rows - low - G::out_height) * row_size, T{});
  }
};

}  // namespace spikenet::detail
