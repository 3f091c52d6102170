// Convolution with 3x3 windows, stride 1 and padding 1 over channels-last maps by Winograd's minimal filtering, F(4x4,
// 3x3): Lavin and Gray 2015, arXiv 1509.09308.
//
// A tile of 4x4 output pixels sees 6x6 input pixels. Both it and the window are taken as polynomials and given by their
// values at six points in each direction, where the convolution is a product: 36 multiplications for each pair of
// channels instead of 144. Over the channels these are 36 matrix products, (tiles x in channels) * (in x out channels).
//
// A chunk of tiles goes through all three steps while it lies in the cache: the tiles' values at the points, the matrix
// products, the output from its values at the points. Rounding errors are about twice those of the direct kernel.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>

#include "spikenet/backend/cpu/convolution.hpp"
#include "spikenet/backend/cpu/simd.hpp"
#include "spikenet/backend/cpu/thread_pool.hpp"
#include "spikenet/core/buffer.hpp"

namespace spikenet::detail {

// Memory of the convolutions by Winograd's method, kept from call to call.
template <class T>
struct winograd_scratch {
  buffer<T> weights;  // their values at the points
  buffer<T> tiles;    // a chunk's values at the points, before and after the products, one for each worker
};

// The one-dimensional transforms for the points 0, a, -a, b, -b and infinity. With 5/8 and 3/2 all constants are exact
// in binary and the rounding errors a third of those with the usual 1 and 2.
template <class T>
struct winograd_points {
  static constexpr T a = T(0.625), b = T(1.5);
  static constexpr T a2 = a * a, b2 = b * b;
  static constexpr std::size_t outputs = 4, points = 6;

  // Values at the points of six pixels, without the factor that the weights have.
  template <class V>
  [[gnu::always_inline]] static void input(const V (&d)[points], V (&v)[points]) {
    const V even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
    const V even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
    v[0] = (d[4] - (a2 + b2) * d[2]) + a2 * b2 * d[0];
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = (d[5] - (a2 + b2) * d[3]) + a2 * b2 * d[1];
  }

  // Values at the points of three weights, each over the product of its point's distances to the others.
  template <class V>
  [[gnu::always_inline]] static void weight(const V (&g)[3], V (&u)[points]) {
    constexpr T at_0 = 1 / (a2 * b2), at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
    const V even_a = g[0] + a2 * g[2], even_b = g[0] + b2 * g[2];
    u[0] = at_0 * g[0];
    u[1] = at_a * (even_a + a * g[1]);
    u[2] = at_a * (even_a - a * g[1]);
    u[3] = at_b * (even_b + b * g[1]);
    u[4] = at_b * (even_b - b * g[1]);
    u[5] = g[2];
  }

  // The four output pixels from the values at the points.
  template <class V>
  [[gnu::always_inline]] static void output(const V (&m)[points], V (&y)[outputs]) {
    const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
    const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = (m[0] + even_a) + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = a2 * even_a + b2 * even_b;
    y[3] = (m[5] + a2 * a * odd_a) + b2 * b * odd_b;
  }
};

// u[point * step ...] = the values at the 36 points of the weights of one input channel for a vector of output
// channels. weight: [output channel][tap], output channels out_step apart; turned by 180 degrees where `turned`.
template <class T>
[[gnu::noinline]] void winograd_weights(const T* weight, std::size_t out_step, bool turned, T* u, std::size_t step) {
  using V = simd<T>;
  using points = winograd_points<T>;
  constexpr std::size_t L = lanes<T>;
  alignas(simd_bytes) T taps[9][L];
  for (std::size_t l = 0; l < L; ++l) {
    for (std::size_t tap = 0; tap < 9; ++tap) taps[tap][l] = weight[l * out_step + (turned ? 8 - tap : tap)];
  }
  V columns[points::points][3];
  for (std::size_t k = 0; k < 3; ++k) {
    const V g[3] = {load<V>(taps[k]), load<V>(taps[3 + k]), load<V>(taps[6 + k])};
    V at[points::points];
    points::weight(g, at);
    for (std::size_t i = 0; i < points::points; ++i) columns[i][k] = at[i];
  }
  for (std::size_t i = 0; i < points::points; ++i) {
    V at[points::points];
    points::weight(columns[i], at);
    SPIKENET_UNROLL
    for (std::size_t j = 0; j < points::points; ++j, u += step) store(u, at[j]);
  }
}

// v[point * Step + c] = the values at the 36 points of channel c of a tile. Of its six columns those from `first` to
// before `last` lie in the map, rows[i] is its pixel (i, first); the others are zero.
template <class T, std::size_t Channels, std::size_t Step>
[[gnu::noinline]] void winograd_input(const std::array<const T*, 6>& rows, std::size_t first, std::size_t last, T* v) {
  using V = simd<T>;
  using points = winograd_points<T>;
  constexpr std::size_t N = points::points;
  const T* const row[N] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};  // in registers
  V half[N][N];                                                                    // column, point
  const auto transform_column = [&](std::size_t column, std::size_t at) {
    V d[N], values[N];
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) d[i] = load<V>(row[i] + at);
    points::input(d, values);
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) half[column][i] = values[i];
  };
  const bool whole = first == 0 && last == N;
  if (!whole) std::fill_n(&half[0][0], N * N, V{});
  for (std::size_t c = 0; c < Channels; c += lanes<T>) {
    if (whole) {
      SPIKENET_UNROLL
      for (std::size_t column = 0; column < N; ++column) transform_column(column, c + column * Channels);
    } else {
      for (std::size_t column = first; column < last; ++column)
        transform_column(column, c + (column - first) * Channels);
    }
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) {
      V d[N], values[N];
      SPIKENET_UNROLL
      for (std::size_t j = 0; j < N; ++j) d[j] = half[j][i];
      points::input(d, values);
      SPIKENET_UNROLL
      for (std::size_t j = 0; j < N; ++j) store(v + (i * N + j) * Step + c, values[j]);
    }
  }
}

