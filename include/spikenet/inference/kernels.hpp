// What runs the stages of a plan. Three ways to add up the weights that spikes select:
//
//   events  each spike of a map is added to the sums of all windows that it is in; those of a few rows are in memory.
//           For convolutions without gaps, and where a store takes a vector: by single numbers, rows take fewer
//   rows    the spikes of a window become a list, and the rows of weights on it are added
//   tables  look-up, as in training (backend/cpu/look_up.hpp): faster where many pixels share the tables, of many
//           images or of a large map. For maps of middle size there are smaller ones, for half a byte of spikes each
//
// Each computes a neuron's sums of all timesteps before it walks through them, so that membranes are in memory only
// where they must outlive the call.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "spikenet/backend/cpu/look_up.hpp"
#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/inference/number.hpp"
#include "spikenet/inference/plan.hpp"
#include "spikenet/neuron/dynamics.hpp"

// clang warns where it does not unroll a loop as it is asked to: at -O1, or under a sanitizer.
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

namespace spikenet::detail {

// A planned_term at work. All distances are in bytes.
template <class Number>
struct term_view {
  bool spikes = false, diagonal = false;
  const std::byte* source = nullptr;  // window of the first output pixel
  std::size_t step = 0, image = 0;    // from one timestep and image to the next; step is 0 where all share one value
  std::size_t row = 0, column = 0;    // from the window of one output pixel to that below it, and beside it
  std::size_t stride = 1;             // the same in pixels
  // A window consists of runs of neighbouring elements.
  std::size_t runs_down = 1, runs_across = 1, down = 0, across = 0;
  std::size_t run = 0;  // elements
  // And of taps, so many in a row, each of `pixel` elements.
  std::size_t taps = 1, along = 0, pixel = 0;
  const typename arithmetic<Number>::weight* weights = nullptr;  // [window, row_size]
  const typename arithmetic<Number>::sum* units = nullptr;       // [row_size], where diagonal
};

// A planned_stage at work.
template <class Number>
struct stage_view {
  std::array<term_view<Number>, most_terms> terms{};
  std::size_t count = 0;
  std::size_t channels = 0, row_size = 0, height = 0, width = 0;
  std::size_t first_channel = 0, last_channel = 0;  // of the row, those that are computed
  bool neurons = false, changes = false;
  std::size_t images = 0, steps = 0;
  const typename arithmetic<Number>::sum* biases = nullptr;
  typename arithmetic<Number>::neurons constants{};
  typename arithmetic<Number>::sum* membranes = nullptr;  // [pixels, channels] of one image; null: they start at 0
  std::byte* target = nullptr;                            // first pixel
  std::size_t target_step = 0, target_image = 0, target_row = 0, target_pixel = 0;
};

// Of a stage, the rows first ... last-1 of what it makes.
template <class Number>
stage_view<Number> rows_of(stage_view<Number> s, std::size_t first, std::size_t last) {
  for (std::size_t i = 0; i < s.count; ++i) s.terms[i].source += first * s.terms[i].row;
  if (s.membranes) s.membranes += first * s.width * s.channels;
  s.target += first * s.target_row;
  s.height = last - first;
  return s;
}

// Of a stage, some of the channels that it makes: from a multiple of 8 on, up to one or to the end of a row.
template <class Number>
stage_view<Number> channels_of(stage_view<Number> s, std::size_t first, std::size_t last) {
  s.first_channel = first;
  s.last_channel = last;
  return s;
}

// The first `count` lanes of neighbouring vectors, count being all or, at the end of a row, less.
template <class T, class V, std::size_t Vectors>
[[gnu::always_inline]] inline void store_lanes(const V (&values)[Vectors], T* to, std::size_t count) noexcept {
  if (count == Vectors * lanes<T>) {
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) store(to + q * lanes<T>, values[q]);
  } else {
    V copy[Vectors];  // values must not have an address
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) copy[q] = values[q];
    std::memcpy(to, copy, count * sizeof(T));
  }
}

// Which of Vectors vectors of channels, from `channel` on, fire.
template <class Number, class Reset, class V, std::size_t Vectors>
[[gnu::always_inline]] inline std::uint64_t fire(const V (&sum)[Vectors], V (&membrane)[Vectors],
                                                 const typename arithmetic<Number>::neurons& k, std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  constexpr std::size_t L = lanes<T>;
  const auto spikes = [&](std::size_t q) SPIKENET_INLINE {
    return arithmetic<Number>::template fire<Reset>(sum[q], membrane[q], k, channel + q * L);
  };
  if constexpr (Vectors == 1) return nonzero_lanes<T>(spikes(0));
  std::uint64_t bits = 0;
  SPIKENET_UNROLL
  for (std::size_t q = 0; q + 1 < Vectors; q += 2) {
    const V first = spikes(q), second = spikes(q + 1);
    bits |= std::uint64_t{nonzero_lanes_of_two<T>(first, second)} << (q * L);
  }
  return bits;
}

// The first `count` of `bits`, as bytes.
[[gnu::always_inline]] inline void store_bits(std::uint64_t bits, std::byte* to, std::size_t count) {
  SPIKENET_UNROLL
  for (std::size_t i = 0; i < (count + 7) / 8; ++i) to[i] = static_cast<std::byte>(bits >> (8 * i) & 0xff);
}

