#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/k_quant_encode.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "amalgam/tensor/k_quant_layouts-inl.hpp"
#include "amalgam/tensor/quantiser_groups-inl.hpp"
#include "amalgam/tensor/quantiser_search-inl.hpp"

// A block is encoded in four steps: the best scale (and minimum) of every sub-block as a float; the
// scale of the block, to which those are rounded; of the integers beside each the ones with the
// least error; and the scale of the block anew, by least squares over the levels found.

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

/// Per sub-block: the F16 scales of its block (as floats), its integers, the error with them.
struct alignas(64) Choice {
  ColumnValues d;
  ColumnValues dmin;
  ColumnValues scale;
  ColumnValues minimum;
  ColumnValues error;
};

template <class Layout>
constexpr std::size_t kSubs = kLargeBlock / Layout::kSub;
template <class Layout>
constexpr float kMostScale = static_cast<float>(Layout::kLargestSub);
template <class Layout>
constexpr float kLeastScale = static_cast<float>(Layout::kLowestSub);

/// The sum of w (a q - b - x)^2 with the best q.
template <class Layout, bool weighted>
HWY_INLINE Column error_of(const Columns<Layout::kSub>& columns, std::size_t at, Column a,
                           Column b) {
  const ColumnTag d;
  const auto levels = Layout::levels();
  const Column inverse = inverse_of_any(a);
  Column error = hn::Zero(d);
  for (std::size_t j = 0; j < Layout::kSub; ++j) {
    Column x = hn::Load(d, columns.values.data() + j * kColumns + at);
    if constexpr (Layout::kHasMinimum) x = hn::Add(x, b);
    const Column q = levels(hn::Mul(x, inverse));
    const Column miss = hn::Sub(hn::Mul(a, q), x);
    Column square = hn::Mul(miss, miss);
    if constexpr (weighted) {
      square = hn::Mul(square, hn::Load(d, columns.weights.data() + j * kColumns + at));
    }
    error = hn::Add(error, square);
  }
  return error;
}

/// Of the integers beside the scale of the fit, those with the least error, each with the minimum
/// that suits it.
template <class Layout, bool weighted>
void choose_integers(const Columns<Layout::kSub>& columns, const AffineFit& fit, Choice& choice) {
  const ColumnTag d;
  for (std::size_t at = 0; at < kColumns; at += hn::Lanes(d)) {
    const auto load = [&](const ColumnValues& values)
                          HWY_ATTR { return hn::Load(d, values.data() + at); };
    const Column block = load(choice.d);
    const Column block_minimum = load(choice.dmin);
    const Column centre = rounded(clamped(hn::Mul(load(fit.scale), inverse_of_any(block)),
                                          kLeastScale<Layout>, kMostScale<Layout>));
    Column best_scale = hn::Zero(d);
    Column best_minimum = hn::Zero(d);
    Column best_error = hn::Set(d, std::numeric_limits<float>::max());
    for (const float step : {0.0F, -1.0F, 1.0F}) {
      const Column scale =
          clamped(hn::Add(centre, hn::Set(d, step)), kLeastScale<Layout>, kMostScale<Layout>);
      const Column a = hn::Mul(block, scale);
      Column minimum = hn::Zero(d);
      if constexpr (Layout::kHasMinimum) {
        const Column offset = hn::Div(hn::Sub(hn::Mul(a, load(fit.level_sum)), load(fit.value_sum)),
                                      load(fit.weight_sum));
        minimum = rounded(
            clamped(hn::Mul(offset, inverse_of_positive(block_minimum)), 0.0F, kMostScale<Layout>));
      }
      const Column error =
          error_of<Layout, weighted>(columns, at, a, hn::Mul(block_minimum, minimum));
      const auto better = hn::Lt(error, best_error);
      best_error = hn::IfThenElse(better, error, best_error);
      best_scale = hn::IfThenElse(better, scale, best_scale);
      best_minimum = hn::IfThenElse(better, minimum, best_minimum);
    }
    hn::Store(best_scale, d, choice.scale.data() + at);
    hn::Store(best_minimum, d, choice.minimum.data() + at);
    hn::Store(best_error, d, choice.error.data() + at);
  }
}

