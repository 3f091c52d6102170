// Direct convolution over channels-last maps, with no im2col: one register tile of output pixels x output channels is
// kept while the kernel's window and the input channels stream by, each input value broadcast against a vector of
// weights. The gradient by the input is the same kernel over the output gradient (one small convolution for each phase
// of the stride); the gradient by the weights keeps a tile of (window column, input channel) x output channels.
//
// Why not im2col and a matrix product: it writes and reads every input value K*K times. `benchmarks/` has both.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"
#include "spikenet/core/geometry.hpp"

namespace spikenet::detail {

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Accumulators that leave registers for the weights and the broadcast value.
inline constexpr std::size_t tile_accumulators = simd_registers == 32 ? 28 : 12;

struct tile_shape {
  std::size_t pixels, vectors;
};

// The tile for rows of `width` output pixels and `channels` output channels that needs the fewest instructions: each
// step of the window costs `vectors` loads of weights and pixels * vectors multiply-adds with a broadcast operand.
template <class T>
constexpr tile_shape choose_tile(std::size_t width, std::size_t channels) {
  const std::size_t all_vectors = ceil_div(channels, lanes<T>);
  tile_shape best{1, 1};
  std::size_t best_cost = ~std::size_t{0};
  for (std::size_t vectors = 1; vectors <= 4 && vectors <= all_vectors; ++vectors) {
    const std::size_t tiles = ceil_div(width, std::max<std::size_t>(1, tile_accumulators / vectors));
    const std::size_t pixels = ceil_div(width, tiles);
    const std::size_t latency = 8;  // multiply-adds in flight that hide their latency
    const std::size_t cost =
        tiles * ceil_div(all_vectors, vectors) * (std::max(latency, pixels * vectors) + vectors + pixels / 4);
    if (cost < best_cost) best = {pixels, vectors}, best_cost = cost;
  }
  return best;
}

// y[p][0..channels) = sum[p], y_step values from one pixel to the next; channels may end within the last vectors.
template <class V, class T, std::size_t Pixels, std::size_t Vectors>
[[gnu::always_inline]] inline void store_tile(const V (&sum)[Pixels][Vectors], T* y, std::size_t y_step,
                                              std::size_t channels) {
  constexpr std::size_t L = lanes<T>;
  if (channels == Vectors * L) {
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(y + p * y_step + q * L, sum[p][q]);
    }
  } else {
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) {
      V last[Vectors];  // a copy, for the accumulators must not have an address
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) last[q] = sum[p][q];
      std::memcpy(y + p * y_step, last, channels * sizeof(T));
    }
  }
}

// y[p][0..channels) = weights[0] + sum over taps and depth of x[p * XStep + tap + d] * weights[1 + tap * Depth + d],
// where weights are rows of Vectors vectors and the first row is the bias.
template <class T, std::size_t Pixels, std::size_t Vectors, std::size_t XStep, std::size_t Depth>
[[gnu::noinline]] void convolve_tile(const T* x, std::span<const std::ptrdiff_t> taps, const T* weights, T* y,
                                     std::size_t y_step, std::size_t channels) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>;
  V sum[Pixels][Vectors];
  SPIKENET_UNROLL
  for (std::size_t q = 0; q < Vectors; ++q) {
    const V bias = load<V>(weights + q * L);
    SPIKENET_UNROLL
    for (std::size_t p = 0; p < Pixels; ++p) sum[p][q] = bias;
  }
  weights += Vectors * L;
  for (const std::ptrdiff_t tap : taps) {
    const T* in = x + tap;
    for (std::size_t d = 0; d < Depth; ++d, weights += Vectors * L) {
      V w[Vectors];
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) w[q] = load<V>(weights + q * L);
      SPIKENET_UNROLL
      for (std::size_t p = 0; p < Pixels; ++p) {
        const T value = in[p * XStep + d];
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) sum[p][q] += w[q] * value;
      }
    }
  }
  store_tile(sum, y, y_step, channels);
}