// The inverse: `Bytes` bytes as bits.
template <std::size_t Bytes>
[[gnu::always_inline]] inline std::uint64_t load_bits(const std::byte* from) {
  if constexpr (std::endian::native == std::endian::little && Bytes == 2) return load<std::uint16_t>(from);
  if constexpr (std::endian::native == std::endian::little && Bytes == 4) return load<std::uint32_t>(from);
  if constexpr (std::endian::native == std::endian::little && Bytes == 8) return load<std::uint64_t>(from);
  std::uint64_t bits = 0;
  SPIKENET_UNROLL
  for (std::size_t i = 0; i < Bytes; ++i) bits |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  return bits;
}

// Spikes or values of Vectors vectors of channels, from `channel` on, of the pixel at `to` and those beside it.
template <class Number, class Reset, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void emit(const stage_view<Number>& s, const V (&sum)[Pixels][Vectors],
                                        V (&membrane)[Pixels][Vectors], std::size_t channel, std::byte* to) {
  using number = arithmetic<Number>;
  using T = typename number::sum;
  constexpr std::size_t L = lanes<T>, block = Vectors * L;
  static_assert(block % 8 == 0 && block <= 64);
  const std::size_t left = s.channels - channel, pixel = s.target_pixel;
  const auto constants = s.constants;  // for all that the compiler knows, what is stored may be those of s
  if (s.neurons && left >= block) {
    std::byte* at = to + channel / 8;
    std::size_t p = 0;
    if constexpr (Vectors == 1) {
      SPIKENET_UNROLL
      for (; p + 1 < Pixels; p += 2, at += 2 * pixel) {
        const V first = number::template fire<Reset>(sum[p][0], membrane[p][0], constants, channel);
        const V second = number::template fire<Reset>(sum[p + 1][0], membrane[p + 1][0], constants, channel);
        const std::uint64_t bits = nonzero_lanes_of_two<T>(first, second);
        store_bits(bits, at, block);
        store_bits(bits >> L, at + pixel, block);
      }
    }
    SPIKENET_UNROLL
    for (; p < Pixels; ++p, at += pixel)
      store_bits(fire<Number, Reset>(sum[p], membrane[p], constants, channel), at, block);
  } else if (s.neurons) {
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      const std::uint64_t bits = fire<Number, Reset>(sum[p], membrane[p], constants, channel);
      store_bits(bits & ((std::uint64_t{1} << left) - 1), to + p * pixel + channel / 8, left);
    }
  } else {
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p)
      store_lanes(sum[p], reinterpret_cast<typename number::value*>(to + p * pixel) + channel, std::min(block, left));
  }
}

// sum += each channel of a pixel times its unit.
template <class Number, class V, std::size_t Vectors>
[[gnu::always_inline]] inline void add_diagonal(V (&sum)[Vectors], const term_view<Number>& term,
                                                const std::byte* pixel, std::size_t channel,
                                                const typename arithmetic<Number>::neurons& k) {
  using number = arithmetic<Number>;
  using T = typename number::sum;
  constexpr std::size_t L = lanes<T>;
  if (term.spikes) {
    const std::uint64_t bits = load_bits<Vectors * L / 8>(pixel + channel / 8);
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q)
      sum[q] += lanes_from<T, V>(static_cast<unsigned>(bits >> (q * L))) * load<V>(term.units + channel + q * L);
  } else {
    const T* const values = reinterpret_cast<const T*>(pixel) + channel;
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q)
      number::add_products(sum[q], load<V>(values + q * L), load<V>(term.units + channel + q * L), k);
  }
}

// The numbers of a window's elements that are spikes, in order, behind those already on the list. A list takes up to 8
// values beyond its end.
inline std::size_t list_spikes(const std::uint8_t* bytes, std::size_t size, std::uint32_t first, std::uint32_t* list,
                               std::size_t count) {
  for (std::size_t i = 0; i < size; ++i, first += 8) {
    if constexpr (has_simd) {  // no branch for the processor to guess
      typedef std::uint32_t words __attribute__((vector_size(32)));
      words at;
      std::memcpy(&at, positions_of_bits.at[bytes[i]].data(), sizeof at);
      at += first;
      std::memcpy(list + count, &at, sizeof at);
      count += positions_of_bits.count[bytes[i]];
    } else {
      for (unsigned rest = bytes[i]; rest != 0; rest &= rest - 1)
        list[count++] = first + static_cast<std::uint32_t>(std::countr_zero(rest));
    }
  }
  return count;
}

// Where the membranes are that belong to vectors of channels from `channel` on, of neighbouring pixels; only so many of
// the channels are in memory. Where none are, the membranes start at 0 and are forgotten.
template <class T>
struct kept_membranes {
  T* at;  // or null
  std::size_t pixel, count;