// The pixels of a tile from their values m[point * Step + c] at the points: its first `rows` rows and `columns`
// columns. Add: to what is there.
template <class T, std::size_t Channels, std::size_t Step, bool Add>
[[gnu::noinline]] void winograd_output(const T* m, const T* bias, T* y, std::size_t y_row, std::size_t rows,
                                       std::size_t columns) {
  using V = simd<T>;
  using points = winograd_points<T>;
  constexpr std::size_t N = points::points, R = points::outputs;
  for (std::size_t c = 0; c < Channels; c += lanes<T>) {
    V half[N][R];  // column, row
    SPIKENET_UNROLL
    for (std::size_t j = 0; j < N; ++j) {
      V values[N], pixels[R];
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < N; ++i) values[i] = load<V>(m + (i * N + j) * Step + c);
      points::output(values, pixels);
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < R; ++i) half[j][i] = pixels[i];
    }
    const V added = bias ? load<V>(bias + c) : V{};
    for (std::size_t i = 0; i < rows; ++i) {
      V values[N], pixels[R];
      SPIKENET_UNROLL
      for (std::size_t j = 0; j < N; ++j) values[j] = half[j][i];
      points::output(values, pixels);
      T* const to = y + i * y_row + c;
      const auto put = [&](std::size_t j) {
        V value = pixels[j] + added;
        if constexpr (Add) value += load<V>(to + j * Channels);
        store(to + j * Channels, value);
      };
      if (columns == R) {
        SPIKENET_UNROLL
        for (std::size_t j = 0; j < R; ++j) put(j);
      } else {
        for (std::size_t j = 0; j < columns; ++j) put(j);
      }
    }
  }
}

// m[tile][0 ... Vectors * lanes) = v[tile][0 ... Depth) * u for `tiles` tiles, rounded up to a multiple of Tiles.
template <class T, std::size_t Tiles, std::size_t Vectors, std::size_t Depth>
[[gnu::noinline]] void winograd_product(const T* v, const T* u, T* m, std::size_t m_step, std::size_t tiles) {
  using V = simd<T>;
  constexpr std::size_t L = lanes<T>;
  for (std::size_t tile = 0; tile < tiles; tile += Tiles, v += Tiles * Depth, m += Tiles * m_step) {
    V sum[Tiles][Vectors]{};
    const T* row = u;
    for (std::size_t d = 0; d < Depth; ++d, row += Vectors * L) {
      V w[Vectors];
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) w[q] = load<V>(row + q * L);
      SPIKENET_UNROLL
      for (std::size_t t = 0; t < Tiles; ++t) {
        const T value = v[t * Depth + d];
        SPIKENET_UNROLL
        for (std::size_t q = 0; q < Vectors; ++q) sum[t][q] += w[q] * value;
      }
    }
    SPIKENET_UNROLL
    for (std::size_t t = 0; t < Tiles; ++t) {
      SPIKENET_UNROLL
      for (std::size_t q = 0; q < Vectors; ++q) store(m + t * m_step + q * L, sum[t][q]);
    }
  }
}

