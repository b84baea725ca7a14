#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

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

// A block of finite scale (and minimum) has finite values only, and the converse.
std::optional<std::size_t> find_non_finite_block(DType dtype, std::span<const std::byte> bytes) {
  const std::size_t block_bytes = dtype_block_bytes(dtype);
  const bool has_minimum = dtype == DType::q4_1 || dtype == DType::q5_1;
  for (std::size_t block = 0; block * block_bytes < bytes.size(); ++block) {
    std::uint16_t scale = 0;
    std::uint16_t minimum = 0;
    const std::byte* start = bytes.data() + block * block_bytes;
    std::memcpy(&scale, start, sizeof scale);
    if (has_minimum) std::memcpy(&minimum, start + sizeof scale, sizeof minimum);
    if ((scale & kHalfExponent) == kHalfExponent || (minimum & kHalfExponent) == kHalfExponent) {
      return block * kQuantisedBlockElements;
    }
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