// Copies a [Height, Width, Channels] map into the middle of a zeroed one with `low` rows and columns before it and
// `high` ones after it.
template <std::size_t Height, std::size_t Width, std::size_t Channels, class T>
void pad_map(const T* map, std::size_t low, std::size_t high_rows, std::size_t high_columns, T* padded) {
  const std::size_t row = (low + Width + high_columns) * Channels;
  std::fill_n(padded, low * row, T{});
  padded += low * row;
  for (std::size_t y = 0; y < Height; ++y, padded += row, map += Width * Channels) {
    std::fill_n(padded, low * Channels, T{});
    std::copy_n(map, Width * Channels, padded + low * Channels);
    std::fill_n(padded + (low + Width) * Channels, high_columns * Channels, T{});
  }
  std::fill_n(padded, high_rows * row, T{});
}

// Where input pixels meet the output's gradient: input pixel i at (i + padding - k * dilation) / stride wherever that
// divides, so the input pixels of one phase (i mod stride, in both directions) share their taps, each at a fixed
// distance in a map of the gradient with zeros around it.
template <class G>
struct gradient_phases {
  static constexpr std::size_t S = G::stride, taps = G::kernel * G::kernel;

  // Zero rows and columns before the gradient, as many as the windows reach over its edges; extents with all zeros.
  static constexpr std::size_t low = [] {
    constexpr std::size_t reach = G::dilation * (G::kernel - 1);
    return reach > G::padding ? ceil_div(reach - G::padding, S) : 0;
  }();
  static constexpr std::size_t extent(std::size_t in, std::size_t out) {
    return low + std::max(out, (in - 1 + G::padding) / S + 1);
  }
  static constexpr std::size_t rows = extent(G::in_height, G::out_height);
  static constexpr std::size_t columns = extent(G::in_width, G::out_width);

  struct phase {
    std::array<std::size_t, taps> tap{};    // of the window
    std::array<std::size_t, taps> pixel{};  // of the map: what the phase's first input pixel meets through that tap
    std::size_t count = 0;                  // of these taps; 0 where no input pixel is of this phase
  };
  // Phase py * stride + px.
  static constexpr auto all = [] {
    constexpr std::size_t from = G::padding + low * S;
    std::array<phase, S * S> phases{};
    const auto reads = [](std::size_t p, std::size_t k) {
      return p + from >= k * G::dilation && (p + from - k * G::dilation) % S == 0;
    };
    for (std::size_t i = 0; i < S * S; ++i) {
      const std::size_t py = i / S, px = i % S;
      if (py >= G::in_height || px >= G::in_width) continue;
      for (std::size_t k = 0; k < taps; ++k) {
        const std::size_t ky = k / G::kernel, kx = k % G::kernel;
        if (!reads(py, ky) || !reads(px, kx)) continue;
        phases[i].tap[phases[i].count] = k;
        phases[i].pixel[phases[i].count++] =
            (py + from - ky * G::dilation) / S * columns + (px + from - kx * G::dilation) / S;
      }
    }
    return phases;
  }();
};

// Memory of the convolutions, kept from call to call.
template <class T>
struct convolution_scratch {
  buffer<T> weights;              // packed for the tiles
  buffer<T> partial;              // gradient by the weights, one for each item
  std::array<buffer<T>, 2> maps;  // padded maps, one for each worker
};

template <class T, class G>
class convolution {
  static constexpr std::size_t L = lanes<T>;

  // One set of packed weights serves Pixels x Vectors tiles over `blocks` blocks of output channels in each group.
  template <std::size_t Width, std::size_t GroupIn, std::size_t GroupOut>
  struct direction {
    static constexpr tile_shape tile = choose_tile<T>(std::max<std::size_t>(1, Width), GroupOut);
    static constexpr std::size_t block = tile.vectors * L;
    static constexpr std::size_t blocks = ceil_div(GroupOut, block);

    static constexpr std::size_t packed_size(std::size_t window) {
      return G::groups * blocks * (1 + window * GroupIn) * block;
    }

