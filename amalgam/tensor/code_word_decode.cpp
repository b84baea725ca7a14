#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "amalgam/tensor/float_formats.hpp"
#include "amalgam/tensor/iq_grids.hpp"
#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/code_word_decode.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

constexpr std::size_t kElements = 256;
constexpr std::size_t kGroup = 32;  // elements with one word of signs or scales

template <class Word>
HWY_INLINE Word word_at(const std::uint8_t* bytes, std::size_t index) {
  Word word = 0;
  std::memcpy(&word, bytes + index * sizeof word, sizeof word);
  return word;
}

HWY_INLINE float f16_at(const std::uint8_t* bytes) {
  return formats::from_f16(word_at<std::uint16_t>(bytes, 0));
}

/// Seven sign bits and an eighth that makes their number even.
HWY_INLINE std::uint32_t eight_signs(std::uint32_t seven) {
  return seven | (static_cast<std::uint32_t>(std::popcount(seven) & 1) << 7);
}

/// Eight elements: `scale` times the magnitudes, with the signs of the bits of `signs`.
template <std::size_t size>
HWY_INLINE void put(float scale, const std::array<std::int8_t, size>& word, std::uint32_t signs,
                    float* out) {
  for (std::size_t j = 0; j < size; ++j) {
    const float value = scale * static_cast<float>(word[j]);
    const std::uint32_t sign = ((signs >> j) & 1) << 31;
    out[j] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) ^ sign);
  }
}

/// F16 scale; per 32 elements four bytes of code words, then 4 x 7 bits of signs and a scale.
struct FormatIq2Xxs {
  static constexpr std::size_t kBytes = 66;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t g = 0; g < kElements / kGroup; ++g) {
      const std::uint8_t* group = block + 2 + 8 * g;
      const auto signs = word_at<std::uint32_t>(group, 1);
      const float scale = d * (0.5F + static_cast<float>(signs >> 28)) * 0.25F;
      for (std::size_t k = 0; k < 4; ++k) {
        put(scale, kIq2XxsGrid[group[k]], eight_signs((signs >> (7 * k)) & 127),
            out + kGroup * g + 8 * k);
      }
    }
  }
};

/// F16 scale; words of 9 bits of code and 7 of signs; scales of 4 bits per 16 elements.
struct FormatIq2Xs {
  static constexpr std::size_t kBytes = 74;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t k = 0; k < kElements / 8; ++k) {
      const std::uint32_t word = word_at<std::uint16_t>(block + 2, k);
      const std::uint32_t level = (block[66 + k / 4] >> (4 * (k / 2 % 2))) & 15U;
      const float scale = d * (0.5F + static_cast<float>(level)) * 0.25F;
      put(scale, kIq2XsGrid[word & 511], eight_signs(word >> 9), out + 8 * k);
    }
  }
};

/// F16 scale; low bytes of the codes; bytes of signs; two high bits per code; scales as IQ2_XS.
struct FormatIq2S {
  static constexpr std::size_t kBytes = 82;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t k = 0; k < kElements / 8; ++k) {
      const std::uint32_t high = (block[66 + k / 4] >> (2 * (k % 4))) & 3U;
      const std::uint32_t level = (block[74 + k / 4] >> (4 * (k / 2 % 2))) & 15U;
      const float scale = d * (0.5F + static_cast<float>(level)) * 0.25F;
      put(scale, kIq2SGrid[block[2 + k] | (high << 8)], block[34 + k], out + 8 * k);
    }
  }
};

/// F16 scale; a byte of code per four elements; 4 x 7 bits of signs and a scale per 32.
struct FormatIq3Xxs {
  static constexpr std::size_t kBytes = 98;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t k = 0; k < kElements / 4; ++k) {
      const auto word = word_at<std::uint32_t>(block + 66, k / 8);
      const float scale = d * (0.5F + static_cast<float>(word >> 28)) * 0.5F;
      const std::uint32_t signs = eight_signs((word >> (7 * (k / 2 % 4))) & 127);
      put(scale, kIq3XxsGrid[block[2 + k]], signs >> (4 * (k % 2)), out + 4 * k);
    }
  }
};