  template <class V, std::size_t Pixels, std::size_t Vectors>
  [[gnu::always_inline]] void load_into(V (&membrane)[Pixels][Vectors]) const noexcept {
    if (!at) {
      SPIKENET_UNROLL
      for (std::size_t p = 0; p < Pixels; ++p) {
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) membrane[p][q] = V{};
      }
      return;
    }
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      V start[Vectors]{};  // membrane must not have an address
      std::memcpy(start, at + p * pixel, count * sizeof(T));
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) membrane[p][q] = start[q];
    }
  }

  template <class V, std::size_t Pixels, std::size_t Vectors>
  [[gnu::always_inline]] void store_from(const V (&membrane)[Pixels][Vectors]) const noexcept {
    if (!at) return;
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) store_lanes(membrane[p], at + p * pixel, count);
  }
};

template <class Number>
kept_membranes<typename arithmetic<Number>::sum> membranes_of(const stage_view<Number>& s, std::size_t row,
                                                              std::size_t column, std::size_t channel,
                                                              std::size_t block, bool wanted = true) noexcept {
  return {wanted && s.membranes ? s.membranes + (row * s.width + column) * s.channels + channel : nullptr, s.channels,
          std::min(block, s.channels - channel)};
}

// sum += the rows of weights that the spikes of a window select.
template <class Number, class V, std::size_t Vectors>
[[gnu::always_inline]] inline void add_rows(V (&sum)[Vectors], const term_view<Number>& term, const std::byte* window,
                                            std::size_t row_size, std::size_t channel, std::uint32_t* list) {
  using T = typename arithmetic<Number>::sum;
  std::size_t count = 0;
  std::uint32_t first = 0;
  for (std::size_t y = 0; y < term.runs_down; ++y) {
    for (std::size_t x = 0; x < term.runs_across; ++x, first += static_cast<std::uint32_t>(8 * term.run))
      count = list_spikes(reinterpret_cast<const std::uint8_t*>(window + y * term.down + x * term.across), term.run,
                          first, list, count);
  }
  const auto* const weights = term.weights + channel;
  const auto add = [&](V(&to)[Vectors], std::size_t i) SPIKENET_INLINE {
    const auto* const row = weights + list[i] * row_size;
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) to[q] += load_as<V>(row + q * lanes<T>);
  };
  std::size_t i = 0;
  if constexpr (Vectors < 4) {  // as many independent sums as hide the latency of an addition
    V other[Vectors]{};
    for (; i + 2 <= count; i += 2) {
      add(sum, i);
      add(other, i + 1);
    }
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) sum[q] += other[q];
  }
  for (; i < count; ++i) add(sum, i);
}

// sums[p] += the window of real values of pixel p times the weights.
template <class Number, class V, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void add_products(V (&sum)[Pixels][Vectors], const term_view<Number>& term,
                                                const std::byte* window, std::size_t row_size, std::size_t channel) {
  using number = arithmetic<Number>;
  using value = typename number::value;
  using wide = typename number::wide;
  constexpr std::size_t L = sizeof(V) / sizeof(wide);
  constexpr bool pairs = sizeof(value) == 2 && has_pair_products;
  constexpr std::size_t at_once = pairs ? 2 : 1;  // elements
  const auto* row = term.weights + channel;
  for (std::size_t y = 0; y < term.runs_down; ++y) {
    for (std::size_t x = 0; x < term.runs_across; ++x) {
      const std::byte* const run = window + y * term.down + x * term.across;
      for (std::size_t i = 0; i < term.run; i += at_once) {
        V weights[Vectors];
        const bool two = i + 1 < term.run;
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) {
          weights[q] = load_as<V>(row + q * L);
          if constexpr (pairs) {
            weights[q] &= 0xffff;
            if (two) weights[q] |= load_as<V>(row + row_size + q * L) << 16;
          }
        }
        row += pairs && two ? 2 * row_size : row_size;
        SPIKENET_UNROLL
        for (std::size_t p = 0; p < Pixels; ++p) {
          const std::byte* const from = run + p * term.column + i * sizeof(value);
          SPIKENET_UNROLL
          for (std::size_t q = 0; q < Vectors; ++q) {
            if constexpr (pairs)  // what lies behind a last one is multiplied by 0
              sum[p][q] += pair_products(weights[q], V{} + load<wide>(from));
            else
              sum[p][q] += weights[q] * static_cast<wide>(load<value>(from));
          }
        }
      }
    }
  }
}

