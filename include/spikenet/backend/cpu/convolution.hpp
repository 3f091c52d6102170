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

// A conv2d_geometry at run time, for code that all shapes share.
struct convolution_shape {
  std::size_t in_channels, in_height, in_width, out_channels, out_height, out_width;
  std::size_t kernel, stride, padding, dilation, groups;

  constexpr std::size_t taps() const { return kernel * kernel; }
  constexpr std::size_t in_pixels() const { return in_height * in_width; }
  constexpr std::size_t out_pixels() const { return out_height * out_width; }
  constexpr std::size_t in_size() const { return in_channels * in_pixels(); }
  constexpr std::size_t out_size() const { return out_channels * out_pixels(); }
  constexpr std::size_t group_in() const { return in_channels / groups; }
  constexpr std::size_t group_out() const { return out_channels / groups; }
  constexpr std::size_t padded_width() const { return in_width + 2 * padding; }
  constexpr std::size_t padded_pixels() const { return (in_height + 2 * padding) * padded_width(); }
  // See conv2d_geometry::weight_at.
  constexpr std::size_t weight_at(std::size_t out, std::size_t in, std::size_t tap) const {
    return (out * group_in() + in) * taps() + tap;
  }
};
template <class G>
inline constexpr convolution_shape shape_of{.in_channels = G::in_channels,
                                            .in_height = G::in_height,
                                            .in_width = G::in_width,
                                            .out_channels = G::out_channels,
                                            .out_height = G::out_height,
                                            .out_width = G::out_width,
                                            .kernel = G::kernel,
                                            .stride = G::stride,
                                            .padding = G::padding,
                                            .dilation = G::dilation,
                                            .groups = G::groups};

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

