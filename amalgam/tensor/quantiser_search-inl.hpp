// The search for scales of sub-blocks, 16 of them at a time: one lane each, so that every sum has
// one order on every machine. Included once per SIMD target, within it. Internal to amalgam/tensor.

#include <array>
#include <cstddef>
#include <cstdint>

#include "amalgam/tensor/iq4_levels.hpp"

#if defined(AMALGAM_TENSOR_QUANTISER_SEARCH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_TENSOR_QUANTISER_SEARCH_INL_HPP
#undef AMALGAM_TENSOR_QUANTISER_SEARCH_INL_HPP
#else
#define AMALGAM_TENSOR_QUANTISER_SEARCH_INL_HPP
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Sub-blocks that are searched together.
constexpr std::size_t kColumns = 16;
using ColumnTag = hn::CappedTag<float, kColumns>;
using Column = hn::Vec<ColumnTag>;

/// A number per sub-block.
struct alignas(64) ColumnValues : std::array<float, kColumns> {};

/// Element j of sub-block s at [j * kColumns + s].
template <std::size_t n>
struct alignas(64) Columns {
  std::array<float, n * kColumns> values;
  std::array<float, n * kColumns> weights;  // of the squared errors; unused if all are 1
};

/// Sub-blocks of n elements that follow each other, into columns: tiles of 4 x 4.
template <std::size_t n>
HWY_INLINE void transpose(const float* HWY_RESTRICT rows, float* HWY_RESTRICT columns) {
  const hn::Full128<float> d;
  const hn::Full128<double> pairs;
  const auto as_pairs = [&](auto v) HWY_ATTR { return hn::BitCast(pairs, v); };
  const auto store = [&](auto v, float* to) HWY_ATTR { hn::Store(hn::BitCast(d, v), d, to); };
  for (std::size_t s = 0; s < kColumns; s += 4) {
    for (std::size_t j = 0; j < n; j += 4) {
      const float* HWY_RESTRICT from = rows + s * n + j;
      const auto r0 = hn::LoadU(d, from);
      const auto r1 = hn::LoadU(d, from + n);
      const auto r2 = hn::LoadU(d, from + 2 * n);
      const auto r3 = hn::LoadU(d, from + 3 * n);
      const auto low01 = as_pairs(hn::InterleaveLower(d, r0, r1));
      const auto low23 = as_pairs(hn::InterleaveLower(d, r2, r3));
      const auto high01 = as_pairs(hn::InterleaveUpper(d, r0, r1));
      const auto high23 = as_pairs(hn::InterleaveUpper(d, r2, r3));
      float* HWY_RESTRICT to = columns + j * kColumns + s;
      store(hn::InterleaveLower(pairs, low01, low23), to);
      store(hn::InterleaveUpper(pairs, low01, low23), to + kColumns);
      store(hn::InterleaveLower(pairs, high01, high23), to + 2 * kColumns);
      store(hn::InterleaveUpper(pairs, high01, high23), to + 3 * kColumns);
    }
  }
}

/// To nearest even for |x| <= 2^22: adding this leaves no room for a fraction.
constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23

HWY_INLINE Column rounded(Column x) {
  const auto rounder = hn::Set(ColumnTag(), kRounder);
  return hn::Sub(hn::Add(x, rounder), rounder);
}

HWY_INLINE Column clamped(Column x, float low, float high) {
  const ColumnTag d;
  return hn::Min(hn::Max(x, hn::Set(d, low)), hn::Set(d, high));
}

/// The integers from `low` to `high`, as what a scaled value is rounded to.
struct LinearLevels {
  float low;
  float high;
  HWY_INLINE Column operator()(Column x) const { return rounded(clamped(x, low, high)); }
};

/// The values of IQ4_NL and IQ4_XS.
struct Iq4Levels {
  static constexpr float low = kIq4Levels.front();
  static constexpr float high = kIq4Levels.back();
  HWY_INLINE Column operator()(Column x) const {
    const ColumnTag d;
    Column nearest = hn::Set(d, low);
    for (std::size_t k = 0; k + 1 < kIq4Levels.size(); ++k) {
      nearest = hn::IfThenElse(hn::Gt(x, hn::Set(d, kIq4Middles[k])),
                               hn::Set(d, static_cast<float>(kIq4Levels[k + 1])), nearest);
    }
    return nearest;
  }
};