// Vectors vectors of channels of Pixels neighbouring pixels, over all timesteps. Spikes are listed pixel by pixel, so
// only what has real sources gains from more than one.
template <class Number, class Reset, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void rows_tile(const stage_view<Number>& s, std::uint32_t* list, std::size_t image,
                                             std::size_t row, std::size_t column, std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, block = Vectors * L;
  V sum[Pixels][Vectors]{}, membrane[Pixels][Vectors];
  const auto kept = membranes_of(s, row, column, channel, block);
  kept.load_into(membrane);
  std::byte* const to = s.target + image * s.target_image + row * s.target_row + column * s.target_pixel;
  for (std::size_t t = 0; t < s.steps; ++t) {
    if (t == 0 || s.changes) {
      SPIKENET_UNROLL
      for (std::size_t p = 0; p < Pixels; ++p) {
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) sum[p][q] = load<V>(s.biases + channel + q * L);
      }
      for (std::size_t i = 0; i < s.count; ++i) {
        const term_view<Number>& term = s.terms[i];
        const std::byte* const window =
            term.source + image * term.image + t * term.step + row * term.row + column * term.column;
        if (!term.diagonal && !term.spikes) {
          if constexpr (std::same_as<T, typename arithmetic<Number>::wide>) {
            add_products<Number>(sum, term, window, s.row_size, channel);
          } else {
            using W = simd<typename arithmetic<Number>::wide>;
            constexpr std::size_t times = sizeof(typename arithmetic<Number>::wide) / sizeof(T);
            W wide[Pixels][times * Vectors]{};
            add_products<Number>(wide, term, window, s.row_size, channel);
            SPIKENET_UNROLL
            for (std::size_t p = 0; p < Pixels; ++p) {
              SPIKENET_UNROLL
              for (std::size_t q = 0; q < Vectors; ++q)
                sum[p][q] += arithmetic<Number>::template narrow<V>(wide[p] + times * q, s.constants);
            }
          }
          continue;
        }
        SPIKENET_UNROLL
        for (std::size_t p = 0; p < Pixels; ++p) {
          if (term.diagonal)
            add_diagonal<Number>(sum[p], term, window + p * term.column, channel, s.constants);
          else
            add_rows<Number>(sum[p], term, window + p * term.column, s.row_size, channel, list);
        }
      }
    }
    emit<Number, Reset>(s, sum, membrane, channel, to + t * s.target_step);
  }
  kept.store_from(membrane);
}

template <class Number, class Reset, std::size_t Pixels, std::size_t Vectors>
[[gnu::noinline]] void run_rows(const stage_view<Number>& s, std::uint32_t* list, std::size_t channel) {
  for (std::size_t image = 0; image < s.images; ++image) {
    for (std::size_t row = 0; row < s.height; ++row) {
      std::size_t column = 0;
      for (; column + Pixels <= s.width; column += Pixels)
        rows_tile<Number, Reset, Pixels, Vectors>(s, list, image, row, column, channel);
      if constexpr (Pixels > 1) {
        for (; column < s.width; ++column) rows_tile<Number, Reset, 1, Vectors>(s, list, image, row, column, channel);
      }
    }
  }
}

// f.template operator()<Vectors>(channel) for blocks that cover the channels of a stage: wide ones, and at the end one as
// wide as needed.
template <class T, std::size_t Most, class Number, class F>
void for_blocks(const stage_view<Number>& s, F&& f) {
  constexpr std::size_t least = std::max<std::size_t>(1, 8 / lanes<T>);
  const auto rest = [&]<std::size_t Vectors>(const auto& self, std::size_t channel) {
    if constexpr (Vectors > least) {
      if (s.last_channel - channel <= Vectors / 2 * lanes<T>) {
        self.template operator()<Vectors / 2>(self, channel);
        return;
      }
    }
    f.template operator()<Vectors>(channel);
  };
  for (std::size_t channel = s.first_channel; channel < s.last_channel; channel += Most * lanes<T>)
    rest.template operator()<Most>(rest, channel);
}

// At most so many vectors of channels at a time. Without registers for vectors, large tiles are but more code.
template <class T>
inline constexpr std::size_t vectors_of_rows = std::max(std::max<std::size_t>(1, 8 / lanes<T>),
                                                        std::min<std::size_t>(has_simd ? 8 : 2, 64 / lanes<T>));

// The widest of the blocks of at most so many vectors, in channels.
template <class T>
constexpr std::size_t widest_block(std::size_t row_size, std::size_t vectors) {
  return std::min(vectors * lanes<T>,
                  std::max<std::size_t>(8, lanes<T> * std::bit_ceil((row_size + lanes<T> - 1) / lanes<T>)));
}

template <class Number, class Reset>
void run_stage_by_rows(const stage_view<Number>& s, std::uint32_t* list) {
  using T = typename arithmetic<Number>::sum;
  bool only_products = s.width >= 4;
  for (std::size_t i = 0; i < s.count; ++i)
    only_products = only_products && (s.terms[i].diagonal || !s.terms[i].spikes);
  constexpr std::size_t least = std::max<std::size_t>(1, 8 / lanes<T>), most = 64 / lanes<T>;
  constexpr std::size_t pixels = has_simd ? 4 : 1;
  constexpr std::size_t of_products = has_simd ? 2 : 1;
  if (only_products) {
    for_blocks<T, std::max(least, std::min(of_products, most))>(
        s,
        [&]<std::size_t Vectors>(std::size_t channel) { run_rows<Number, Reset, pixels, Vectors>(s, list, channel); });
  } else {
    for_blocks<T, vectors_of_rows<T>>(s, [&]<std::size_t Vectors>(std::size_t channel) {
      run_rows<Number, Reset, 1, Vectors>(s, list, channel);
    });
  }
}

// How run_stage_by_events goes about a stage: sums of `rows` rows of outputs are in memory, of each row `margin` pixels
// more at either end, so that a spike need not ask whether all of its windows are there.
struct event_extents {
  bool possible = has_simd;
  std::size_t rows = 1, margin = 0;
  std::size_t list = 0;  // spikes of one row of inputs

