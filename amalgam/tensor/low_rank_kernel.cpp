#include "amalgam/tensor/low_rank_kernel.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/low_rank_kernel.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// One element at a time: columns that fill no vector.
template <class T>
void add_column(const LowRankBlock<T>& block, const T* left, T* out, std::size_t column) {
  T sum = 0;
  for (std::size_t k = 0; k < block.rank; ++k) {
    sum += left[k] * block.right[k * block.stride + column];
  }
  out[column] += sum;
}

// Four rows together, so that what is loaded of `right` serves all of them.
template <class T>
void add_four_rows(const LowRankBlock<T>& block, const T* left, T* out) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t rank = block.rank;
  const std::size_t stride = block.stride;
  std::size_t j = 0;
  for (; j + 2 * lanes <= block.columns; j += 2 * lanes) {
    auto a0 = hn::Zero(d), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, e0 = a0, e1 = a0;
    for (std::size_t k = 0; k < rank; ++k) {
      const T* from = block.right + k * stride + j;
      const auto x0 = hn::LoadU(d, from);
      const auto x1 = hn::LoadU(d, from + lanes);
      const auto fa = hn::Set(d, left[k]);
      const auto fb = hn::Set(d, left[rank + k]);
      const auto fc = hn::Set(d, left[2 * rank + k]);
      const auto fe = hn::Set(d, left[3 * rank + k]);
      a0 = hn::Add(a0, hn::Mul(fa, x0));
      a1 = hn::Add(a1, hn::Mul(fa, x1));
      b0 = hn::Add(b0, hn::Mul(fb, x0));
      b1 = hn::Add(b1, hn::Mul(fb, x1));
      c0 = hn::Add(c0, hn::Mul(fc, x0));
      c1 = hn::Add(c1, hn::Mul(fc, x1));
      e0 = hn::Add(e0, hn::Mul(fe, x0));
      e1 = hn::Add(e1, hn::Mul(fe, x1));
    }
    const auto add = [&](std::size_t row, auto first, auto second) HWY_ATTR {
      T* to = out + row * stride + j;
      hn::StoreU(hn::Add(hn::LoadU(d, to), first), d, to);
      hn::StoreU(hn::Add(hn::LoadU(d, to + lanes), second), d, to + lanes);
    };
    add(0, a0, a1);
    add(1, b0, b1);
    add(2, c0, c1);
    add(3, e0, e1);
  }
  for (; j < block.columns; ++j) {
    for (std::size_t i = 0; i < 4; ++i) add_column(block, left + i * rank, out + i * stride, j);
  }
}

template <class T>
void add_one_row(const LowRankBlock<T>& block, const T* left, T* out) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t j = 0;
  for (; j + lanes <= block.columns; j += lanes) {
    auto sum = hn::Zero(d);
    for (std::size_t k = 0; k < block.rank; ++k) {
      const auto x = hn::LoadU(d, block.right + k * block.stride + j);
      sum = hn::Add(sum, hn::Mul(hn::Set(d, left[k]), x));
    }
    hn::StoreU(hn::Add(hn::LoadU(d, out + j), sum), d, out + j);
  }
  for (; j < block.columns; ++j) add_column(block, left, out, j);
}

template <class T>
void add_tile(const LowRankBlock<T>& block) {
  std::size_t row = 0;
  for (; row + 4 <= block.rows; row += 4) {
    add_four_rows(block, block.left + row * block.rank, block.out + row * block.stride);
  }
  for (; row < block.rows; ++row) {
    add_one_row(block, block.left + row * block.rank, block.out + row * block.stride);
  }
}

// Tile by tile of columns, so that the part of `right` that all rows need stays in the first-level
// cache.
template <class T>
void add_low_rank_loop(const LowRankBlock<T>& block) {
  constexpr std::size_t kTileBytes = 16384;
  constexpr std::size_t kLeastColumns = 128;
  const std::size_t fits = kTileBytes / (sizeof(T) * std::max<std::size_t>(block.rank, 1));
  const std::size_t width = std::max(kLeastColumns, fits / kLeastColumns * kLeastColumns);
  for (std::size_t first = 0; first < block.columns; first += width) {
    LowRankBlock<T> tile = block;
    tile.right += first;
    tile.out += first;
    tile.columns = std::min(width, block.columns - first);
    add_tile(tile);
  }
}

void add_low_rank_f32(const LowRankBlock<float>& block) { add_low_rank_loop(block); }
void add_low_rank_f64(const LowRankBlock<double>& block) { add_low_rank_loop(block); }

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(add_low_rank_f32);
HWY_EXPORT(add_low_rank_f64);

}  // namespace

void add_low_rank(const LowRankBlock<float>& block) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f32)(block);
}
void add_low_rank(const LowRankBlock<double>& block) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f64)(block);
}

}  // namespace amalgam::kernels
#endif