template <class T, class G>
class winograd_convolution {
  static constexpr std::size_t L = lanes<T>;
  static constexpr std::size_t R = winograd_points<T>::outputs, N = winograd_points<T>::points;
  static constexpr std::size_t height = G::in_height, width = G::in_width;
  static constexpr std::size_t tile_rows = ceil_div(height, R), tile_columns = ceil_div(width, R);
  static constexpr std::size_t map_tiles = tile_rows * tile_columns;
  static constexpr std::size_t ahead = 2;  // tiles, so that their pixels are in the cache in time

 public:
  // Whether this class can compute the convolution.
  static constexpr bool fits = G::kernel == 3 && G::stride == 1 && G::padding == 1 && G::dilation == 1 &&
                               G::groups == 1 && G::in_channels % L == 0 && G::out_channels % L == 0;
  // Whether it should: the direct kernel takes longer. The transforms cost as much as the products with 18 channels (a
  // fit to measurements with 16 to 64 channels on maps of 3x3 to 28x28).
  static constexpr std::size_t fewest_channels = std::min(G::in_channels, G::out_channels);
  static constexpr bool applies =
      fits && std::same_as<T, float> && fewest_channels >= 16 &&
      map_tiles * N * N * (fewest_channels + 18) * 10 <= height * width * 9 * fewest_channels * 9;

  // y[n] = conv(x[n], weight) + bias for n = 0 ... items-1; bias may be null.
  // x [items, H, W, Cin], weight [Cout, Cin, 3, 3], bias [Cout], y [items, H, W, Cout]
  static void forward(thread_pool& pool, winograd_scratch<T>& scratch, std::size_t items, const T* x, const T* weight,
                      const T* bias, T* y) {
    static_assert(fits);
    using dir = direction<G::in_channels, G::out_channels>;
    const T* u = dir::transform(pool, scratch.weights, weight, 9, G::in_channels * 9, false);
    dir::run(pool, scratch.tiles, items, x, u, bias, y);
  }

  // gx[n] = the gradient by x[n]: the convolution of gy[n] with the windows turned by 180 degrees, channels exchanged.
  static void backward_input(thread_pool& pool, winograd_scratch<T>& scratch, std::size_t items, const T* gy,
                             const T* weight, T* gx) {
    using dir = direction<G::out_channels, G::in_channels>;
    dir::run(pool, scratch.tiles, items, gy, turned_weights(pool, scratch, weight), nullptr, gx);
  }

  // The same in parts, for who walks over the items himself. turned: the weights at the points; memory: that of all
  // workers; gy and gx: maps one after another. Add: to the gx that is there.
  static const T* turned_weights(thread_pool& pool, winograd_scratch<T>& scratch, const T* weight) {
    static_assert(fits);
    using dir = direction<G::out_channels, G::in_channels>;
    return dir::transform(pool, scratch.weights, weight, G::in_channels * 9, 9, true);
  }
  static T* backward_memory(thread_pool& pool, winograd_scratch<T>& scratch) {
    return scratch.tiles.reserve(direction<G::out_channels, G::in_channels>::worker_size * pool.workers());
  }
  template <bool Add>
  static void backward_input_of(std::size_t maps, const T* gy, const T* turned, T* memory, std::size_t worker, T* gx) {
    using dir = direction<G::out_channels, G::in_channels>;
    memory += worker * dir::worker_size;
    const std::size_t tiles = maps * map_tiles;
    for (std::size_t begin = 0; begin < tiles; begin += dir::chunk_tiles)
      dir::template run_chunk<Add>(begin, std::min(dir::chunk_tiles, tiles - begin), gy, turned, nullptr, memory, gx);
  }

 private:
  // Where the tile of this number lies in the maps of all items.
  template <std::size_t Channels>
  struct tile {
    std::size_t map, row, column;  // row and column of its first output pixel

    explicit tile(std::size_t number)
        : map{number / map_tiles}, row{number % map_tiles / tile_columns * R}, column{number % tile_columns * R} {}

    // Of its six input columns those from first() to before last() lie in the map.
    std::size_t first() const { return column == 0; }
    std::size_t last() const { return std::min(N, width + 1 - column); }
    std::size_t columns() const { return last() - first(); }
    bool has_row(std::size_t i) const { return row + i >= 1 && row + i <= height; }
    std::size_t input(std::size_t i) const { return at(row + i - 1, column + first() - 1); }

    std::size_t out_rows() const { return std::min(R, height - row); }
    std::size_t out_columns() const { return std::min(R, width - column); }
    std::size_t output() const { return at(row, column); }

   private:
    std::size_t at(std::size_t y, std::size_t x) const { return ((map * height + y) * width + x) * Channels; }
  };

