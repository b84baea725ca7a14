#pragma once

#include <cstddef>
#include <cstdint>

namespace amalgam::kernels {

/// The same columns of some rows of W + L R: with left [rows, rank], and right[k] and out[i]
/// beginning at right + k * stride and out + i * stride, for j < columns
///
///   out[i][j] = out[i][j] + sum_k left[i][k] right[k][j],
///
/// the sum in the order of k, from 0 on, in the type of the elements. Of floats each step is a
/// fused multiply-add, rounded once (processors without one compute the same); of doubles a product
/// and a sum, each rounded. So an element has the same bits on every SIMD target and however the
/// matrix is cut into calls.
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

/// The same for a W of BF16 at `out`, in place of block.out: the float that add_low_rank gives is
/// rounded to nearest even.
void add_low_rank(const LowRankBlock<float>& block, std::uint16_t* out);

}  // namespace amalgam::kernels
