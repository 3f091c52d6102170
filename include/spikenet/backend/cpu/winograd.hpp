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

// v[point * step + c] = the values at the 36 points of channel c of a tile. Of its six columns those from `first` to
// before `last` lie in the map, rows[i] is its pixel (i, first); the others are zero.
template <class T>
[[gnu::noinline]] void winograd_input(std::size_t channels, const std::array<const T*, 6>& rows, std::size_t first,
                                      std::size_t last, T* v, std::size_t step) {
  using V = simd<T>;
  using points = winograd_points<T>;
  constexpr std::size_t N = points::points;
  const T* const row[N] = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]};  // in registers
  V half[N][N];                                                                    // column, point
  const auto transform_column = [&](std::size_t column, std::size_t at) SPIKENET_INLINE {
    V d[N], values[N];
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) d[i] = load<V>(row[i] + at);
    points::input(d, values);
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) half[column][i] = values[i];
  };
  const bool whole = first == 0 && last == N;
  if (!whole) std::fill_n(&half[0][0], N * N, V{});
  for (std::size_t c = 0; c < channels; c += lanes<T>) {
    if (whole) {
      SPIKENET_UNROLL
      for (std::size_t column = 0; column < N; ++column) transform_column(column, c + column * channels);
    } else {
      for (std::size_t column = first; column < last; ++column)
        transform_column(column, c + (column - first) * channels);
    }
    T* to = v + c;
    SPIKENET_UNROLL
    for (std::size_t i = 0; i < N; ++i) {
      V d[N], values[N];
      SPIKENET_UNROLL
      for (std::size_t j = 0; j < N; ++j) d[j] = half[j][i];
      points::input(d, values);
      SPIKENET_UNROLL
      for (std::size_t j = 0; j < N; ++j, to += step) store(to, values[j]);
    }
  }
}