// Copies a [height, width * channels] map, of rows of `size` values, into the middle of a zeroed one: `above` and `below`
// values before its first row and behind its last, `beside` between two rows.
template <class T>
void pad_map(const T* map, std::size_t height, std::size_t size, std::size_t above, std::size_t beside,
             std::size_t below, T* padded) {
  padded = std::fill_n(padded, above, T{});
  for (std::size_t y = 0; y < height; ++y, map += size) {
    if (y > 0) padded = std::fill_n(padded, beside, T{});
    padded = std::copy_n(map, size, padded);
  }
  std::fill_n(padded, below, T{});
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

// A convolution from maps of `in` to maps of `out` channels in each group, one register tile after another. Its numbers
// are known at compile time, but all shapes share the code around the tiles.
template <class T>
struct convolution_pass {
  std::size_t groups, in, out;
  std::size_t pixels, block;  // of a tile: output pixels, output channels
  std::size_t x_step;         // from the window of one output pixel to the next one's
  decltype(&convolve_tile<T, 1, 1, 1, 1>) convolve;

  // Width: output pixels of a row
  template <std::size_t Width, std::size_t In, std::size_t Out, std::size_t XStep>
  static constexpr convolution_pass make(std::size_t groups) {
    constexpr tile_shape tile = choose_tile<T>(std::max<std::size_t>(1, Width), Out);
    return {.groups = groups,
            .in = In,
            .out = Out,
            .pixels = tile.pixels,
            .block = tile.vectors * lanes<T>,
            .x_step = XStep,
            .convolve = &convolve_tile<T, tile.pixels, tile.vectors, XStep, In>};
  }

  // Of the packed weights, one set for each block of output channels.
  constexpr std::size_t set_size(std::size_t window) const { return (1 + window * in) * block; }
  constexpr std::size_t packed_size(std::size_t window) const { return groups * ceil_div(out, block) * set_size(window); }

  // The weight of a tap lies at group * group_step + out * out_step + in * in_step + tap. bias [groups * out] or null
  void pack(std::span<const std::size_t> window, const T* weight, std::size_t group_step, std::size_t out_step,
            std::size_t in_step, const T* bias, T* packed) const {
    for (std::size_t g = 0; g < groups; ++g, weight += group_step) {
      for (std::size_t first = 0; first < out; first += block) {
        const std::size_t channels = std::min(block, out - first);
        const auto row = [&](const T* values, std::size_t step) {
          for (std::size_t j = 0; j < channels; ++j) packed[j] = values[j * step];
          std::fill(packed + channels, packed + block, T{});
          packed += block;
        };
        constexpr T no_bias{};
        row(bias ? bias + g * out + first : &no_bias, bias ? 1 : 0);
        for (const std::size_t tap : window) {
          for (std::size_t i = 0; i < in; ++i) row(weight + first * out_step + i * in_step + tap, out_step);
        }
      }
    }
  }

  // A rectangle of rows x columns output pixels; columns is at least the tile's width, and the last tile of a row
  // overlaps the one before it where the width does not divide.
  void run(const T* x, std::size_t x_row, std::span<const std::ptrdiff_t> window, const T* packed, T* y,
           std::size_t y_step, std::size_t y_row, std::size_t rows, std::size_t columns) const {
    for (std::size_t g = 0; g < groups; ++g) {
      for (std::size_t first = 0; first < out; first += block, packed += set_size(window.size())) {
        for (std::size_t row = 0; row < rows; ++row) {
          for (std::size_t column = 0; column < columns; column += pixels) {
            const std::size_t at = std::min(column, columns - pixels);
            convolve(x + row * x_row + at * x_step + g * in, window, packed,
                     y + row * y_row + at * y_step + g * out + first, y_step, std::min(block, out - first));
          }
        }
      }
    }
  }
};

// The taps of one phase of gradient_phases, and how far from the phase's first pixel each meets the gradient, in values.
struct convolution_phase {
  std::span<const std::size_t> taps;
  std::span<const std::ptrdiff_t> offsets;
};

// sums[r][0..) += over all output pixels, x[r] * gy[0..): one tile of the gradient by the weights.
// GyStep, Columns: from one row to the next of gy and of the sums
template <class T, std::size_t Rows, std::size_t Vectors, std::size_t GyStep, std::size_t Columns>
[[gnu::noinline]] void accumulate_tile(const T* x, std::size_t x_row, std::size_t x_step, std::size_t height,
                                       std::size_t width, const T* gy, T* sums) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>;
  V sum[Rows][Vectors];
  SPIKENET_UNROLL
  for (std::size_t r = 0; r < Rows; ++r) {
    SPIKENET_UNROLL
    for (std::size_t q = 0; q < Vectors; ++q) sum[r][q] = load<V>(sums + r * Columns + q * L);
  }
  for (std::size_t row = 0; row < height; ++row, x += x_row) {
    const T* in = x;
    for (std::size_t column = 0; column < width; ++column, gy += GyStep, in += x_step) {
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

// A convolution of maps with zeros around them.
template <class T>
struct padded_convolution {
  convolution_shape shape;
  std::span<const std::ptrdiff_t> tap_offsets;  // in a padded map

  std::size_t padded_size() const { return shape.padded_pixels() * shape.in_channels; }
  std::size_t row_step() const { return shape.stride * shape.padded_width() * shape.in_channels; }  // between windows
  const T* padded(const T* x, T* map) const {
    if (shape.padding == 0) return x;
    const std::size_t side = shape.padding * shape.in_channels, row = shape.padded_width() * shape.in_channels;
    const std::size_t edge = shape.padding * row + side;
    pad_map(x, shape.in_height, shape.in_width * shape.in_channels, edge, 2 * side, edge, map);
    return map;
  }
};

template <class T>
struct forward_plan : padded_convolution<T> {
  std::span<const std::size_t> taps;  // 0, 1, ...
  convolution_pass<T> pass;
};

template <class T>
struct input_gradient_plan {
  convolution_shape shape;
  convolution_pass<T> pass;
  std::size_t low, rows, columns;  // see gradient_phases
  std::span<const convolution_phase> phases;
};

// Of each group, `runs` runs of `run_length` values lie side by side in the padded map. Each is cut into row_blocks
// tiles of `rows` rows, the last of which may have less.
template <class T>
struct weight_gradient_plan : padded_convolution<T> {
  std::size_t runs, run_length, row_blocks, rows;
  std::size_t block, columns;  // output channels of a tile; of a group, padded
  decltype(&accumulate_tile<T, 1, 1, 1, 1>) accumulate, accumulate_last;
};

template <class T>
T* reserve_maps(buffer<T>& maps, std::size_t size, thread_pool& pool) {
  return maps.reserve(size * pool.workers());
}

// See class convolution.
template <class T>
void convolve(const forward_plan<T>& plan, thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items,
              const T* x, const T* weight, const T* bias, T* y) {
  const convolution_shape& g = plan.shape;
  const convolution_pass<T>& pass = plan.pass;
  T* const packed = scratch.weights.reserve(pass.packed_size(g.taps()));
  pass.pack(plan.taps, weight, g.weight_at(g.group_out(), 0, 0), g.weight_at(1, 0, 0), g.taps(), bias, packed);
  T* const maps = reserve_maps(scratch.maps[0], plan.padded_size(), pool);
  pool.run(items, [&](std::size_t n, std::size_t worker) {
    const T* const map = plan.padded(x + n * g.in_size(), maps + worker * plan.padded_size());
    pass.run(map, plan.row_step(), plan.tap_offsets, packed, y + n * g.out_size(),
             g.out_channels, g.out_width * g.out_channels, g.out_height, g.out_width);
  });
}

// The input pixels of one phase form a plain convolution of gy[n].
template <class T>
void convolve_back(const input_gradient_plan<T>& plan, thread_pool& pool, convolution_scratch<T>& scratch,
                   std::size_t items, const T* gy, const T* weight, T* gx) {
  const convolution_shape& g = plan.shape;
  const convolution_pass<T>& pass = plan.pass;
  const std::size_t S = g.stride, row = plan.columns * g.out_channels, map_size = plan.rows * row;
  T* const packed = scratch.weights.reserve(S * S * pass.packed_size(0) + pass.packed_size(g.taps()));
  T* to = packed;
  for (const convolution_phase& phase : plan.phases) {
    pass.pack(phase.taps, weight, g.weight_at(g.group_out(), 0, 0), g.taps(), g.weight_at(1, 0, 0), nullptr, to);
    to += pass.packed_size(phase.taps.size());
  }
  T* const maps = reserve_maps(scratch.maps[0], map_size, pool);
  pool.run(items, [&](std::size_t n, std::size_t worker) {
    const T* map = gy + n * g.out_size();
    if (plan.rows > g.out_height || plan.columns > g.out_width) {
      const std::size_t size = g.out_width * g.out_channels, above = plan.low * (row + g.out_channels);
      const std::size_t beside = row - size;
      pad_map(map, g.out_height, size, above, beside, map_size - above - g.out_height * row + beside,
              maps + worker * map_size);
      map = maps + worker * map_size;
    }
    const T* from = packed;
    for (std::size_t i = 0; i < S * S; ++i) {
      const convolution_phase& phase = plan.phases[i];
      const std::size_t py = i / S, px = i % S;
      if (py < g.in_height && px < g.in_width) {
        pass.run(map, row, phase.offsets, from, gx + n * g.in_size() + (py * g.in_width + px) * g.in_channels,
                 S * g.in_channels, S * g.in_width * g.in_channels, ceil_div(g.in_height - py, S),
                 ceil_div(g.in_width - px, S));
      }
      from += pass.packed_size(phase.taps.size());
    }
  });
}

template <class T>
void differentiate_weights(const weight_gradient_plan<T>& plan, thread_pool& pool, convolution_scratch<T>& scratch,
                           std::size_t items, const T* x, const T* gy, T* gw) {
  const convolution_shape& g = plan.shape;
  const std::size_t taps = g.taps(), columns = plan.columns, group_in = g.group_in(), group_out = g.group_out();
  const std::size_t gradient_size = g.groups * taps * group_in * columns;
  const bool copy_gy = columns != group_out;  // vectors must not reach into the next pixel's channels
  const std::size_t gy_pixels = g.out_pixels(), gy_size = gy_pixels * g.groups * columns;

  // As many partial sums as keep many cores busy, within 64 MiB.
  const std::size_t most = std::clamp<std::size_t>((std::size_t{64} << 20) / (gradient_size * sizeof(T)), 8, 16);
  const std::size_t parts = std::min(most, items);
  T* const partial = scratch.partial.reserve(parts * gradient_size);
  T* const maps = reserve_maps(scratch.maps[0], plan.padded_size(), pool);
  T* const gradients = copy_gy ? reserve_maps(scratch.maps[1], gy_size, pool) : nullptr;

  pool.run(parts, [&](std::size_t part, std::size_t worker) {
    T* const sums = partial + part * gradient_size;
    std::fill_n(sums, gradient_size, T{});
    for (std::size_t n = part * items / parts; n < (part + 1) * items / parts; ++n) {
      const T* const map = plan.padded(x + n * g.in_size(), maps + worker * plan.padded_size());
      const T* of_item = gy + n * g.out_size();
      if (copy_gy) {
        T* const copy = gradients + worker * gy_size;
        for (std::size_t i = 0; i < gy_pixels * g.groups; ++i) {
          std::copy_n(of_item + i * group_out, group_out, copy + i * columns);
          std::fill_n(copy + i * columns + group_out, columns - group_out, T{});
        }
        of_item = copy;
      }
      for (std::size_t group = 0; group < g.groups; ++group) {
        for (std::size_t run = 0; run < plan.runs; ++run) {
          const T* const in = map + plan.tap_offsets[run * (taps / plan.runs)] + group * group_in;
          T* const out = sums + (group * taps * group_in + run * plan.run_length) * columns;
          for (std::size_t b = 0; b < plan.row_blocks; ++b) {
            const auto accumulate = b + 1 < plan.row_blocks ? plan.accumulate : plan.accumulate_last;
            for (std::size_t c = 0; c < columns; c += plan.block) {
              accumulate(in + b * plan.rows, plan.row_step(), g.stride * g.in_channels, g.out_height, g.out_width,
                         of_item + group * columns + c, out + b * plan.rows * columns + c);
            }
          }
        }
      }
    }
  });

  pool.run(g.out_channels, [&](std::size_t channel, std::size_t) {
    const std::size_t group = channel / group_out, out = channel % group_out;
    for (std::size_t tap = 0; tap < taps; ++tap) {
      for (std::size_t in = 0; in < group_in; ++in) {
        const T* const sums = partial + ((group * taps + tap) * group_in + in) * columns + out;
        T total{};
        for (std::size_t part = 0; part < parts; ++part) total += sums[part * gradient_size];
        gw[g.weight_at(channel, in, tap)] = total;
      }
    }
  });
}

template <class T, class G>
class convolution {
 public:
  // y[n] = conv(x[n], weight) + bias for n = 0 ... items-1; bias may be null.
  // x [items, H, W, Cin], weight [Cout, Cin/groups, K, K], bias [Cout], y [items, Ho, Wo, Cout]
  static void forward(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* x,
                      const T* weight, const T* bias, T* y) {
    static constexpr auto pass =
        convolution_pass<T>::template make<G::out_width, G::group_in, G::group_out, G::stride * G::in_channels>(
            G::groups);
    static constexpr forward_plan<T> plan{{shape_of<G>, tap_offsets}, all_taps, pass};
    convolve(plan, pool, scratch, items, x, weight, bias, y);
  }

  // gx[n] = the gradient by x[n].
  static void backward_input(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* gy,
                             const T* weight, T* gx) {
    static constexpr auto pass =
        convolution_pass<T>::template make<G::in_width / G::stride, G::group_out, G::group_in, G::out_channels>(
            G::groups);
    static constexpr input_gradient_plan<T> plan{shape_of<G>, pass, met::low, met::rows, met::columns, phases};
    convolve_back(plan, pool, scratch, items, gy, weight, gx);
  }

  // gw = the gradient by the weights, PyTorch's layout.
  static void backward_weight(thread_pool& pool, convolution_scratch<T>& scratch, std::size_t items, const T* x,
                              const T* gy, T* gw) {
    // Undilated, the K columns of a window's row lie side by side in memory, so (column, channel) is one index; not so
    // where the windows are dilated or the channels grouped.
    constexpr bool joined = G::dilation == 1 && G::groups == 1;
    constexpr std::size_t run_length = joined ? G::kernel * G::group_in : G::group_in;
    constexpr std::size_t vectors = ceil_div(G::group_out, L) % 2 == 0 ? 2 : 1, block = vectors * L;
    constexpr std::size_t columns = ceil_div(G::group_out, block) * block;
    constexpr std::size_t row_blocks = ceil_div(run_length, tile_accumulators / vectors);
    constexpr std::size_t rows = ceil_div(run_length, row_blocks);
    constexpr std::size_t last_rows = run_length - rows * (row_blocks - 1), gy_step = G::groups * columns;
    static constexpr weight_gradient_plan<T> plan{{shape_of<G>, tap_offsets},
                                                  joined ? G::kernel : taps,
                                                  run_length,
                                                  row_blocks,
                                                  rows,
                                                  block,
                                                  columns,
                                                  &accumulate_tile<T, rows, vectors, gy_step, columns>,
                                                  &accumulate_tile<T, last_rows, vectors, gy_step, columns>};
    differentiate_weights(plan, pool, scratch, items, x, gy, gw);
  }

 private:
  using met = gradient_phases<G>;
  static constexpr std::size_t L = lanes<T>, taps = G::kernel * G::kernel;

  static constexpr auto all_taps = [] {
    std::array<std::size_t, taps> all{};
    for (std::size_t i = 0; i < taps; ++i) all[i] = i;
    return all;
  }();
  static constexpr auto tap_offsets = [] {
    std::array<std::ptrdiff_t, taps> offsets{};
    for (std::size_t i = 0; i < taps; ++i) {
      offsets[i] = static_cast<std::ptrdiff_t>((i / G::kernel * shape_of<G>.padded_width() + i % G::kernel) *
                                               G::dilation * G::in_channels);
    }
    return offsets;
  }();
  static constexpr auto phase_offsets = [] {
    std::array<std::array<std::ptrdiff_t, taps>, met::all.size()> offsets{};
    for (std::size_t i = 0; i < offsets.size(); ++i)
      for (std::size_t tap = 0; tap < met::all[i].count; ++tap)
        offsets[i][tap] = static_cast<std::ptrdiff_t>(met::all[i].pixel[tap] * G::out_channels);
    return offsets;
  }();
  static constexpr auto phases = [] {
    std::array<convolution_phase, met::all.size()> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t count = met::all[i].count;
      all[i] = {std::span(met::all[i].tap).first(count), std::span(phase_offsets[i]).first(count)};
    }
    return all;
  }();
};

}  // namespace spikenet::detail
