#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/small_block_encode.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "amalgam/tensor/nibble_layout-inl.hpp"
#include "amalgam/tensor/quantiser_groups-inl.hpp"
#include "amalgam/tensor/quantiser_search-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

using SmallGroup = Group<kSmallBlock, kSmallBlock>;

/// One F16 scale and levels of both signs.
template <class Layout, class BlockLevel>
struct ScaledFormat : Layout {
  static constexpr bool kHasMinimum = false;
  static constexpr BlockLevel levels() { return {}; }
};

struct LevelsOfFour : LinearLevels {
  constexpr LevelsOfFour() : LinearLevels{-8.0F, 7.0F} {}
};
struct LevelsOfFive : LinearLevels {
  constexpr LevelsOfFive() : LinearLevels{-16.0F, 15.0F} {}
};
struct LevelsOfEight : LinearLevels {
  constexpr LevelsOfEight() : LinearLevels{-127.0F, 127.0F} {}
};

/// Q8_0 stores signed bytes.
struct ByteLayout {
  static constexpr std::size_t kBytes = 2 + kSmallBlock;
  static void store(const SmallLevels& levels, std::byte* block) {
    for (std::size_t j = 0; j < kSmallBlock; ++j) {
      block[2 + j] = static_cast<std::byte>(levels[j] - 127);
    }
  }
};

/// F16 scale and minimum.
template <int bits>
struct AffineFormat : NibbleLayout<bits, true> {
  static constexpr bool kHasMinimum = true;
  static constexpr LinearLevels levels() { return {0.0F, static_cast<float>((1 << bits) - 1)}; }
};

template <class Format>
void store_block(const float* HWY_RESTRICT rows, float scale, float minimum, bool is_bad,
                 std::byte* block) {
  const float d = as_f16(scale);
  const float m = as_f16(minimum);
  auto* bytes = reinterpret_cast<std::uint8_t*>(block);
  if (is_bad || !is_finite(d) || !is_finite(m)) {
    std::memset(block, 0, Format::kBytes);
    put_f16(std::numeric_limits<float>::quiet_NaN(), bytes);
    return;
  }
  const float inverse = std::abs(d) > 1e-30F ? 1.0F / d : 0.0F;
  SmallLevels levels;
  store_levels<kSmallBlock>(Format::levels(), rows, -m, inverse, levels.data());
  put_f16(d, bytes);
  if constexpr (Format::kHasMinimum) put_f16(m, bytes + 2);
  Format::store(levels, block);
}

template <class Format, bool weighted>
HWY_INLINE void fit_group(const SmallGroup& group, const SearchPlan& plan, AffineFit& fit) {
  if constexpr (Format::kHasMinimum) {
    fit_affine<weighted, false>(group.columns, Format::levels().high, plan, fit);
  } else {
    fit_symmetric<weighted>(group.columns, Format::levels(), plan, fit.scale);
    fit.offset.fill(0.0F);
  }
}

template <class Format>
void encode_blocks(const float* values, const float* importance, const SearchPlan& plan,
                   std::byte* out, std::size_t blocks) {
  SmallGroup group;
  AffineFit fit;
  for (std::size_t i = 0; i < blocks; i += SmallGroup::kBlocks) {
    const std::size_t count = std::min(SmallGroup::kBlocks, blocks - i);
    const float* weights = importance == nullptr ? nullptr : importance + i * kSmallBlock;
    load_group(values + i * kSmallBlock, weights, count, group);
    if (weights == nullptr) {
      fit_group<Format, false>(group, plan, fit);
    } else {
      fit_group<Format, true>(group, plan, fit);
    }
    for (std::size_t b = 0; b < count; ++b) {
      store_block<Format>(group.rows.data() + b * kSmallBlock, fit.scale[b], -fit.offset[b],
                          group.is_bad[b], out + (i + b) * Format::kBytes);
    }
  }
}

}  // namespace

bool quantise_small_types(DType dtype, const float* values, const float* importance, std::byte* out,
                          std::size_t blocks) {
  switch (dtype) {
    case DType::q4_0:
      encode_blocks<ScaledFormat<NibbleLayout<4, false>, LevelsOfFour>>(
          values, importance, {-0.9F, 0.3F, 7, 1}, out, blocks);
      return true;
    case DType::q4_1:
      encode_blocks<AffineFormat<4>>(values, importance, {-1.0F, 0.25F, 9, 1}, out, blocks);
      return true;
    case DType::q5_0:
      encode_blocks<ScaledFormat<NibbleLayout<5, false>, LevelsOfFive>>(
          values, importance, {-0.9F, 0.3F, 7, 1}, out, blocks);
      return true;
    case DType::q5_1:
      encode_blocks<AffineFormat<5>>(values, importance, {-1.0F, 0.25F, 9, 1}, out, blocks);
      return true;
    case DType::q8_0:
      encode_blocks<ScaledFormat<ByteLayout, LevelsOfEight>>(values, importance,
                                                             {-0.4F, 0.4F, 2, 1}, out, blocks);
      return true;
    case DType::iq4_nl:
      encode_blocks<ScaledFormat<NibbleLayout<4, false>, Iq4Levels>>(
          values, importance, {-9.0F, 9.0F, 3, 1}, out, blocks);
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

HWY_EXPORT(quantise_small_types);

}  // namespace

bool quantise_small_blocks(DType dtype, const float* values, const float* importance,
                           std::byte* out, std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(quantise_small_types)(dtype, values, importance, out, blocks);
}

}  // namespace amalgam
#endif  // HWY_ONCE
