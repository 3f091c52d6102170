// Matrix products by Eigen, cut into blocks so small that Eigen keeps its packed operands on the stack (it takes heap
// memory behind operator new's back beyond 128 KiB, and a training step must not), one block of rows an item.
#pragma once

// Before Eigen, which includes the same intrinsics: see there.
#include "spikenet/backend/cpu/simd.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "spikenet/backend/cpu/thread_pool.hpp"

namespace spikenet::detail {

template <class T, int Order>
using matrix_view =
    Eigen::Map<std::conditional_t<std::is_const_v<T>,
                                  const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Order>,
                                  Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Order>>>;
template <class T>
using row_major = matrix_view<T, Eigen::RowMajor>;
template <class T>
using column_major = matrix_view<T, Eigen::ColMajor>;

// c = a * b; a and b are Eigen expressions over memory (maps, transposed maps).
template <class C, class A, class B>
void multiply(thread_pool& pool, C c, const A& a, const B& b) {
  using Eigen::Index;
  constexpr Index block_rows = 64, block_columns = 64, block_depth = 128;
  const Index row_blocks = (c.rows() + block_rows - 1) / block_rows;
  pool.run(static_cast<std::size_t>(row_blocks), [&](std::size_t item, std::size_t) {
    const Index row = static_cast<Index>(item) * block_rows, rows = std::min(block_rows, c.rows() - row);
    for (Index column = 0; column < c.cols(); column += block_columns) {
      const Index columns = std::min(block_columns, c.cols() - column);
      auto block = c.block(row, column, rows, columns);
      block.setZero();
      for (Index depth = 0; depth < a.cols(); depth += block_depth) {
        const Index depths = std::min(block_depth, a.cols() - depth);
        block.noalias() += a.block(row, depth, rows, depths) * b.block(depth, column, depths, columns);
      }
    }
  });
}

}  // namespace spikenet::detail
