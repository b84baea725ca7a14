// Values and weights on their way into the search of tensor/quantiser_search-inl.hpp, 16 sub-blocks
// at a time. Included once per SIMD target, within it. Internal to amalgam/tensor.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "amalgam/tensor/float_formats.hpp"

#if defined(AMALGAM_TENSOR_QUANTISER_GROUPS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_TENSOR_QUANTISER_GROUPS_INL_HPP
#undef AMALGAM_TENSOR_QUANTISER_GROUPS_INL_HPP
#else
#define AMALGAM_TENSOR_QUANTISER_GROUPS_INL_HPP
#endif

#include <hwy/highway.h>

#include "amalgam/tensor/quantiser_search-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

/// The blocks of `elements` elements that fill 16 sub-blocks of n. Those that hold a NaN, an
/// infinity or what no scale reaches are zeros here, and marked.
template <std::size_t n, std::size_t elements>
struct Group {
  static constexpr std::size_t kBlocks = n * kColumns / elements;
  alignas(64) std::array<float, n * kColumns> rows;
  std::array<bool, kBlocks> is_bad;
  Columns<n> columns;
};

/// Beyond every quantised type: the largest value any of them has is below 2^29.
constexpr float kTooLarge = 2147483648.0F;  // 2^31
/// The least weight beside the largest one of a block, so that sums of weights never vanish.
constexpr float kLeastWeight = 1e-6F;

HWY_INLINE float largest_of(const float* HWY_RESTRICT values, std::size_t count) {
  // The order of magnitudes is that of their bits, NaN above infinity.
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[i]) & formats::kFloatMagnitude;
    largest = bits > largest ? bits : largest;
  }
  return std::bit_cast<float>(largest);
}

/// Weights of a block as shares of the largest; all 1 if none is positive.
HWY_INLINE void scale_weights(float* HWY_RESTRICT weights, std::size_t count) {
  const float largest = largest_of(weights, count);
  if (!(largest > 0.0F) || largest > std::numeric_limits<float>::max()) {
    std::fill_n(weights, count, 1.0F);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const float share = weights[i] / largest;
    weights[i] = share > kLeastWeight ? share : kLeastWeight;
  }
}

/// Fills a group with the first `blocks` blocks of `values`; what is left of it with zeros.
template <std::size_t n, std::size_t elements>
HWY_INLINE void load_group(const float* values, const float* importance, std::size_t blocks,
                           Group<n, elements>& group) {
  std::memcpy(group.rows.data(), values, blocks * elements * sizeof(float));
  std::fill(group.rows.begin() + static_cast<std::ptrdiff_t>(blocks * elements), group.rows.end(),
            0.0F);
  for (std::size_t b = 0; b < group.kBlocks; ++b) {
    float* block = group.rows.data() + b * elements;
    group.is_bad[b] = !(largest_of(block, elements) < kTooLarge);
    if (group.is_bad[b]) std::fill_n(block, elements, 0.0F);
  }
  transpose<n>(group.rows.data(), group.columns.values.data());
  if (importance == nullptr) return;
  alignas(64) std::array<float, n * kColumns> weights;
  weights.fill(1.0F);
  std::memcpy(weights.data(), importance, blocks * elements * sizeof(float));
  for (std::size_t b = 0; b < blocks; ++b) scale_weights(weights.data() + b * elements, elements);
  transpose<n>(weights.data(), group.columns.weights.data());
}

HWY_INLINE float as_f16(float value) { return formats::from_f16(formats::to_f16(value)); }

HWY_INLINE void put_f16(float value, std::uint8_t* bytes) {
  const std::uint16_t half = formats::to_f16(value);
  std::memcpy(bytes, &half, sizeof half);
}

/// The numbers that are stored for the levels of (x + shift) inverse: of the integers, what they
/// are above the lowest.
template <std::size_t n>
HWY_INLINE void store_levels(const LinearLevels& levels, const float* HWY_RESTRICT x, float shift,
                             float inverse, std::uint8_t* HWY_RESTRICT to) {
  const auto up = static_cast<std::uint32_t>(-static_cast<std::int32_t>(levels.low));
  for (std::size_t j = 0; j < n; ++j) {
    float level = (x[j] + shift) * inverse;
    level = level > levels.low ? level : levels.low;
    level = level < levels.high ? level : levels.high;
    to[j] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(level + kRounder) + up);
  }
}

template <std::size_t n>
HWY_INLINE void store_levels(const Iq4Levels& /*levels*/, const float* HWY_RESTRICT x, float shift,
                             float inverse, std::uint8_t* HWY_RESTRICT to) {
  std::array<std::uint32_t, n> numbers{};
  for (const float middle : kIq4Middles) {
    for (std::size_t j = 0; j < n; ++j) numbers[j] += (x[j] + shift) * inverse > middle ? 1 : 0;
  }
  for (std::size_t j = 0; j < n; ++j) to[j] = static_cast<std::uint8_t>(numbers[j]);
}

HWY_INLINE bool is_finite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & formats::kFloatMagnitude) < formats::kFloatInfinity;
}

}  // namespace
}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // AMALGAM_TENSOR_QUANTISER_GROUPS_INL_HPP