/// F16 scale; low bytes of codes per four elements; their ninth bits; bytes of signs; scales.
struct FormatIq3S {
  static constexpr std::size_t kBytes = 110;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t k = 0; k < kElements / 4; ++k) {
      const std::uint32_t high = (block[66 + k / 8] >> (k % 8)) & 1U;
      const std::uint32_t level = (block[106 + k / 16] >> (4 * (k / 8 % 2))) & 15U;
      const float scale = d * static_cast<float>(1 + 2 * level);
      const std::uint32_t signs = block[74 + k / 2] >> (4 * (k % 2));
      put(scale, kIq3SGrid[block[2 + k] | (high << 8)], signs, out + 4 * k);
    }
  }
};

constexpr float kIq1Delta = 0.125F;

HWY_INLINE void put_iq1(float scale, std::uint32_t code, bool is_below, float* out) {
  const float delta = is_below ? -kIq1Delta : kIq1Delta;
  for (std::size_t j = 0; j < 8; ++j) {
    out[j] = scale * (static_cast<float>(kIq1Grid[code][j]) + delta);
  }
}

/// F16 scale; low bytes of the codes; per 32 elements a word: 4 x 3 high bits, scale, side.
struct FormatIq1S {
  static constexpr std::size_t kBytes = 50;
  static void decode(const std::uint8_t* block, float* out) {
    const float d = f16_at(block);
    for (std::size_t k = 0; k < kElements / 8; ++k) {
      const std::uint32_t word = word_at<std::uint16_t>(block + 34, k / 4);
      const float scale = d * static_cast<float>(2 * ((word >> 12) & 7) + 1);
      const std::uint32_t high = (word >> (3 * (k % 4))) & 7;
      put_iq1(scale, block[2 + k] | (high << 8), (word & 0x8000) != 0, out + 8 * k);
    }
  }
};

/// Low bytes of the codes; half bytes with three high bits and the side; four words of 4 x 3 bits
/// of scales, whose upper four bits together are the F16 scale.
struct FormatIq1M {
  static constexpr std::size_t kBytes = 56;
  static void decode(const std::uint8_t* block, float* out) {
    const std::uint8_t* scales = block + 48;
    std::uint32_t half = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      half |= static_cast<std::uint32_t>(word_at<std::uint16_t>(scales, i) >> 12) << (4 * i);
    }
    const float d = formats::from_f16(static_cast<std::uint16_t>(half));
    for (std::size_t k = 0; k < kElements / 8; ++k) {
      const std::uint32_t word = word_at<std::uint16_t>(scales, k / 8);
      const float scale = d * static_cast<float>(2 * ((word >> (3 * (k / 2 % 4))) & 7) + 1);
      const std::uint32_t high = (block[32 + k / 2] >> (4 * (k % 2))) & 15U;
      put_iq1(scale, block[k] | ((high & 7) << 8), (high & 8) != 0, out + 8 * k);
    }
  }
};

template <class Format>
void decode_blocks(const std::byte* bytes, float* out, std::size_t blocks) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(bytes);
  for (std::size_t i = 0; i < blocks; ++i) {
    Format::decode(block + i * Format::kBytes, out + i * kElements);
  }
}

}  // namespace

bool dequantise_code_word_types(DType dtype, const std::byte* bytes, float* out,
                                std::size_t blocks) {
  switch (dtype) {
    case DType::iq1_s:
      decode_blocks<FormatIq1S>(bytes, out, blocks);
      return true;
    case DType::iq1_m:
      decode_blocks<FormatIq1M>(bytes, out, blocks);
      return true;
    case DType::iq2_xxs:
      decode_blocks<FormatIq2Xxs>(bytes, out, blocks);
      return true;
    case DType::iq2_xs:
      decode_blocks<FormatIq2Xs>(bytes, out, blocks);
      return true;
    case DType::iq2_s:
      decode_blocks<FormatIq2S>(bytes, out, blocks);
      return true;
    case DType::iq3_xxs:
      decode_blocks<FormatIq3Xxs>(bytes, out, blocks);
      return true;
    case DType::iq3_s:
      decode_blocks<FormatIq3S>(bytes, out, blocks);
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

HWY_EXPORT(dequantise_code_word_types);

}  // namespace

bool dequantise_code_words(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(dequantise_code_word_types)(dtype, bytes, out, blocks);
}

}  // namespace amalgam
#endif  // HWY_ONCE