  // One term after the other. width: of the outputs; pixel: bytes of spikes of an input's.
  constexpr void add(std::size_t kernel_height, std::size_t kernel_width, std::size_t stride, std::size_t dilation,
                     std::size_t width, std::size_t pixel) {
    possible = possible && dilation == 1 && kernel_height <= most_rows;
    rows = std::max(rows, (kernel_height - 1) / stride + 1);
    margin = std::max(margin, (kernel_width - 1) / stride);
    list = std::max(list, ((width - 1) * stride + kernel_width) * 8 * pixel);
  }

  static constexpr std::size_t most_rows = 8;  // of a kernel
};

// What the spikes of one row of inputs are added to: the row of sums and the weights of each tap that meets one.
template <class Number>
struct event_targets {
  std::array<typename arithmetic<Number>::sum*, event_extents::most_rows> sums;
  std::array<const typename arithmetic<Number>::weight*, event_extents::most_rows> weights;
  std::size_t count = 0;
};

// Of targets `target` and after, and of their taps `tap` and after: adds the weights of Rows times Taps taps of each
// spike. A spike is 2^16 times its pixel, plus its channel; a row's tap adds to that pixel of sums, the next tap, whose
// weights lie `along` behind, to the pixel before it.
template <class Number, std::size_t Rows, std::size_t Taps, std::size_t Vectors>
[[gnu::noinline]] void add_events(const event_targets<Number>& targets, std::size_t target, std::size_t tap,
                                  std::size_t along, std::size_t row_size, const std::uint32_t* list,
                                  std::size_t count) {
  using T = typename arithmetic<Number>::sum;
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, block = Vectors * L;
  T* sums[Rows];  // in registers
  const typename arithmetic<Number>::weight* weights[Rows];
  for (std::size_t k = 0; k < Rows; ++k) {
    sums[k] = targets.sums[target + k] - tap * block;
    weights[k] = targets.weights[target + k] + tap * along;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t pixel = (list[i] >> 16) * block, row = (list[i] & 0xffff) * row_size;
    SPIKENET_UNROLL
    for (std::size_t k = 0; k < Rows; ++k) {
      SPIKENET_UNROLL
      for (std::size_t t = 0; t < Taps; ++t) {
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) {
          T* const at = sums[k] + pixel + q * L - t * block;
          store(at, load<V>(at) + load_as<V>(weights[k] + row + t * along + q * L));
        }
      }
    }
  }
}

// The same for all targets and taps, as many of both at a time as there are registers for.
template <class Number, std::size_t Vectors>
void add_events(const event_targets<Number>& targets, std::size_t taps, std::size_t along, std::size_t row_size,
                const std::uint32_t* list, std::size_t count) {
  const auto add_taps = [&]<std::size_t Taps>(std::size_t tap) {
    std::size_t k = 0;
    for (; k + Taps <= targets.count; k += Taps)
      add_events<Number, Taps, Taps, Vectors>(targets, k, tap, along, row_size, list, count);
    if constexpr (Taps > 1) {
      for (; k < targets.count; ++k)
        add_events<Number, 1, Taps, Vectors>(targets, k, tap, along, row_size, list, count);
    }
  };
  std::size_t tap = 0;
  for (; tap + 3 <= taps; tap += 3) add_taps.template operator()<3>(tap);
  if (tap + 2 == taps) add_taps.template operator()<2>(tap);
  if (tap + 1 == taps) add_taps.template operator()<1>(tap);
}

// All spikes of a term's row of inputs, counted from the first window's first. sums_of(row): of outputs.
template <class Number, std::size_t Vectors, class F>
void add_row_of_events(const stage_view<Number>& s, const term_view<Number>& term, const std::byte* inputs,
                       std::size_t input_row, std::size_t channel, std::uint32_t* list, F&& sums_of) {
  const std::size_t stride = term.stride, tap_size = 8 * term.pixel * s.row_size;
  const std::size_t across = (s.width - 1) * stride + term.taps;
  for (std::size_t first = 0; first < std::min(stride, term.taps); ++first) {  // of the taps that meet a pixel
    std::size_t count = 0;
    std::uint32_t pixel = 0;
    for (std::size_t column = first; column < across; column += stride, pixel += 1 << 16)
      count = list_spikes(reinterpret_cast<const std::uint8_t*>(inputs) + column * term.pixel, term.pixel, pixel, list,
                          count);
    event_targets<Number> targets;
    for (std::size_t tap = input_row % stride; tap < term.runs_down && tap <= input_row; tap += stride) {
      const std::size_t row = (input_row - tap) / stride;
      if (row >= s.height) continue;
      targets.sums[targets.count] = sums_of(row);
      targets.weights[targets.count++] = term.weights + channel + (tap * term.taps + first) * tap_size;
    }
    const std::size_t taps = (term.taps - first + stride - 1) / stride, along = stride * tap_size;
    add_events<Number, Vectors>(targets, taps, along, s.row_size, list, count);
  }
}