// The pixels of a tile from their values m[point * step + c] at the points: its first `rows` rows and `columns`
// columns. Add: to what is there.
template <class T, bool Add>
[[gnu::noinline]] void winograd_output(std::size_t channels, const T* m, std::size_t step, const T* bias, T* y,
                                       std::size_t y_row, std::size_t rows, std::size_t columns) {
  using V = simd<T>;
  using points = winograd_points<T>;
  constexpr std::size_t N = points::points, R = points::outputs;
  for (std::size_t c = 0; c < channels; c += lanes<T>) {
    V half[N][R];  // column, row
    SPIKENET_UNROLL
    for (std::size_t j = 0; j < N; ++j) {
      V values[N], pixels[R];
      const T* from = m + j * step + c;
      SPIKENET_UNROLL
      for (std::size_t i = 0; i < N; ++i, from += N * step) values[i] = load<V>(from);
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
      const auto put = [&](std::size_t j) SPIKENET_INLINE {
        V value = pixels[j] + added;
        if constexpr (Add) value += load<V>(to + j * channels);
        store(to + j * channels, value);
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

// Tiles of the maps of all items in order, where they lie.
class winograd_tile {
  static constexpr std::size_t R = winograd_points<float>::outputs, N = winograd_points<float>::points;

 public:
  winograd_tile(std::size_t height, std::size_t width, std::size_t number) : height_{height}, width_{width} {
    const std::size_t columns = ceil_div(width, R), of_map = ceil_div(height, R) * columns;
    map_ = number / of_map;
    row_ = number % of_map / columns * R;
    column_ = number % columns * R;
  }
  void operator++() {
    if ((column_ += R) < width_) return;
    column_ = 0;
    if ((row_ += R) < height_) return;
    row_ = 0;
    ++map_;
  }

  // Of its six input columns those from first() to before last() lie in the map.
  std::size_t first() const { return column_ == 0; }
  std::size_t last() const { return std::min(N, width_ + 1 - column_); }
  std::size_t columns() const { return last() - first(); }
  bool has_row(std::size_t i) const { return row_ + i >= 1 && row_ + i <= height_; }
  // Pixels from the first of all maps.
  std::size_t input(std::size_t i) const { return at(row_ + i - 1, column_ + first() - 1); }

  std::size_t out_rows() const { return std::min(R, height_ - row_); }
  std::size_t out_columns() const { return std::min(R, width_ - column_); }
  std::size_t output() const { return at(row_, column_); }

 private:
  std::size_t at(std::size_t y, std::size_t x) const { return (map_ * height_ + y) * width_ + x; }

  std::size_t height_, width_, map_, row_, column_;  // row and column of the tile's first output pixel
};

// The convolution of maps of `in` channels that makes maps of `out` channels. Its numbers are known at compile time, but
// all layers share the code.
template <class T>
struct winograd_pass {
  static constexpr std::size_t L = lanes<T>;
  static constexpr std::size_t R = winograd_points<T>::outputs, N = winograd_points<T>::points;
  static constexpr std::size_t ahead = 2;  // tiles, so that their pixels are in the cache in time

  std::size_t height, width, in, out;
  std::size_t block;        // output channels of a register tile of the products
  std::size_t chunk_tiles;  // see make
  std::size_t v_step, m_step;  // from one point to the next, before and after the products
  decltype(&winograd_product<T, 1, 1, 1>) product;

  template <std::size_t In, std::size_t Out>
  static constexpr winograd_pass make(std::size_t height, std::size_t width) {
    constexpr std::size_t vectors = [] {
      std::size_t count = simd_registers == 32 ? 4 : 2;
      while (Out / L % count != 0) --count;
      return count;
    }();
    constexpr std::size_t tile_block = tile_accumulators / vectors;
    // Tiles of a chunk: few, so that their values stay in the cache, but many where all weights come from memory anew
    // for each chunk. (Measured: 6 to 48 are as good up to 128 channels; 96 are 1.3 times as fast as 24 with 512.)
    constexpr std::size_t chunk = ceil_div(In * Out > 128 * 128 ? 96 : 24, tile_block) * tile_block;
    // Not a power of two, lest all points contend for the same lines of the cache.
    constexpr std::size_t beside = 64 / sizeof(T);
    return {.height = height,
            .width = width,
            .in = In,
            .out = Out,
            .block = vectors * L,
            .chunk_tiles = chunk,
            .v_step = chunk * In + beside,
            .m_step = chunk * Out + beside,
            .product = &winograd_product<T, tile_block, vectors, In>};
  }

  constexpr std::size_t map_tiles() const { return ceil_div(height, R) * ceil_div(width, R); }
  // What each worker has: a chunk's values at the points, before and after the products, and pixels outside the map.
  constexpr std::size_t worker_size() const { return N * N * (v_step + m_step) + N * in; }

  // [point][block of output channels][input channel][output channel of the block]
  const T* transform(thread_pool& pool, buffer<T>& weights, const T* weight, std::size_t in_step, std::size_t out_step,
                     bool turned) const {
    T* const u = weights.reserve(N * N * in * out);
    pool.run(ceil_div(in, 16), [&](std::size_t item, std::size_t) {
      for (std::size_t i = item * 16; i < std::min(in, (item + 1) * 16); ++i) {
        for (std::size_t o = 0; o < out; o += L) {
          winograd_weights(weight + i * in_step + o * out_step, out_step, turned,
                           u + (o / block * in + i) * block + o % block, in * out);
        }
      }
    });
    return u;
  }

  // The weights of backward_input's convolution: weight [in, out, 3, 3]
  const T* transform_turned(thread_pool& pool, buffer<T>& weights, const T* weight) const {
    return transform(pool, weights, weight, out * 9, 9, true);
  }

  void run(thread_pool& pool, buffer<T>& memory, std::size_t items, const T* x, const T* u, const T* bias, T* y) const {
    T* const all = memory.reserve(worker_size() * pool.workers());
    const std::size_t tiles = items * map_tiles();
    pool.run(ceil_div(tiles, chunk_tiles), [&](std::size_t chunk, std::size_t worker) {
      const std::size_t begin = chunk * chunk_tiles;
      run_chunk(begin, std::min(chunk_tiles, tiles - begin), x, u, bias, all + worker * worker_size(), y, false);
    });
  }

  // `count` tiles from number `begin` of the maps x. add: to the y that is there.
  [[gnu::noinline]] void run_chunk(std::size_t begin, std::size_t count, const T* x, const T* u, const T* bias,
                                   T* memory, T* y, bool add) const {
    T* const v = memory;
    T* const m = v + N * N * v_step;
    T* const zero = m + N * N * m_step;
    std::fill_n(zero, N * in, T{});
    const winograd_tile first(height, width, begin), first_ahead(height, width, begin + ahead);

    winograd_tile at = first, next = first_ahead;
    for (std::size_t t = 0; t < count; ++t, ++at, ++next) {
      if (t + ahead < count) {
        for (std::size_t i = 0; i < N; ++i) {
          if (next.has_row(i)) prefetch<0>(x + next.input(i) * in, next.columns() * in);
        }
      }
      std::array<const T*, N> rows;
      for (std::size_t i = 0; i < N; ++i) rows[i] = at.has_row(i) ? x + at.input(i) * in : zero;
      winograd_input(in, rows, at.first(), at.last(), v + t * in, v_step);
    }
    for (std::size_t point = 0; point < N * N; ++point) {
      for (std::size_t o = 0; o < out; o += block)
        product(v + point * v_step, u + (point * out + o) * in, m + point * m_step + o, out, count);
    }
    const auto output = add ? &winograd_output<T, true> : &winograd_output<T, false>;
    at = first, next = first_ahead;
    for (std::size_t t = 0; t < count; ++t, ++at, ++next) {
      if (t + ahead < count) {
        for (std::size_t i = 0; i < next.out_rows(); ++i)
          prefetch<1>(y + (next.output() + i * width) * out, next.out_columns() * out);
      }
      output(out, m + t * out, m_step, bias, y + at.output() * out, width * out, at.out_rows(), at.out_columns());
    }
  }

 private:
  // To be read or written soon.
  template <int Write>
  static void prefetch(const T* p, std::size_t count) {
    for (std::size_t i = 0; i < count; i += 64 / sizeof(T)) __builtin_prefetch(p + i, Write);
  }
};

template <class T, class G>
class winograd_convolution {
  static constexpr std::size_t L = lanes<T>;
  static constexpr std::size_t R = winograd_points<T>::outputs, N = winograd_points<T>::points;
  static constexpr std::size_t height = G::in_height, width = G::in_width;
  static constexpr std::size_t map_tiles = ceil_div(height, R) * ceil_div(width, R);

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
    static constexpr auto pass = winograd_pass<T>::template make<G::in_channels, G::out_channels>(height, width);
    const T* u = pass.transform(pool, scratch.weights, weight, 9, G::in_channels * 9, false);
    pass.run(pool, scratch.tiles, items, x, u, bias, y);
  }

  // gx[n] = the gradient by x[n]: the convolution of gy[n] with the windows turned by 180 degrees, channels exchanged.
  static void backward_input(thread_pool& pool, winograd_scratch<T>& scratch, std::size_t items, const T* gy,
                             const T* weight, T* gx) {
    static_assert(fits);
    backward_pass.run(pool, scratch.tiles, items, gy, backward_pass.transform_turned(pool, scratch.weights, weight),
                      nullptr, gx);
  }

  // The pass of backward_input, for who walks over the items himself.
  static constexpr winograd_pass<T> backward_pass =
      winograd_pass<T>::template make<G::out_channels, G::in_channels>(height, width);
};

}  // namespace spikenet::detail