    // weight_of(group, tap, in, out) and bias_of(group, out) -> T
    template <class Weight, class Bias>
    static void pack(std::size_t window, T* packed, Weight weight_of, Bias bias_of) {
      for (std::size_t g = 0; g < G::groups; ++g) {
        for (std::size_t b = 0; b < blocks; ++b) {
          const auto row = [&](auto value_of) {
            for (std::size_t j = 0; j < block; ++j)
              *packed++ = b * block + j < GroupOut ? value_of(b * block + j) : T{};
          };
          row([&](std::size_t out) { return bias_of(g, out); });
          for (std::size_t tap = 0; tap < window; ++tap) {
            for (std::size_t in = 0; in < GroupIn; ++in) {
              row([&](std::size_t out) { return weight_of(g, tap, in, out); });
            }
          }
        }
      }
    }

    // A rectangle of rows x columns output pixels; columns is at least the tile's width, and the last tile of a row
    // overlaps the one before it where the width does not divide.
    template <std::size_t XStep>
    static void run(const T* x, std::size_t x_row, std::span<const std::ptrdiff_t> window, const T* packed, T* y,
                    std::size_t y_step, std::size_t y_row, std::size_t rows, std::size_t columns) {
      constexpr std::size_t P = tile.pixels;
      for (std::size_t g = 0; g < G::groups; ++g) {
        for (std::size_t b = 0; b < blocks; ++b, packed += (1 + window.size() * GroupIn) * block) {
          const std::size_t first = g * GroupOut + b * block;
          const std::size_t channels = std::min(block, GroupOut - b * block);
          for (std::size_t row = 0; row < rows; ++row) {
            for (std::size_t column = 0; column < columns; column += P) {
              const std::size_t at = std::min(column, columns - P);
              convolve_tile<T, P, tile.vectors, XStep, GroupIn>(x + row * x_row + at * XStep + g * GroupIn, window,
                                                                packed, y + row * y_row + at * y_step + first, y_step,
                                                                channels);
            }
          }
        }
      }
    }
  };

  static constexpr std::size_t taps = G::kernel * G::kernel;
  static constexpr std::size_t padded_width = G::in_width + 2 * G::padding;
  static constexpr std::size_t padded_size = (G::in_height + 2 * G::padding) * padded_width * G::in_channels;

  static constexpr auto tap_offsets = [] {
    std::array<std::ptrdiff_t, taps> offsets{};
    for (std::size_t i = 0; i < taps; ++i) {
      offsets[i] =
          static_cast<std::ptrdiff_t>((i / G::kernel * padded_width + i % G::kernel) * G::dilation * G::in_channels);
    }
    return offsets;
  }();

  static const T* padded(const T* x, T* map) {
    if constexpr (G::padding == 0) return x;
    pad_map<G::in_height, G::in_width, G::in_channels>(x, G::padding, G::padding, G::padding, map);
    return map;
  }

  static T* reserve_maps(std::array<buffer<T>, 2>& maps, std::size_t which, std::size_t size, thread_pool& pool) {
    return maps[which].reserve(size * pool.workers());
  }

 public:
  // y[n] = conv(x[n], weight) + bias for n = 0 ... items-1; bias may be null.
  // x [items, H, W, Cin], weight [Cout, Cin/groups, K, K], bias [Cout], y [items, Ho, Wo, Cout]
  static void forward(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* x,
                      const T* weight, const T* bias, T* y) {
    using dir = direction<G::out_width, G::group_in, G::group_out>;
    T* packed = scratch.weights.reserve(dir::packed_size(taps));
    dir::pack(
        taps, packed,
        [&](std::size_t g, std::size_t tap, std::size_t in, std::size_t out) {
          return weight[G::weight_at(g * G::group_out + out, in, tap)];
        },
        [&](std::size_t g, std::size_t out) { return bias ? bias[g * G::group_out + out] : T{}; });
    T* maps = reserve_maps(scratch.maps, 0, padded_size, pool);
    pool.run(items, [&](std::size_t n, std::size_t worker) {
      const T* map = padded(x + n * G::in_size, maps + worker * padded_size);
      dir::template run<G::stride * G::in_channels>(map, G::stride * padded_width * G::in_channels, tap_offsets, packed,
                                                    y + n * G::out_size, G::out_channels,
                                                    G::out_width * G::out_channels, G::out_height, G::out_width);
    });
  }