// memory: [timesteps, extents.rows, width + 2 margin, block]
template <class Number, class Reset, std::size_t Vectors>
[[gnu::noinline]] void run_events(const stage_view<Number>& s, const event_extents& extents, std::uint32_t* list,
                                  typename arithmetic<Number>::sum* memory, std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, block = Vectors * L;
  const std::size_t row_length = (s.width + 2 * extents.margin) * block, steps = s.changes ? s.steps : 1;
  V bias[Vectors];
  SPIKENET_UNROLL
  for (std::size_t q = 0; q < Vectors; ++q) bias[q] = load<V>(s.biases + channel + q * L);
  const auto start = [&](T* sums, std::size_t values) SPIKENET_INLINE {
    for (std::size_t i = 0; i < values; i += block) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(sums + i + q * L, bias[q]);
    }
  };
  const auto sums_of = [&](std::size_t t, std::size_t row) SPIKENET_INLINE {
    return memory + (t * extents.rows + row % extents.rows) * row_length + extents.margin * block;
  };
  for (std::size_t image = 0; image < s.images; ++image) {
    std::array<std::size_t, most_terms> next{};  // row of inputs
    start(memory, steps * extents.rows * row_length);
    for (std::size_t row = 0; row < s.height; ++row) {
      for (std::size_t i = 0; i < s.count; ++i) {
        const term_view<Number>& term = s.terms[i];
        if (term.diagonal) continue;
        for (; next[i] < row * term.stride + term.runs_down; ++next[i]) {
          const std::byte* const inputs = term.source + image * term.image + next[i] * term.down;
          for (std::size_t t = 0; t < steps; ++t)
            add_row_of_events<Number, Vectors>(s, term, inputs + t * term.step, next[i], channel, list,
                                               [&](std::size_t output) SPIKENET_INLINE { return sums_of(t, output); });
        }
      }
      std::byte* const to = s.target + image * s.target_image + row * s.target_row;
      for (std::size_t column = 0; column < s.width; ++column) {
        const auto kept = membranes_of(s, row, column, channel, block);
        V sum[1][Vectors], membrane[1][Vectors];
        kept.load_into(membrane);
        for (std::size_t t = 0; t < s.steps; ++t) {
          const T* const sums = sums_of(s.changes ? t : 0, row) + column * block;
          SPIKENET_UNROLL
          for (std::size_t q = 0; q < Vectors; ++q) sum[0][q] = load<V>(sums + q * L);
          for (std::size_t i = 0; i < s.count; ++i) {
            const term_view<Number>& term = s.terms[i];
            if (term.diagonal)
              add_diagonal<Number>(
                  sum[0], term,
                  term.source + image * term.image + t * term.step + row * term.row + column * term.column, channel,
                  s.constants);
          }
          emit<Number, Reset>(s, sum, membrane, channel, to + t * s.target_step + column * s.target_pixel);
        }
        kept.store_from(membrane);
      }
      for (std::size_t t = 0; t < steps; ++t) start(sums_of(t, row) - extents.margin * block, row_length);
    }
  }
}

// All sources but those of diagonal terms must be spikes, and extents.possible.
template <class Number, class Reset>
void run_stage_by_events(const stage_view<Number>& s, const event_extents& extents, std::uint32_t* list,
                         typename arithmetic<Number>::sum* memory) {
  using T = typename arithmetic<Number>::sum;
  for_blocks<T, vectors_of_rows<T>>(s, [&]<std::size_t Vectors>(std::size_t channel) {
    run_events<Number, Reset, Vectors>(s, extents, list, memory, channel);
  });
}

// Whether neighbouring pixels of this kernel width share taps: see shared_taps in look_up.hpp.
inline constexpr std::size_t shared_width = 3;
template <class Number>
bool shares_taps(const term_view<Number>& term) {
  return !term.diagonal && term.taps == shared_width && term.along == term.column;
}

// Look-ups have a table for each byte of spikes in the windows of all terms: row by row, byte of a pixel by byte, and
// then tap by tap, so that those of shared taps follow each other.
template <class Number>
std::size_t entries_of(const term_view<Number>& term) {
  return term.diagonal ? 0 : term.runs_down * term.taps * term.pixel;
}

// A row of a table is one cache line at most.
inline constexpr std::size_t vectors_of_tables = std::max<std::size_t>(1, 64 / simd_bytes);

// Their tables and where they apply; whoever runs them owns the memory.
template <class T>
struct look_up_memory {
  std::span<T> tables;
  std::span<T> partial;           // sums over the slices so far, where there is more than one: of an image at least
  std::uint32_t* taps = nullptr;  // [entries]: bytes from the window's first one
};

template <class Number>
using look_up_memory_of = look_up_memory<typename arithmetic<Number>::sum>;

// A part of a stage's look-ups, whose tables are there at the same time.
template <class T>
struct stage_slice {
  struct part {  // of a term's entries
    std::size_t first = 0, last = 0;
    std::size_t run = 0;  // bytes of a pixel from the first on
    bool shared = false;  // taps
    const std::uint32_t* taps = nullptr;
    T* tables = nullptr;
  };
  std::array<part, most_terms> parts{};
  std::size_t end = 0;                // entry, counted over all terms
  bool starts = false, ends = false;  // with the biases; with the neurons
};

