#pragma once

#include <cstddef>

namespace amalgam::kernels {

/// The same columns of some rows of W + L R: with left [rows, rank], and right[k] and out[i]
/// beginning at right + k * stride and out + i * stride, out[i][j] = out[i][j] + (((0 + left[i][0]
/// right[0][j])
/// + left[i][1] right[1][j]) + ...) for j < columns. All in the type of the elements, in this order
/// and without fused multiply-add, so that an element has the same bits on every SIMD target and
/// however the matrix is cut into calls.
template <class T>
struct LowRankBlock {
  const T* left = nullptr;
  std::size_t rank = 0;
  const T* right = nullptr;
  T* out = nullptr;
  std::size_t stride = 0;
  std::size_t rows = 0;
  std::size_t columns = 0;
};
void add_low_rank(const LowRankBlock<float>& block);
void add_low_rank(const LowRankBlock<double>& block);

}  // namespace amalgam::kernels