/// The best F16 scales of the blocks for the integers and levels of `choice`.
template <class Layout, bool weighted>
void refit_blocks(const Columns<Layout::kSub>& columns, const AffineFit& fit, Choice& choice) {
  const ColumnTag d;
  ColumnValues q;
  ColumnValues qq;
  ColumnValues qx;
  for (std::size_t at = 0; at < kColumns; at += hn::Lanes(d)) {
    const auto load = [&](const ColumnValues& values)
                          HWY_ATTR { return hn::Load(d, values.data() + at); };
    const Column inverse = inverse_of_any(hn::Mul(load(choice.d), load(choice.scale)));
    const Column shift = hn::Mul(hn::Mul(load(choice.dmin), load(choice.minimum)), inverse);
    const LevelSums sums = sum_levels<weighted>(columns, at, inverse, shift, Layout::levels());
    hn::Store(sums.q, d, q.data() + at);
    hn::Store(sums.qq, d, qq.data() + at);
    hn::Store(sums.qx, d, qx.data() + at);
  }
  for (std::size_t first = 0; first < kColumns; first += kSubs<Layout>) {
    // Normal equations of x = d (s q) - dmin m.
    double ss = 0;
    double sm = 0;
    double mm = 0;
    double sx = 0;
    double mx = 0;
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      const double s = choice.scale[i];
      const double m = choice.minimum[i];
      ss += s * s * qq[i];
      sm += s * m * q[i];
      mm += m * m * fit.weight_sum[i];
      sx += s * qx[i];
      mx += m * fit.value_sum[i];
    }
    const double determinant = ss * mm - sm * sm;
    if (!(ss > 0)) continue;
    double scale = sx / ss;
    double minimum = 0;
    if (Layout::kHasMinimum && determinant > 1e-9 * ss * mm) {
      scale = (sx * mm - sm * mx) / determinant;
      minimum = (sm * sx - ss * mx) / determinant;
    } else if (mm > 0) {
      continue;
    }
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      choice.d[i] = as_f16(static_cast<float>(scale));
      choice.dmin[i] = as_f16(static_cast<float>(minimum));
    }
  }
}

/// The error of every sub-block with its integers.
template <class Layout, bool weighted>
void measure(const Columns<Layout::kSub>& columns, Choice& choice) {
  const ColumnTag d;
  for (std::size_t at = 0; at < kColumns; at += hn::Lanes(d)) {
    const auto product = [&](const ColumnValues& x, const ColumnValues& y) HWY_ATTR {
      return hn::Mul(hn::Load(d, x.data() + at), hn::Load(d, y.data() + at));
    };
    hn::Store(error_of<Layout, weighted>(columns, at, product(choice.d, choice.scale),
                                         product(choice.dmin, choice.minimum)),
              d, choice.error.data() + at);
  }
}

/// The first scales of the blocks: the largest of a sub-block gets the largest integer.
template <class Layout>
void begin_blocks(const AffineFit& fit, Choice& choice) {
  constexpr float kEnd = Layout::kHasMinimum ? kMostScale<Layout> : kLeastScale<Layout>;
  for (std::size_t first = 0; first < kColumns; first += kSubs<Layout>) {
    float scale = 0;
    float offset = 0;
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      if (std::abs(fit.scale[i]) > std::abs(scale)) scale = fit.scale[i];
      if constexpr (Layout::kHasMinimum) offset = std::max(offset, fit.offset[i]);
    }
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      choice.d[i] = as_f16(scale / kEnd);
      choice.dmin[i] = as_f16(offset / kEnd);
    }
  }
}

template <class Layout, bool weighted>
void choose(const Columns<Layout::kSub>& columns, const SearchPlan& plan, Choice& choice) {
  AffineFit fit;
  if constexpr (Layout::kHasMinimum) {
    fit_affine<weighted, true>(columns, Layout::levels().high, plan, fit);
  } else {
    fit.weight_sum.fill(0.0F);
    fit.value_sum.fill(0.0F);
    fit_symmetric<weighted>(columns, Layout::levels(), plan, fit.scale);
  }
  begin_blocks<Layout>(fit, choice);
  choose_integers<Layout, weighted>(columns, fit, choice);
  Choice other = choice;
  refit_blocks<Layout, weighted>(columns, fit, other);
  measure<Layout, weighted>(columns, other);
  for (std::size_t first = 0; first < kColumns; first += kSubs<Layout>) {
    float before = 0;
    float after = 0;
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      before += choice.error[i];
      after += other.error[i];
    }
    if (!(after < before)) continue;
    for (std::size_t i = first; i < first + kSubs<Layout>; ++i) {
      choice.d[i] = other.d[i];
      choice.dmin[i] = other.dmin[i];
    }
  }
}