// At most so many entries from the first on, but not only some of those that share taps.
template <std::size_t Bits, class Number>
stage_slice<typename arithmetic<Number>::sum> slice_of(const stage_view<Number>& s,
                                                       const look_up_memory_of<Number>& memory, std::size_t first,
                                                       std::size_t most, std::size_t block) {
  stage_slice<typename arithmetic<Number>::sum> slice;
  slice.starts = slice.ends = true;
  auto* tables = memory.tables.data();
  std::size_t begin = 0;  // of the term's entries
  for (std::size_t i = 0; i < s.count; ++i) {
    const term_view<Number>& term = s.terms[i];
    const std::size_t size = entries_of(term), shared = shares_taps(term) ? shared_width : 1;
    auto& part = slice.parts[i];
    part.first = std::clamp(first, begin, begin + size) - begin;
    part.last = std::clamp(first + most, begin, begin + size) - begin;
    part.last -= (part.last - part.first) % shared;
    part.run = term.pixel - part.first / shared % term.pixel;
    part.shared = shared > 1;
    part.taps = memory.taps + begin + part.first;
    part.tables = tables;
    tables += (part.last - part.first) * table_rows<Bits> * block;
    if (part.first > 0) slice.starts = false;
    if (part.last < size) slice.ends = false;
    if (part.first < part.last) slice.end = begin + part.last;
    begin += size;
  }
  return slice;
}

// Where a row of outputs and what it is made of begin.
template <class T>
struct stage_row {
  std::array<const std::byte*, most_terms> windows{};
  std::byte* target = nullptr;
  T* partial = nullptr;  // there are no such sums where one slice is all
  std::size_t row = 0;
};

template <class Number, class Reset, std::size_t Bits, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void look_up_tile(const stage_view<Number>& s,
                                                const stage_slice<typename arithmetic<Number>::sum>& slice,
                                                const stage_row<typename arithmetic<Number>::sum>& at,
                                                std::size_t column, std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>, block = Vectors * L;
  V sum[Pixels][Vectors], membrane[Pixels][Vectors];
  const auto kept = membranes_of(s, at.row, column, channel, block, slice.ends);
  kept.load_into(membrane);
  for (std::size_t t = 0; t < s.steps; ++t) {
    T* const partial = at.partial ? at.partial + (t * s.height * s.width + column) * block : nullptr;
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q)
        sum[p][q] = slice.starts ? load<V>(s.biases + channel + q * L) : load<V>(partial + p * block + q * L);
    }
    for (std::size_t i = 0; i < s.count; ++i) {
      const term_view<Number>& term = s.terms[i];
      const std::byte* const window = at.windows[i] + t * term.step + column * term.column;
      if (term.diagonal) {
        if (slice.ends) {
          SPIKENET_UNROLL
          for (std::size_t p = 0; p < Pixels; ++p)
            add_diagonal<Number>(sum[p], term, window + p * term.column, channel, s.constants);
        }
        continue;
      }
      const auto& part = slice.parts[i];
      const std::span taps(part.taps, part.last - part.first);
      const auto* const bytes = reinterpret_cast<const std::uint8_t*>(window);
      if (part.shared)
        add_look_ups_of_pixels<shared_width, Bits>(sum, bytes, term.column, taps, part.run, part.tables);
      else
        add_look_ups<1, Bits>(sum, bytes, term.column, taps, part.tables);
    }
    if (slice.ends) {
      emit<Number, Reset>(s, sum, membrane, channel, at.target + t * s.target_step + column * s.target_pixel);
    } else {
      SPIKENET_UNROLL
      for (std::size_t p = 0; p < Pixels; ++p) {
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) store(partial + p * block + q * L, sum[p][q]);
      }
    }
  }
  kept.store_from(membrane);
}

// The tables of a slice, for one block of channels.
template <class Number, std::size_t Bits, std::size_t Vectors>
void build_tables(const stage_view<Number>& s, const stage_slice<typename arithmetic<Number>::sum>& slice,
                  std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  for (std::size_t i = 0; i < s.count; ++i) {
    const term_view<Number>& term = s.terms[i];
    const auto& part = slice.parts[i];
    const std::size_t shared = part.shared ? shared_width : 1;
    for (std::size_t entry = part.first; entry < part.last; ++entry) {
      const std::size_t down = entry / (term.taps * term.pixel), byte = entry / term.taps % term.pixel;
      const std::size_t tap = entry % term.taps;
      const auto* const weights =
          term.weights + ((down * term.taps + tap) * term.pixel + byte) * 8 * s.row_size + channel;
      constexpr std::size_t row = Vectors * lanes<T>;
      T* const tables = part.tables + start_of_table<Bits>(entry - part.first, shared, row);
      if constexpr (Bits == 8)
        build_table<T, Vectors>(weights, s.row_size, 8, tables, shared);
      else
        build_tables_of_halves<T, Vectors>(weights, s.row_size, tables, shared);
    }
  }
}

// The pixels of a row from `column` on, as many at a time as possible.
template <class Number, class Reset, std::size_t Bits, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void look_up_row(const stage_view<Number>& s,
                                               const stage_slice<typename arithmetic<Number>::sum>& slice,
                                               const stage_row<typename arithmetic<Number>::sum>& at,
                                               std::size_t column, std::size_t channel) {
  for (; column + Pixels <= s.width; column += Pixels)
    look_up_tile<Number, Reset, Bits, Pixels, Vectors>(s, slice, at, column, channel);
  if constexpr (Pixels > 1) look_up_row<Number, Reset, Bits, Pixels / 2, Vectors>(s, slice, at, column, channel);
}

