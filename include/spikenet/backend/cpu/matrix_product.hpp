// Matrix products by Eigen, cut into blocks so small that Eigen keeps its packed operands on the stack (it takes heap
// memory behind operator new's back beyond 128 KiB, and a training step must not), one block of rows an item.
//
// This calls the kernel beneath Eigen's expressions. The expressions compile five times as long: they bring products with
// vectors and of small matrices along.
#pragma once

// Before Eigen, which includes the same intrinsics: see there.
#include "spikenet/backend/cpu/simd.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>

#include "spikenet/backend/cpu/thread_pool.hpp"

namespace spikenet::detail {

// A matrix in memory with no gaps. Column-major: the transposed matrix in the same memory.
template <class T, int Order>
struct matrix_view {
  using index = Eigen::Index;
  T* data;
  index rows, columns;

  index step() const { return Order == Eigen::RowMajor ? columns : rows; }
  T* at(index row, index column) const {
    return data + (Order == Eigen::RowMajor ? row * columns + column : column * rows + row);
  }
};
template <class T>
using row_major = matrix_view<T, Eigen::RowMajor>;
template <class T>
using column_major = matrix_view<T, Eigen::ColMajor>;

// c = a * b
template <class T, int OrderA, int OrderB>
void multiply(thread_pool& pool, row_major<T> c, matrix_view<const T, OrderA> a, matrix_view<const T, OrderB> b) {
  using Eigen::Index;
  using kernel = Eigen::internal::general_matrix_matrix_product<Index, T, OrderA, false, T, OrderB, false,
                                                                Eigen::RowMajor, 1>;
  using blocking = Eigen::internal::gemm_blocking_space<Eigen::RowMajor, T, T, Eigen::Dynamic, Eigen::Dynamic,
                                                        Eigen::Dynamic>;
  constexpr Index block_rows = 64, block_columns = 64, block_depth = 128;
  const Index row_blocks = (c.rows + block_rows - 1) / block_rows;
  pool.run(static_cast<std::size_t>(row_blocks), [&](std::size_t item, std::size_t) {
    const Index row = static_cast<Index>(item) * block_rows, rows = std::min(block_rows, c.rows - row);
    std::fill_n(c.at(row, 0), rows * c.columns, T{});
    for (Index column = 0; column < c.columns; column += block_columns) {
      const Index columns = std::min(block_columns, c.columns - column);
      for (Index depth = 0; depth < a.columns; depth += block_depth) {
        const Index depths = std::min(block_depth, a.columns - depth);
        blocking memory(rows, columns, depths, 1, true);
        kernel::run(rows, columns, depths, a.at(row, depth), a.step(), b.at(depth, column), b.step(),
                    c.at(row, column), 1, c.step(), T{1}, memory);
      }
    }
  });
}

}  // namespace spikenet::detail
