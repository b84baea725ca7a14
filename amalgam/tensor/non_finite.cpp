#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/float_formats.hpp"
#include "amalgam/tensor/quantised.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/non_finite.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {

// The first element that has all bits of `mask` set, or `count`. Pieces are tested as a whole: that
// loop has no exit and so becomes SIMD code.
template <class Bits>
std::size_t find_masked(const std::byte* bytes, std::size_t count, Bits mask) {
  constexpr std::size_t kPiece = 512;
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t last = std::min(count, first + kPiece);
    Bits found = 0;
    for (std::size_t i = first; i < last; ++i) {
      Bits bits;
      std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
      found |= static_cast<Bits>((bits & mask) == mask ? 1 : 0);
    }
    if (found == 0) continue;
    for (std::size_t i = first; i < last; ++i) {
      Bits bits;
      std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
      if ((bits & mask) == mask) return i;
    }
  }
  return count;
}

std::size_t find_masked_8(const std::byte* bytes, std::size_t count, std::uint8_t mask) {
  return find_masked(bytes, count, mask);
}
std::size_t find_masked_16(const std::byte* bytes, std::size_t count, std::uint16_t mask) {
  return find_masked(bytes, count, mask);
}
std::size_t find_masked_32(const std::byte* bytes, std::size_t count, std::uint32_t mask) {
  return find_masked(bytes, count, mask);
}
std::size_t find_masked_64(const std::byte* bytes, std::size_t count, std::uint64_t mask) {
  return find_masked(bytes, count, mask);
}

}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace amalgam {
namespace {

HWY_EXPORT(find_masked_8);
HWY_EXPORT(find_masked_16);
HWY_EXPORT(find_masked_32);
HWY_EXPORT(find_masked_64);

// The bits that are all set in NaN and infinity and in nothing else.
constexpr std::uint64_t kDoubleExponent = 0x7FF0000000000000;
constexpr std::uint32_t kFloatExponent = 0x7F800000;
constexpr std::uint16_t kHalfExponent = 0x7C00;
constexpr std::uint16_t kBF16Exponent = 0x7F80;
constexpr std::uint8_t kF8E4M3NaN = 0x7F;
constexpr std::uint8_t kF8E5M2Exponent = 0x7C;

std::optional<std::size_t> unless_end(std::size_t index, std::size_t count) {
  return index == count ? std::nullopt : std::optional(index);
}

/// Where the F16 numbers of a quantised block are: finite ones make finite values, and the
/// converse.
struct HalvesOfBlock {
  DType dtype;
  std::size_t scale_at;
  std::optional<std::size_t> minimum_at;
};
constexpr std::array kHalves = {
    HalvesOfBlock{DType::q4_0, 0, std::nullopt},
    HalvesOfBlock{DType::q4_1, 0, 2},
    HalvesOfBlock{DType::q5_0, 0, std::nullopt},
    HalvesOfBlock{DType::q5_1, 0, 2},
    HalvesOfBlock{DType::q8_0, 0, std::nullopt},
    HalvesOfBlock{DType::iq4_nl, 0, std::nullopt},
    HalvesOfBlock{DType::q2_k, 80, 82},
    HalvesOfBlock{DType::q3_k, 108, std::nullopt},
    HalvesOfBlock{DType::q4_k, 0, 2},
    HalvesOfBlock{DType::q5_k, 0, 2},
    HalvesOfBlock{DType::q6_k, 208, std::nullopt},
    HalvesOfBlock{DType::iq1_s, 0, std::nullopt},
    HalvesOfBlock{DType::iq2_xxs, 0, std::nullopt},
    HalvesOfBlock{DType::iq2_xs, 0, std::nullopt},
    HalvesOfBlock{DType::iq2_s, 0, std::nullopt},
    HalvesOfBlock{DType::iq3_xxs, 0, std::nullopt},
    HalvesOfBlock{DType::iq3_s, 0, std::nullopt},
    HalvesOfBlock{DType::iq4_xs, 0, std::nullopt},
    HalvesOfBlock{DType::tq1_0, 52, std::nullopt},
    HalvesOfBlock{DType::tq2_0, 64, std::nullopt},
};

bool is_non_finite_half(const std::byte* bytes) {
  std::uint16_t half = 0;
  std::memcpy(&half, bytes, sizeof half);
  return (half & kHalfExponent) == kHalfExponent;
}

std::optional<std::size_t> find_non_finite_block(DType dtype, std::span<const std::byte> bytes) {
  const std::size_t block_bytes = dtype_block_bytes(dtype);
  const std::size_t block_elements = dtype_block_elements(dtype);
  const auto* halves = std::find_if(kHalves.begin(), kHalves.end(),
                                    [&](const auto& known) { return known.dtype == dtype; });
  std::array<float, kLargestQuantisedBlock> values;  // NOLINT: written before it is read
  for (std::size_t block = 0; block * block_bytes < bytes.size(); ++block) {
    const std::byte* start = bytes.data() + block * block_bytes;
    bool is_bad = false;
    if (halves != kHalves.end()) {
      is_bad = is_non_finite_half(start + halves->scale_at) ||
               (halves->minimum_at && is_non_finite_half(start + *halves->minimum_at));
    } else {
      const std::span<float> decoded = std::span(values).first(block_elements);
      dequantise(dtype, {start, block_bytes}, decoded);
      is_bad = find_non_finite(std::span<const float>(decoded)).has_value();
    }
    if (is_bad) return block * block_elements;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> find_non_finite(std::span<const float> values) {
  return find_non_finite(DType::f32, std::as_bytes(values));
}

std::optional<std::size_t> find_non_finite(std::span<const double> values) {
  return find_non_finite(DType::f64, std::as_bytes(values));
}

std::optional<std::size_t> find_non_finite(DType dtype, std::span<const std::byte> bytes) {
  const std::size_t count = bytes.size() / dtype_block_bytes(dtype);
  const std::byte* data = bytes.data();
  switch (dtype) {
    case DType::f64:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_64)(data, count, kDoubleExponent), count);
    case DType::f32:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_32)(data, count, kFloatExponent), count);
    case DType::f16:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_16)(data, count, kHalfExponent), count);
    case DType::bf16:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_16)(data, count, kBF16Exponent), count);
    case DType::f8_e4m3:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_8)(data, count, kF8E4M3NaN), count);
    case DType::f8_e5m2:
      return unless_end(HWY_DYNAMIC_DISPATCH(find_masked_8)(data, count, kF8E5M2Exponent), count);
    default:
      return dtype_is_quantised(dtype) ? find_non_finite_block(dtype, bytes) : std::nullopt;
  }
}

}  // namespace amalgam
#endif  // HWY_ONCE
