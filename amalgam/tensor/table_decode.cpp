#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "amalgam/tensor/float_formats.hpp"
#include "amalgam/tensor/iq4_levels.hpp"
#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/table_decode.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

constexpr std::size_t kSmall = 32;
constexpr std::size_t kLarge = 256;

HWY_INLINE float f16_at(const std::uint8_t* bytes) {
  std::uint16_t half = 0;
  std::memcpy(&half, bytes, sizeof half);
  return formats::from_f16(half);
}

/// 32 levels of four bits in 16 bytes, element j + 16 above element j, as `scale` times their value
/// in `table`.
HWY_INLINE void decode_nibbles(const std::uint8_t* bytes, float scale,
                               const std::array<std::int8_t, 16>& table, float* out) {
  for (std::size_t j = 0; j < kSmall / 2; ++j) {
    out[j] = scale * static_cast<float>(table[bytes[j] & 15]);
    out[j + kSmall / 2] = scale * static_cast<float>(table[bytes[j] >> 4]);
  }
}

struct FormatIq4Nl {
  static constexpr std::size_t kBytes = 18;
  static constexpr std::size_t kElements = kSmall;
  static void decode(const std::uint8_t* block, float* out) {
    decode_nibbles(block + 2, f16_at(block), kIq4Levels, out);
  }
};

/// F16 scale, 8 scales of 6 bits less 32 (two high bits in one word, low four after it), levels.
struct FormatIq4Xs {
  static constexpr std::size_t kBytes = 136;
  static constexpr std::size_t kElements = kLarge;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t s = 0; s < kLarge / kSmall; ++s) {
      const int low = (block[4 + s / 2] >> (4 * (s % 2))) & 15;
      const int high = (block[2 + s / 4] >> (2 * (s % 4))) & 3;
      const float scale = d * static_cast<float>((low | (high << 4)) - 32);
      decode_nibbles(block + 8 + 16 * s, scale, kIq4Levels, out + kSmall * s);
    }
  }
};

/// The OCP's MXFP4: a power of two in one byte, then E2M1 numbers, here doubled.
struct FormatMxfp4 {
  static constexpr std::size_t kBytes = 17;
  static constexpr std::size_t kElements = kSmall;
  static constexpr std::array<std::int8_t, 16> kTable = {0, 1,  2,  3,  4,  6,  8,  12,
                                                         0, -1, -2, -3, -4, -6, -8, -12};
  static void decode(const std::uint8_t* block, float* out) {
    // Half of 2^(e - 127); the two smallest are subnormal.
    const std::uint32_t exponent = block[0];
    const std::uint32_t bits = exponent < 2 ? 0x00200000U << exponent : (exponent - 1) << 23;
    decode_nibbles(block + 1, std::bit_cast<float>(bits), kTable, out);
  }
};

/// Two bits per element in planes of 32, less one; then the scale.
struct FormatTq2 {
  static constexpr std::size_t kBytes = 66;
  static constexpr std::size_t kElements = kLarge;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block + 64);
    for (std::size_t i = 0; i < kLarge; ++i) {
      const int level = (block[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32))) & 3;
      out[i] = d * static_cast<float>(level - 1);
    }
  }
};

/// Five (at the end four) digits of base 3 per byte, as a fraction of 256: multiplying by 3^n
/// modulo 256 brings digit n to the front.
struct FormatTq1 {
  static constexpr std::size_t kBytes = 54;
  static constexpr std::size_t kElements = kLarge;
  static constexpr std::array<std::uint8_t, 5> kPowers = {1, 3, 9, 27, 81};

  static float digit(float d, std::uint8_t byte, std::size_t number) {
    const auto shifted = static_cast<std::uint8_t>(byte * kPowers[number]);
    return d * static_cast<float>(((shifted * 3) >> 8) - 1);
  }
  static float* decode_part(float d, const std::uint8_t* bytes, std::size_t count,
                            std::size_t digits, float* out) {
    for (std::size_t n = 0; n < digits; ++n) {
      for (std::size_t j = 0; j < count; ++j) *out++ = digit(d, bytes[j], n);
    }
    return out;
  }
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block + 52);
    out = decode_part(d, block, 32, 5, out);
    out = decode_part(d, block + 32, 16, 5, out);
    decode_part(d, block + 48, 4, 4, out);
  }
};

template <class Format>
void decode_blocks(const std::byte* bytes, float* out, std::size_t blocks) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(bytes);
  for (std::size_t i = 0; i < blocks; ++i) {
    Format::decode(block + i * Format::kBytes, out + i * Format::kElements);
  }
}

}  // namespace

bool dequantise_table_types(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  switch (dtype) {
    case DType::iq4_nl:
      decode_blocks<FormatIq4Nl>(bytes, out, blocks);
      return true;
    case DType::iq4_xs:
      decode_blocks<FormatIq4Xs>(bytes, out, blocks);
      return true;
    case DType::mxfp4:
      decode_blocks<FormatMxfp4>(bytes, out, blocks);
      return true;
    case DType::tq1_0:
      decode_blocks<FormatTq1>(bytes, out, blocks);
      return true;
    case DType::tq2_0:
      decode_blocks<FormatTq2>(bytes, out, blocks);
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

HWY_EXPORT(dequantise_table_types);

}  // namespace

bool dequantise_tables(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(dequantise_table_types)(dtype, bytes, out, blocks);
}

}  // namespace amalgam
#endif  // HWY_ONCE
