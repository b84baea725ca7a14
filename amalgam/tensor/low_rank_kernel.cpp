#include "amalgam/tensor/low_rank_kernel.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "amalgam/tensor/float_formats.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/low_rank_kernel.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// x y + z, rounded once. Where there is no such instruction: the product is exact in double, and
// the sum rounded to odd there, so that rounding it to float decides as it would on the exact sum.
HWY_INLINE float multiply_add(float x, float y, float z) {
#if HWY_NATIVE_FMA
  return __builtin_fmaf(x, y, z);
#else
  const double product = static_cast<double>(x) * static_cast<double>(y);
  const double sum = product + z;
  const double rest = sum - product;
  const double error = (product - (sum - rest)) + (z - rest);
  auto bits = std::bit_cast<std::int64_t>(sum);
  const bool is_inexact = error > 0 || error < 0;
  if (is_inexact && (bits & 1) == 0) bits += (error > 0) == (sum > 0) ? 1 : -1;
  return static_cast<float>(std::bit_cast<double>(bits));
#endif
}
HWY_INLINE double multiply_add(double x, double y, double z) { return z + x * y; }

template <class D>
  requires(sizeof(hn::TFromD<D>) == sizeof(float))
HWY_INLINE hn::Vec<D> multiply_add(D d, hn::Vec<D> x, hn::Vec<D> y, hn::Vec<D> z) {
#if HWY_NATIVE_FMA
  static_cast<void>(d);
  return hn::MulAdd(x, y, z);
#else
  constexpr std::size_t kMost = hn::MaxLanes(D());
  std::array<float, kMost> a{};
  std::array<float, kMost> b{};
  std::array<float, kMost> c{};
  hn::StoreU(x, d, a.data());
  hn::StoreU(y, d, b.data());
  hn::StoreU(z, d, c.data());
  for (std::size_t i = 0; i < kMost; ++i) c[i] = multiply_add(a[i], b[i], c[i]);
  return hn::LoadU(d, c.data());
#endif
}
template <class D>
  requires(sizeof(hn::TFromD<D>) == sizeof(double))
HWY_INLINE hn::Vec<D> multiply_add(D /*d*/, hn::Vec<D> x, hn::Vec<D> y, hn::Vec<D> z) {
  return hn::Add(z, hn::Mul(x, y));
}

// The elements of W as they are.
template <class T>
struct PlainElements {
  T* out;
  PlainElements from(std::size_t place) const { return {out + place}; }
  void add(T sum, std::size_t at) const { out[at] += sum; }
  template <class D, class V>
  HWY_INLINE void add(D d, V sum, std::size_t at) const {
    hn::StoreU(hn::Add(hn::LoadU(d, out + at), sum), d, out + at);
  }
};

// As BF16, the upper halves of floats.
struct Bf16Elements {
  std::uint16_t* out;
  Bf16Elements from(std::size_t place) const { return {out + place}; }
  void add(float sum, std::size_t at) const {
    out[at] = formats::to_bf16(formats::from_bf16(out[at]) + sum);
  }
  template <class D, class V>
  HWY_INLINE void add(D d, V sum, std::size_t at) const {
    const hn::Rebind<std::uint32_t, D> bits;
    const hn::Rebind<std::uint16_t, D> half;
    const auto stored = hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half, out + at)));
    const auto value = hn::Add(hn::BitCast(d, stored), sum);
    const auto exact = hn::BitCast(bits, value);
    const auto odd = hn::And(hn::ShiftRight<16>(exact), hn::Set(bits, 1));
    const auto rounded = hn::Add(exact, hn::Add(odd, hn::Set(bits, 0x7FFF)));
    const auto quiet = hn::Or(exact, hn::Set(bits, 0x400000));
    const auto is_nan = hn::RebindMask(bits, hn::IsNaN(value));
    const auto upper = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
    hn::StoreU(hn::TruncateTo(half, upper), half, out + at);
  }
};

// One element at a time: columns that fill no vector.
template <class T, class Out>
void add_column(const LowRankBlock<T>& block, const T* left, Out out, std::size_t column) {
  T sum = 0;
  for (std::size_t k = 0; k < block.rank; ++k) {
    sum = multiply_add(left[k], block.right[k * block.stride + column], sum);
  }
  out.add(sum, column);
}

