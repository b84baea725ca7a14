#pragma once

#include <bit>
#include <cstdint>
#include <limits>

// The bits of the narrow floating-point types, one element at a time. Everything here is free of
// branches, so that a loop over it becomes SIMD code, and uses only integer operations and IEEE
// additions, so that every CPU gives the same bits. Internal to amalgam/tensor.

namespace amalgam::formats {

/// A floating-point type of 1 sign bit, `exponent_bits` and `fraction_bits` with IEEE 754's bias
/// and subnormals. `has_infinity` false: the "fn" variant of F8_E4M3, whose largest exponent holds
/// ordinary numbers and whose only NaN is all ones.
struct FloatFormat {
  int exponent_bits;
  int fraction_bits;
  bool has_infinity;
};

inline constexpr FloatFormat kF16{5, 10, true};
inline constexpr FloatFormat kBF16{8, 7, true};
inline constexpr FloatFormat kF8E4M3{4, 3, false};
inline constexpr FloatFormat kF8E5M2{5, 2, true};

inline constexpr std::uint32_t kFloatMagnitude = 0x7FFFFFFF;
inline constexpr std::uint32_t kFloatInfinity = 0x7F800000;
inline constexpr int kFloatFractionBits = 23;
inline constexpr int kFloatBias = 127;

/// `x` with its fraction cut to 13 bits "to odd" (the last bit is set if anything was cut), as a
/// float. Rounding that to a type of at most 11 fraction bits gives the bits that rounding `x`
/// itself would, since 13 bits tell on which side of every midpoint x lies and whether it lies on
/// it. The conversion to float is exact from 2^-136 on; below, every narrow type has only zero.
/// Infinity stays; NaN stays NaN and becomes quiet.
inline float narrow_to_odd(double x) {
  constexpr std::uint64_t kCut = (std::uint64_t{1} << 39) - 1;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  // Adding kCut to the bits below carries into bit 39 if there are any.
  return static_cast<float>(std::bit_cast<double>((bits | ((bits & kCut) + kCut)) & ~kCut));
}

/// The bits of `x` rounded to nearest even to BF16. Overflow gives infinity, NaN a quiet NaN.
inline std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  constexpr std::uint32_t kQuiet = 1U << (kFloatFractionBits - 1);
  const std::uint32_t rounded = bits + 0x7FFF + ((bits >> 16) & 1);
  const bool is_nan = (bits & kFloatMagnitude) > kFloatInfinity;
  return static_cast<std::uint16_t>((is_nan ? (bits | kQuiet) : rounded) >> 16);
}

/// The bits of `x` rounded to nearest even to a format of a narrower exponent than float's.
/// Overflow gives infinity, or NaN where there is none; NaN gives a quiet NaN with the leading bits
/// of its payload.
template <FloatFormat format>
inline std::uint32_t to_narrow(float x) {
  static_assert(format.exponent_bits < 8);
  constexpr int kBias = (1 << (format.exponent_bits - 1)) - 1;
  constexpr int kDropped = kFloatFractionBits - format.fraction_bits;
  constexpr std::uint32_t kSmallestNormal = static_cast<std::uint32_t>(kFloatBias + 1 - kBias)
                                            << kFloatFractionBits;
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(kFloatBias - kBias)
                                    << kFloatFractionBits;
  // A float whose last fraction bit is worth the format's smallest subnormal: adding it rounds.
  constexpr std::uint32_t kMagic = static_cast<std::uint32_t>(kFloatBias + 1 - kBias + kDropped)
                                   << kFloatFractionBits;
  constexpr std::uint32_t kFractionMask = (1U << format.fraction_bits) - 1;
  constexpr std::uint32_t kExponentMask = ((1U << format.exponent_bits) - 1)
                                          << format.fraction_bits;
  constexpr std::uint32_t kOverflow =
      format.has_infinity ? kExponentMask : (kExponentMask | kFractionMask);
  constexpr std::uint32_t kQuiet = 1U << (format.fraction_bits - 1);

  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & kFloatMagnitude;
  const std::uint32_t sign = (bits >> 31) << (format.exponent_bits + format.fraction_bits);
  const std::uint32_t half = (1U << (kDropped - 1)) - 1;
  const std::uint32_t normal =
      (magnitude - kRebias + half + ((magnitude >> kDropped) & 1)) >> kDropped;
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMagic)) -
      kMagic;
  const std::uint32_t finite = magnitude < kSmallestNormal ? subnormal : normal;
  const std::uint32_t clamped = finite < kOverflow ? finite : kOverflow;
  const std::uint32_t nan =
      format.has_infinity ? (kExponentMask | kQuiet | ((magnitude >> kDropped) & kFractionMask))
                          : kOverflow;
  return sign | (magnitude > kFloatInfinity ? nan : clamped);
}

inline std::uint16_t to_f16(float x) { return static_cast<std::uint16_t>(to_narrow<kF16>(x)); }
inline std::uint8_t to_f8_e4m3(float x) { return static_cast<std::uint8_t>(to_narrow<kF8E4M3>(x)); }
inline std::uint8_t to_f8_e5m2(float x) { return static_cast<std::uint8_t>(to_narrow<kF8E5M2>(x)); }

inline float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// The value of a format with a narrower exponent than float's: exact. A signalling NaN becomes
/// quiet, as the conversion instructions of CPUs do.
template <FloatFormat format>
inline float from_narrow(std::uint32_t bits) {
  constexpr int kBias = (1 << (format.exponent_bits - 1)) - 1;
  constexpr int kShift = kFloatFractionBits - format.fraction_bits;
  constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(kFloatBias - kBias)
                                    << kFloatFractionBits;
  constexpr std::uint32_t kExponentMask = ((1U << format.exponent_bits) - 1) << kFloatFractionBits;
  constexpr std::uint32_t kMagnitude = (1U << (format.exponent_bits + format.fraction_bits)) - 1;
  constexpr std::uint32_t kHiddenBit = 1U << kFloatFractionBits;
  constexpr std::uint32_t kQuiet = 1U << (kFloatFractionBits - 1);

  const std::uint32_t sign = (bits >> (format.exponent_bits + format.fraction_bits)) << 31;
  const std::uint32_t shifted = (bits & kMagnitude) << kShift;
  const std::uint32_t normal = shifted + kRebias;
  // A subnormal becomes (1 + fraction) x 2^(1 - bias), from which the 1 is taken away.
  constexpr std::uint32_t kSubnormalBase = kRebias + kHiddenBit;
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(shifted + kSubnormalBase) - std::bit_cast<float>(kSubnormalBase));
  const std::uint32_t finite = shifted < kHiddenBit ? subnormal : normal;
  if constexpr (format.has_infinity) {
    const std::uint32_t quiet = shifted > kExponentMask ? kQuiet : 0;
    const std::uint32_t special = shifted | kFloatInfinity | quiet;
    return std::bit_cast<float>(sign | (shifted >= kExponentMask ? special : finite));
  } else {
    const std::uint32_t nan = kFloatInfinity | kQuiet;
    return std::bit_cast<float>(sign | ((bits & kMagnitude) == kMagnitude ? nan : finite));
  }
}

inline float from_f16(std::uint16_t bits) { return from_narrow<kF16>(bits); }
inline float from_f8_e4m3(std::uint8_t bits) { return from_narrow<kF8E4M3>(bits); }
inline float from_f8_e5m2(std::uint8_t bits) { return from_narrow<kF8E5M2>(bits); }

}  // namespace amalgam::formats