template <class Number, class Reset, std::size_t Bits, std::size_t Vectors>
[[gnu::noinline]] void run_look_ups(const stage_view<Number>& s, const look_up_memory_of<Number>& memory,
                                    std::size_t entries, std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  constexpr std::size_t block = Vectors * lanes<T>;
  const std::size_t most = memory.tables.size() / (table_rows<Bits> * block);  // some tens
  const std::size_t sums = s.steps * s.height * s.width * block;               // of an image
  const bool one_slice = entries <= most;
  const std::size_t chunk = one_slice ? s.images : std::max<std::size_t>(1, memory.partial.size() / sums);
  for (std::size_t first = 0; first < s.images; first += chunk) {
    stage_slice<T> slice;
    do {
      slice = slice_of<Bits>(s, memory, slice.end, most, block);
      build_tables<Number, Bits, Vectors>(s, slice, channel);
      for (std::size_t image = first; image < std::min(s.images, first + chunk); ++image) {
        for (std::size_t row = 0; row < s.height; ++row) {
          stage_row<T> at;
          for (std::size_t i = 0; i < s.count; ++i)
            at.windows[i] = s.terms[i].source + image * s.terms[i].image + row * s.terms[i].row;
          at.target = s.target + image * s.target_image + row * s.target_row;
          if (!one_slice) at.partial = memory.partial.data() + (image - first) * sums + row * s.width * block;
          at.row = row;
          look_up_row<Number, Reset, Bits, pixels_of_look_up<Vectors>, Vectors>(s, slice, at, 0, channel);
        }
      }
    } while (!slice.ends);
  }
}

// All sources must be spikes.
template <class Number, class Reset, std::size_t Bits>
void run_stage_by_tables(const stage_view<Number>& s, const look_up_memory_of<Number>& memory) {
  using T = typename arithmetic<Number>::sum;
  std::size_t entries = 0;
  for (std::size_t i = 0; i < s.count; ++i) {
    const term_view<Number>& term = s.terms[i];
    if (term.diagonal) continue;
    for (std::size_t y = 0; y < term.runs_down; ++y) {
      for (std::size_t byte = 0; byte < term.pixel; ++byte) {
        for (std::size_t tap = 0; tap < term.taps; ++tap)
          memory.taps[entries++] = static_cast<std::uint32_t>(y * term.down + tap * term.along + byte);
      }
    }
  }
  for_blocks<T, vectors_of_tables>(s, [&]<std::size_t Vectors>(std::size_t channel) {
    run_look_ups<Number, Reset, Bits, Vectors>(s, memory, entries, channel);
  });
}

// total += the spikes of a window, by channels, of a vector of them from `channel` on.
template <class Number, class V>
[[gnu::always_inline]] inline void add_window(V& total, const term_view<Number>& term, const std::byte* window,
                                              std::size_t channel) {
  using T = typename arithmetic<Number>::sum;
  constexpr std::size_t bytes = std::max<std::size_t>(1, lanes<T> / 8);
  for (std::size_t y = 0; y < term.runs_down; ++y) {
    for (std::size_t x = 0; x < term.runs_across; ++x) {
      const std::byte* const pixel = window + y * term.down + x * term.across + channel / 8;
      total += lanes_from<T, V>(static_cast<unsigned>(load_bits<bytes>(pixel) >> (channel % 8)));
    }
  }
}

// Means over windows; the one term says where they lie.
template <class Number>
void run_average(const stage_view<Number>& s) {
  using number = arithmetic<Number>;
  using T = typename number::sum;
  using wide = typename number::wide;
  constexpr std::size_t L = lanes<T>;
  const term_view<Number>& term = s.terms[0];
  const std::size_t size = term.runs_down * term.runs_across;
  const std::size_t steps = s.changes ? s.steps : 1;
  for (std::size_t image = 0; image < s.images; ++image) {
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t row = 0; row < s.height; ++row) {
        for (std::size_t column = 0; column < s.width; ++column) {
          const std::byte* const window =
              term.source + image * term.image + t * term.step + row * term.row + column * term.column;
          auto* const to = reinterpret_cast<typename number::value*>(
              s.target + image * s.target_image + t * s.target_step + row * s.target_row + column * s.target_pixel);
          if (term.spikes) {
            for (std::size_t c = 0; c < s.channels; c += L) {
              simd<T> total{};
              add_window(total, term, window, c);
              for (std::size_t i = 0; i < std::min(L, s.channels - c); ++i)
                to[c + i] = number::average(static_cast<wide>(total[i]), size, true);
            }
          } else {
            for (std::size_t c = 0; c < s.channels; ++c) {
              wide total{};
              for (std::size_t y = 0; y < term.runs_down; ++y) {
                for (std::size_t x = 0; x < term.runs_across; ++x)
                  total += reinterpret_cast<const typename number::value*>(window + y * term.down + x * term.across)[c];
              }
              to[c] = number::average(total, size, false);
            }
          }
        }
      }
    }
  }
}

}  // namespace spikenet::detail

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