  // gx[n] = the gradient by x[n]: the input pixels of one phase form a plain convolution of gy[n].
  static void backward_input(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* gy,
                             const T* weight, T* gx) {
    constexpr std::size_t S = G::stride;
    using dir = direction<G::in_width / S, G::group_out, G::group_in>;
    using met = gradient_phases<G>;
    constexpr auto& phases = met::all;
    constexpr std::size_t high_rows = met::rows - met::low - G::out_height;
    constexpr std::size_t high_columns = met::columns - met::low - G::out_width;
    constexpr std::size_t row = met::columns * G::out_channels, map_size = met::rows * row;
    static constexpr auto offsets_of_phases = [] {
      std::array<std::array<std::ptrdiff_t, taps>, S * S> offsets{};
      for (std::size_t i = 0; i < S * S; ++i)
        for (std::size_t tap = 0; tap < met::all[i].count; ++tap)
          offsets[i][tap] = static_cast<std::ptrdiff_t>(met::all[i].pixel[tap] * G::out_channels);
      return offsets;
    }();

    T* packed = scratch.weights.reserve(S * S * dir::packed_size(0) + dir::packed_size(taps));
    std::array<const T*, S * S> packed_phase{};
    for (std::size_t i = 0; i < S * S; ++i) {
      dir::pack(
          phases[i].count, packed,
          [&](std::size_t g, std::size_t tap, std::size_t in, std::size_t out) {
            return weight[G::weight_at(g * G::group_out + in, out, phases[i].tap[tap])];
          },
          [](std::size_t, std::size_t) { return T{}; });
      packed_phase[i] = packed;
      packed += dir::packed_size(phases[i].count);
    }
    T* maps = reserve_maps(scratch.maps, 0, map_size, pool);
    pool.run(items, [&](std::size_t n, std::size_t worker) {
      const T* map = gy + n * G::out_size;
      if constexpr (met::low + high_rows + high_columns > 0) {
        pad_map<G::out_height, G::out_width, G::out_channels>(map, met::low, high_rows, high_columns,
                                                              maps + worker * map_size);
        map = maps + worker * map_size;
      }
      for (std::size_t i = 0; i < S * S; ++i) {
        const std::size_t py = i / S, px = i % S;
        if (py >= G::in_height || px >= G::in_width) continue;
        const std::span<const std::ptrdiff_t> offsets(offsets_of_phases[i].data(), phases[i].count);
        dir::template run<G::out_channels>(map, row, offsets, packed_phase[i],
                                           gx + n * G::in_size + (py * G::in_width + px) * G::in_channels,
                                           S * G::in_channels, S * G::in_width * G::in_channels,
                                           ceil_div(G::in_height - py, S), ceil_div(G::in_width - px, S));
      }
    });
  }