/// Levels in the order of the elements. `first`: the block's first sub-block.
template <class Layout>
HWY_INLINE void find_levels(const float* HWY_RESTRICT rows, const Choice& choice, std::size_t first,
                            BlockLevels& levels) {
  for (std::size_t s = 0; s < kSubs<Layout>; ++s) {
    const float a = choice.d[first + s] * choice.scale[first + s];
    const float b = choice.dmin[first + s] * choice.minimum[first + s];
    const float inverse = std::abs(a) > 1e-30F ? 1.0F / a : 0.0F;
    store_levels<Layout::kSub>(Layout::levels(), rows + s * Layout::kSub, b, inverse,
                               levels.data() + s * Layout::kSub);
  }
}

template <class Layout>
void store_block(const float* rows, const Choice& choice, std::size_t first, bool is_bad,
                 std::uint8_t* block) {
  const float d = choice.d[first];
  const float dmin = choice.dmin[first];
  if (is_bad || !is_finite(d) || !is_finite(dmin)) {
    std::memset(block, 0, Layout::kBytes);
    put_f16(std::numeric_limits<float>::quiet_NaN(), block + Layout::kScaleAt);
    return;
  }
  BlockLevels levels;
  SubScales sub;
  find_levels<Layout>(rows, choice, first, levels);
  for (std::size_t s = 0; s < kSubs<Layout>; ++s) {
    sub.scale[s] = static_cast<std::int32_t>(choice.scale[first + s]);
    sub.minimum[s] = static_cast<std::int32_t>(choice.minimum[first + s]);
  }
  put_f16(d, block + Layout::kScaleAt);
  if constexpr (Layout::kHasMinimum) put_f16(dmin, block + Layout::kMinimumAt);
  Layout::store(levels, sub, block);
}

template <class Layout>
void encode_blocks(const float* values, const float* importance, const SearchPlan& plan,
                   std::byte* bytes, std::size_t blocks) {
  using LayoutGroup = Group<Layout::kSub, kLargeBlock>;
  auto* block = reinterpret_cast<std::uint8_t*>(bytes);
  LayoutGroup group;
  Choice choice;
  for (std::size_t i = 0; i < blocks; i += LayoutGroup::kBlocks) {
    const std::size_t count = std::min(LayoutGroup::kBlocks, blocks - i);
    const float* weights = importance == nullptr ? nullptr : importance + i * kLargeBlock;
    load_group(values + i * kLargeBlock, weights, count, group);
    if (weights == nullptr) {
      choose<Layout, false>(group.columns, plan, choice);
    } else {
      choose<Layout, true>(group.columns, plan, choice);
    }
    for (std::size_t b = 0; b < count; ++b) {
      store_block<Layout>(group.rows.data() + b * kLargeBlock, choice, b * kSubs<Layout>,
                          group.is_bad[b], block + (i + b) * Layout::kBytes);
    }
  }
}

}  // namespace

bool quantise_k_types(DType dtype, const float* values, const float* importance, std::byte* out,
                      std::size_t blocks) {
  switch (dtype) {
    case DType::q2_k:
      encode_blocks<LayoutQ2K>(values, importance, {-0.75F, 0.375F, 5, 1}, out, blocks);
      return true;
    case DType::q3_k:
      encode_blocks<LayoutQ3K>(values, importance, {-0.5F, 0.5F, 3, 1}, out, blocks);
      return true;
    case DType::q4_k:
      encode_blocks<LayoutQ4K>(values, importance, {-0.75F, 0.375F, 5, 1}, out, blocks);
      return true;
    case DType::q5_k:
      encode_blocks<LayoutQ5K>(values, importance, {-0.75F, 0.375F, 5, 1}, out, blocks);
      return true;
    case DType::iq4_xs:
      encode_blocks<LayoutIq4Xs>(values, importance, {-9.0F, 9.0F, 3, 1}, out, blocks);
      return true;
    case DType::q6_k:
      encode_blocks<LayoutQ6K>(values, importance, {-0.5F, 0.5F, 3, 1}, out, blocks);
      return true;
    default:
      return false;
  }
}

}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam {
namespace {

HWY_EXPORT(quantise_k_types);

}  // namespace

bool quantise_k_quants(DType dtype, const float* values, const float* importance, std::byte* out,
                       std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(quantise_k_types)(dtype, values, importance, out, blocks);
}

}  // namespace amalgam
#endif  // HWY_ONCE