/// 1 / x, and 0 where that would overflow or x is negative or 0.
HWY_INLINE Column inverse_of_positive(Column x) {
  const ColumnTag d;
  return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, 1e-30F)), hn::Div(hn::Set(d, 1.0F), x));
}

/// The same for numbers of either sign.
HWY_INLINE Column inverse_of_any(Column x) {
  const ColumnTag d;
  return hn::IfThenElseZero(hn::Gt(hn::Abs(x), hn::Set(d, 1e-30F)), hn::Div(hn::Set(d, 1.0F), x));
}

/// Sums over a sub-block of the levels q, their squares, and their products with the values, each
/// times the element's weight.
struct LevelSums {
  Column q;
  Column qq;
  Column qx;
};

/// q is the level for x inverse + shift. `at`: the first sub-block.
template <bool weighted, std::size_t n, class Levels>
HWY_INLINE LevelSums sum_levels(const Columns<n>& columns, std::size_t at, Column inverse,
                                Column shift, const Levels& levels) {
  const ColumnTag d;
  LevelSums sums{hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (std::size_t j = 0; j < n; ++j) {
    const Column x = hn::Load(d, columns.values.data() + j * kColumns + at);
    const Column q = levels(hn::Add(hn::Mul(x, inverse), shift));
    Column wq = q;
    if constexpr (weighted) {
      wq = hn::Mul(q, hn::Load(d, columns.weights.data() + j * kColumns + at));
    }
    sums.q = hn::Add(sums.q, wq);
    sums.qq = hn::Add(sums.qq, hn::Mul(wq, q));
    sums.qx = hn::Add(sums.qx, hn::Mul(wq, x));
  }
  return sums;
}

/// What does not depend on the levels: the weights, and the values times them, summed; the range.
struct ValueSums {
  Column weight;
  Column x;
  Column low;
  Column high;
};

template <bool weighted, std::size_t n>
HWY_INLINE ValueSums sum_values(const Columns<n>& columns, std::size_t at) {
  const ColumnTag d;
  const Column first = hn::Load(d, columns.values.data() + at);
  ValueSums sums{hn::Zero(d), hn::Zero(d), first, first};
  for (std::size_t j = 0; j < n; ++j) {
    const Column x = hn::Load(d, columns.values.data() + j * kColumns + at);
    sums.low = hn::Min(sums.low, x);
    sums.high = hn::Max(sums.high, x);
    if constexpr (weighted) {
      const Column w = hn::Load(d, columns.weights.data() + j * kColumns + at);
      sums.weight = hn::Add(sums.weight, w);
      sums.x = hn::Add(sums.x, hn::Mul(w, x));
    } else {
      sums.x = hn::Add(sums.x, x);
    }
  }
  if constexpr (!weighted) sums.weight = hn::Set(d, static_cast<float>(n));
  return sums;
}

/// The scales that are tried: those with which the range takes first, first + step, ... levels more
/// than there are. The best is improved `refinements` times: levels anew, least squares anew.
struct SearchPlan {
  float first;
  float step;
  int count;
  int refinements;
};

/// x is about scale q - offset; sums over the levels of that fit.
struct alignas(64) AffineFit {
  ColumnValues scale;
  ColumnValues offset;
  ColumnValues level_sum;
  ColumnValues value_sum;
  ColumnValues weight_sum;
};

/// Least squares for scale and offset: the smallest sum of w (scale q - offset - x)^2 over levels
/// 0 to `top`. `kOffsetNotNegative`: the offset is at least 0 (the formats' minima are subtracted).
template <bool weighted, bool kOffsetNotNegative, std::size_t n>
HWY_INLINE void fit_affine(const Columns<n>& columns, float top, const SearchPlan& plan,
                           AffineFit& fit) {
  const ColumnTag d;
  const LinearLevels levels{0.0F, top};
  const Column zero = hn::Zero(d);
  for (std::size_t at = 0; at < kColumns; at += hn::Lanes(d)) {
    const ValueSums values = sum_values<weighted>(columns, at);
    const Column low = kOffsetNotNegative ? hn::Min(values.low, zero) : values.low;
    const Column per_range = inverse_of_positive(hn::Sub(values.high, low));
    Column best_scale = zero;
    Column best_offset = hn::Neg(low);
    Column best_levels = zero;
    Column best_gain = hn::Set(d, -1.0F);
    const auto consider = [&](Column inverse, Column shift) HWY_ATTR {
      const LevelSums sums = sum_levels<weighted>(columns, at, inverse, shift, levels);
      const Column spread = hn::Mul(values.weight, sums.qq);
      const Column determinant = hn::Sub(spread, hn::Mul(sums.q, sums.q));
      const auto two = hn::Gt(determinant, hn::Mul(spread, hn::Set(d, 1e-5F)));
      const Column by = hn::Div(hn::Set(d, 1.0F), hn::IfThenElse(two, determinant, spread));
      Column scale =
          hn::Mul(hn::Sub(hn::Mul(values.weight, sums.qx), hn::Mul(sums.q, values.x)), by);
      Column offset = hn::Mul(hn::Sub(hn::Mul(sums.q, sums.qx), hn::Mul(sums.qq, values.x)), by);
      if constexpr (kOffsetNotNegative) {
        const auto both = hn::And(two, hn::Ge(offset, zero));
        scale = hn::IfThenElse(both, scale, hn::Div(sums.qx, sums.qq));
        offset = hn::IfThenElseZero(both, offset);
      }
      // What the fit takes away from the sum of squares.
      const Column gain = hn::Sub(hn::Mul(scale, sums.qx), hn::Mul(offset, values.x));
      auto better = hn::And(hn::Gt(sums.qq, zero), hn::Gt(gain, best_gain));
      if constexpr (!kOffsetNotNegative) better = hn::And(better, two);
      best_gain = hn::IfThenElse(better, gain, best_gain);
      best_scale = hn::IfThenElse(better, scale, best_scale);
      best_offset = hn::IfThenElse(better, offset, best_offset);
      best_levels = hn::IfThenElse(better, sums.q, best_levels);
    };
    for (int i = 0; i < plan.count; ++i) {
      const float range = top + plan.first + plan.step * static_cast<float>(i);
      const Column inverse = hn::Mul(hn::Set(d, range), per_range);
      consider(inverse, hn::Neg(hn::Mul(low, inverse)));
    }
    for (int i = 0; i < plan.refinements; ++i) {
      const Column inverse = inverse_of_positive(best_scale);
      consider(inverse, hn::Mul(best_offset, inverse));
    }
    hn::Store(best_scale, d, fit.scale.data() + at);
    hn::Store(best_offset, d, fit.offset.data() + at);
    hn::Store(best_levels, d, fit.level_sum.data() + at);
    hn::Store(values.x, d, fit.value_sum.data() + at);
    hn::Store(values.weight, d, fit.weight_sum.data() + at);
  }
}

/// Least squares for a scale of either sign: the value of largest magnitude goes to either end of
/// the levels.
template <bool weighted, std::size_t n, class Levels>
HWY_INLINE void fit_symmetric(const Columns<n>& columns, const Levels& levels,
                              const SearchPlan& plan, ColumnValues& scales) {
  const ColumnTag d;
  const Column zero = hn::Zero(d);
  for (std::size_t at = 0; at < kColumns; at += hn::Lanes(d)) {
    const ValueSums values = sum_values<weighted>(columns, at);
    const auto is_low = hn::Gt(hn::Neg(values.low), values.high);
    const Column extreme = hn::IfThenElse(is_low, values.low, values.high);
    const Column per_extreme = inverse_of_any(extreme);
    Column best_scale = zero;
    Column best_gain = zero;
    const auto consider = [&](Column inverse) HWY_ATTR {
      const LevelSums sums = sum_levels<weighted>(columns, at, inverse, zero, levels);
      const Column scale = hn::Div(sums.qx, sums.qq);
      const Column gain = hn::Mul(scale, sums.qx);
      const auto better = hn::And(hn::Gt(sums.qq, zero), hn::Gt(gain, best_gain));
      best_gain = hn::IfThenElse(better, gain, best_gain);
      best_scale = hn::IfThenElse(better, scale, best_scale);
    };
    for (int i = 0; i < plan.count; ++i) {
      const float more = plan.first + plan.step * static_cast<float>(i);
      consider(hn::Mul(hn::Set(d, levels.low - more), per_extreme));
      consider(hn::Mul(hn::Set(d, levels.high + more), per_extreme));
    }
    for (int i = 0; i < plan.refinements; ++i) consider(inverse_of_any(best_scale));
    hn::Store(best_scale, d, scales.data() + at);
  }
}

}  // namespace
}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // AMALGAM_TENSOR_QUANTISER_SEARCH_INL_HPP