  // gw = the gradient by the weights, PyTorch's layout.
  static void backward_weight(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* x,
                              const T* gy, T* gw) {
    // Undilated, the K columns of a window's row lie side by side in memory, so (column, channel) is one index; not so
    // where the windows are dilated or the channels grouped.
    constexpr bool joined = G::dilation == 1 && G::groups == 1;
    constexpr std::size_t runs = joined ? G::kernel : taps;
    constexpr std::size_t run_length = joined ? G::kernel * G::group_in : G::group_in;
    constexpr std::size_t vectors = ceil_div(G::group_out, L) % 2 == 0 ? 2 : 1;
    constexpr std::size_t block = vectors * L;
    constexpr std::size_t columns = ceil_div(G::group_out, block) * block;  // output channels of a group, padded
    constexpr std::size_t row_blocks = ceil_div(run_length, tile_accumulators / vectors);
    constexpr std::size_t rows = ceil_div(run_length, row_blocks);
    constexpr std::size_t last_rows = run_length - rows * (row_blocks - 1);
    constexpr std::size_t gradient_size = G::groups * taps * G::group_in * columns;
    constexpr bool copy_gy = columns != G::group_out;  // vectors must not reach into the next pixel's channels
    constexpr std::size_t gy_channels = G::groups * columns;
    constexpr std::size_t gy_size = G::out_height * G::out_width * gy_channels;

    // As many partial sums as keep many cores busy, within 64 MiB.
    const std::size_t most = std::clamp<std::size_t>((std::size_t{64} << 20) / (gradient_size * sizeof(T)), 8, 16);
    const std::size_t parts = std::min(most, items);
    T* partial = scratch.partial.reserve(parts * gradient_size);
    T* maps = reserve_maps(scratch.maps, 0, padded_size, pool);
    T* gradients = copy_gy ? reserve_maps(scratch.maps, 1, gy_size, pool) : nullptr;

    pool.run(parts, [&](std::size_t part, std::size_t worker) {
      T* const sums = partial + part * gradient_size;
      std::fill_n(sums, gradient_size, T{});
      for (std::size_t n = part * items / parts; n < (part + 1) * items / parts; ++n) {
        const T* map = padded(x + n * G::in_size, maps + worker * padded_size);
        const T* g = gy + n * G::out_size;
        if constexpr (copy_gy) {
          T* copy = gradients + worker * gy_size;
          for (std::size_t i = 0; i < G::out_height * G::out_width * G::groups; ++i) {
            std::copy_n(g + i * G::group_out, G::group_out, copy + i * columns);
            std::fill_n(copy + i * columns + G::group_out, columns - G::group_out, T{});
          }
          g = copy;
        }
        for (std::size_t group = 0; group < G::groups; ++group) {
          for (std::size_t run = 0; run < runs; ++run) {
            const T* in =
                map + tap_offsets[joined ? run * G::kernel : run] + static_cast<std::ptrdiff_t>(group * G::group_in);
            T* out = sums + (group * taps * G::group_in + run * run_length) * columns;
            for (std::size_t b = 0; b < row_blocks; ++b) {
              for (std::size_t c = 0; c < columns; c += block) {
                if (b + 1 < row_blocks || last_rows == rows) {
                  accumulate_tile<rows, vectors, gy_channels, columns>(in + b * rows, g + group * columns + c,
                                                                       out + b * rows * columns + c);
                } else {
                  accumulate_tile<last_rows, vectors, gy_channels, columns>(in + b * rows, g + group * columns + c,
                                                                            out + b * rows * columns + c);
                }
              }
            }
          }
        }
      }
    });

    pool.run(G::out_channels, [&](std::size_t channel, std::size_t) {
      const std::size_t group = channel / G::group_out, out = channel % G::group_out;
      for (std::size_t tap = 0; tap < taps; ++tap) {
        for (std::size_t in = 0; in < G::group_in; ++in) {
          const T* sums = partial + ((group * taps + tap) * G::group_in + in) * columns + out;
          T total{};
          for (std::size_t part = 0; part < parts; ++part) total += sums[part * gradient_size];
          gw[G::weight_at(channel, in, tap)] = total;
        }
      }
    });
  }

 private:
  // sums[r][0..) += over all output pixels, x[r] * gy[0..): one tile of the gradient by the weights.
  template <std::size_t Rows, std::size_t Vectors, std::size_t GyStep, std::size_t Columns>
  [[gnu::noinline]] static void accumulate_tile(const T* x, const T* gy, T* sums) {
    using V = simd<T>;
    V sum[Rows][Vectors];
    SPIKENET_UNROLL
    for (std::size_t r = 0; r < Rows; ++r) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) sum[r][q] = load<V>(sums + r * Columns + q * L);
    }
    for (std::size_t row = 0; row < G::out_height; ++row) {
      const T* in = x + row * G::stride * padded_width * G::in_channels;
      for (std::size_t column = 0; column < G::out_width; ++column, gy += GyStep, in += G::stride * G::in_channels) {
        V g[Vectors];
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) g[q] = load<V>(gy + q * L);
        SPIKENET_UNROLL
        for (std::size_t r = 0; r < Rows; ++r) {
          const T value = in[r];
          SPIKENET_UNROLL
          for (std::size_t q = 0; q < Vectors; ++q) sum[r][q] += g[q] * value;
        }
      }
    }
    SPIKENET_UNROLL
    for (std::size_t r = 0; r < Rows; ++r) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(sums + r * Columns + q * L, sum[r][q]);
    }
  }
};

}  // namespace spikenet::detail