// Four rows together, so that what is loaded of `right` serves all of them.
template <class T, class Out>
void add_four_rows(const LowRankBlock<T>& block, const T* left, Out out) {
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
      a0 = multiply_add(d, fa, x0, a0);
      a1 = multiply_add(d, fa, x1, a1);
      b0 = multiply_add(d, fb, x0, b0);
      b1 = multiply_add(d, fb, x1, b1);
      c0 = multiply_add(d, fc, x0, c0);
      c1 = multiply_add(d, fc, x1, c1);
      e0 = multiply_add(d, fe, x0, e0);
      e1 = multiply_add(d, fe, x1, e1);
    }
    out.add(d, a0, j);
    out.add(d, a1, j + lanes);
    out.add(d, b0, stride + j);
    out.add(d, b1, stride + j + lanes);
    out.add(d, c0, 2 * stride + j);
    out.add(d, c1, 2 * stride + j + lanes);
    out.add(d, e0, 3 * stride + j);
    out.add(d, e1, 3 * stride + j + lanes);
  }
  for (; j < block.columns; ++j) {
    for (std::size_t i = 0; i < 4; ++i) add_column(block, left + i * rank, out.from(i * stride), j);
  }
}

template <class T, class Out>
void add_one_row(const LowRankBlock<T>& block, const T* left, Out out) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t j = 0;
  for (; j + lanes <= block.columns; j += lanes) {
    auto sum = hn::Zero(d);
    for (std::size_t k = 0; k < block.rank; ++k) {
      const auto x = hn::LoadU(d, block.right + k * block.stride + j);
      sum = multiply_add(d, hn::Set(d, left[k]), x, sum);
    }
    out.add(d, sum, j);
  }
  for (; j < block.columns; ++j) add_column(block, left, out, j);
}

template <class T, class Out>
void add_tile(const LowRankBlock<T>& block, Out out) {
  std::size_t row = 0;
  for (; row + 4 <= block.rows; row += 4) {
    add_four_rows(block, block.left + row * block.rank, out.from(row * block.stride));
  }
  for (; row < block.rows; ++row) {
    add_one_row(block, block.left + row * block.rank, out.from(row * block.stride));
  }
}

// Tile by tile of columns, so that the part of `right` that all rows need stays in the first-level
// cache.
template <class T, class Out>
void add_tiles(const LowRankBlock<T>& block, Out out) {
  constexpr std::size_t kTileBytes = 16384;
  constexpr std::size_t kLeastColumns = 128;
  const std::size_t fits = kTileBytes / (sizeof(T) * std::max<std::size_t>(block.rank, 1));
  const std::size_t width = std::max(kLeastColumns, fits / kLeastColumns * kLeastColumns);
  for (std::size_t first = 0; first < block.columns; first += width) {
    LowRankBlock<T> tile = block;
    tile.right += first;
    tile.columns = std::min(width, block.columns - first);
    add_tile(tile, out.from(first));
  }
}

void add_low_rank_f32(const LowRankBlock<float>& block) {
  add_tiles(block, PlainElements<float>{block.out});
}
void add_low_rank_f64(const LowRankBlock<double>& block) {
  add_tiles(block, PlainElements<double>{block.out});
}
void add_low_rank_bf16(const LowRankBlock<float>& block, std::uint16_t* out) {
  add_tiles(block, Bf16Elements{out});
}

}  // namespace amalgam::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam::kernels {
namespace {

HWY_EXPORT(add_low_rank_f32);
HWY_EXPORT(add_low_rank_f64);
HWY_EXPORT(add_low_rank_bf16);

}  // namespace

void add_low_rank(const LowRankBlock<float>& block) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f32)(block);
}
void add_low_rank(const LowRankBlock<double>& block) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_f64)(block);
}
void add_low_rank(const LowRankBlock<float>& block, std::uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(add_low_rank_bf16)(block, out);
}

}  // namespace amalgam::kernels
#endif