  // To be read or written soon.
  template <int Write>
  static void prefetch(const T* p, std::size_t count) {
    for (std::size_t i = 0; i < count; i += 64 / sizeof(T)) __builtin_prefetch(p + i, Write);
  }

  template <std::size_t In, std::size_t Out>
  struct direction {
    // Register tile of the products.
    static constexpr std::size_t vectors = [] {
      std::size_t count = simd_registers == 32 ? 4 : 2;
      while (Out / L % count != 0) --count;
      return count;
    }();
    static constexpr std::size_t tile_block = tile_accumulators / vectors;
    static constexpr std::size_t block = vectors * L;

    // Tiles of a chunk: few, so that their values stay in the cache, but many where all weights come from memory anew
    // for each chunk. (Measured: 6 to 48 are as good up to 128 channels; 96 are 1.3 times as fast as 24 with 512.)
    static constexpr std::size_t chunk_tiles = ceil_div(In * Out > 128 * 128 ? 96 : 24, tile_block) * tile_block;
    // From one point to the next; not a power of two, lest all points contend for the same lines of the cache.
    static constexpr std::size_t v_step = chunk_tiles * In + 64 / sizeof(T);
    static constexpr std::size_t m_step = chunk_tiles * Out + 64 / sizeof(T);

    // [point][block of output channels][input channel][output channel of the block]
    static const T* transform(thread_pool& pool, buffer<T>& weights, const T* weight, std::size_t in_step,
                              std::size_t out_step, bool turned) {
      T* const u = weights.reserve(N * N * In * Out);
      pool.run(ceil_div(In, 16), [&](std::size_t item, std::size_t) {
        for (std::size_t in = item * 16; in < std::min(In, (item + 1) * 16); ++in) {
          for (std::size_t out = 0; out < Out; out += L) {
            winograd_weights(weight + in * in_step + out * out_step, out_step, turned,
                             u + (out / block * In + in) * block + out % block, In * Out);
          }
        }
      });
      return u;
    }

    // for each worker: a chunk's values at the points, before and after the products, and pixels outside the map
    static constexpr std::size_t zeros = N * N * (v_step + m_step), worker_size = zeros + N * In;

    static void run(thread_pool& pool, buffer<T>& memory, std::size_t items, const T* x, const T* u, const T* bias,
                    T* y) {
      T* const all = memory.reserve(worker_size * pool.workers());
      const std::size_t tiles = items * map_tiles;
      pool.run(ceil_div(tiles, chunk_tiles), [&](std::size_t chunk, std::size_t worker) {
        const std::size_t begin = chunk * chunk_tiles;
        run_chunk<false>(begin, std::min(chunk_tiles, tiles - begin), x, u, bias, all + worker * worker_size, y);
      });
    }

    // `count` tiles from number `begin` of the maps x.
    template <bool Add>
    static void run_chunk(std::size_t begin, std::size_t count, const T* x, const T* u, const T* bias, T* memory,
                          T* y) {
      T* const v = memory;
      T* const m = v + N * N * v_step;
      T* const zero = v + zeros;
      std::fill_n(zero, N * In, T{});
      for (std::size_t t = 0; t < count; ++t) {
        if (t + ahead < count) {
          const tile<In> next(begin + t + ahead);
          for (std::size_t i = 0; i < N; ++i) {
            if (next.has_row(i)) prefetch<0>(x + next.input(i), next.columns() * In);
          }
        }
        const tile<In> at(begin + t);
        std::array<const T*, N> rows;
        for (std::size_t i = 0; i < N; ++i) rows[i] = at.has_row(i) ? x + at.input(i) : zero;
        winograd_input<T, In, v_step>(rows, at.first(), at.last(), v + t * In);
      }
      for (std::size_t point = 0; point < N * N; ++point) {
        for (std::size_t out = 0; out < Out; out += block) {
          winograd_product<T, tile_block, vectors, In>(v + point * v_step, u + (point * Out + out) * In,
                                                       m + point * m_step + out, Out, count);
        }
      }
      for (std::size_t t = 0; t < count; ++t) {
        if (t + ahead < count) {
          const tile<Out> next(begin + t + ahead);
          for (std::size_t i = 0; i < next.out_rows(); ++i)
            prefetch<1>(y + next.output() + i * width * Out, next.out_columns() * Out);
        }
        const tile<Out> at(begin + t);
        winograd_output<T, Out, m_step, Add>(m + t * Out, bias, y + at.output(), width * Out, at.out_rows(),
                                             at.out_columns());
      }
    }
  };
};

}  // namespace spikenet::detail
