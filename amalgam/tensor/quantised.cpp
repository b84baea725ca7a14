#include "amalgam/tensor/quantised.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/float_formats.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kHalf = kQuantisedBlockElements / 2;
static_assert(std::endian::native == std::endian::little);

/// The layouts of GGML's Q4_0, Q4_1, Q5_0 and Q5_1: F16 scale; F16 minimum if there is one; the
/// fifth bits of all 32 elements as one little-endian word if there are five; then 16 bytes, byte j
/// with the low four bits of element j below those of element j + 16.
template <int bits, bool has_minimum>
struct NibbleFormat {
  static constexpr std::size_t kHighBitsAt = has_minimum ? 4 : 2;
  static constexpr std::size_t kNibblesAt = kHighBitsAt + (bits == 5 ? 4 : 0);
  static constexpr std::size_t kBytes = kNibblesAt + kHalf;
  static constexpr int kLevels = 1 << bits;
};

float load_f16(const std::byte* bytes) {
  std::uint16_t half = 0;
  std::memcpy(&half, bytes, sizeof half);
  return formats::from_f16(half);
}

void store_f16(float value, std::byte* bytes) {
  const std::uint16_t half = formats::to_f16(value);
  std::memcpy(bytes, &half, sizeof half);
}

/// Truncates to an integer in [0, limit]; NaN gives 0. GGML's cast is undefined outside that range.
std::uint32_t truncate_to(float value, int limit) {
  const auto top = static_cast<float>(limit);
  return value >= top ? static_cast<std::uint32_t>(limit)
                      : (value > 0 ? static_cast<std::uint32_t>(value) : 0);
}

float inverse_of(float scale) {
  return std::bit_cast<std::uint32_t>(scale) << 1 != 0 ? 1.0F / scale : 0.0F;
}

template <class Format>
void store_levels(const std::array<std::uint32_t, kQuantisedBlockElements>& levels,
                  std::byte* block) {
  std::uint32_t high_bits = 0;
  for (std::size_t j = 0; j < kHalf; ++j) {
    const std::uint32_t low = levels[j];
    const std::uint32_t high = levels[j + kHalf];
    block[Format::kNibblesAt + j] = static_cast<std::byte>((low & 0xF) | ((high & 0xF) << 4));
    high_bits |= (low >> 4) << j;
    high_bits |= (high >> 4) << (j + kHalf);
  }
  if constexpr (Format::kNibblesAt != Format::kHighBitsAt) {
    std::memcpy(block + Format::kHighBitsAt, &high_bits, sizeof high_bits);
  }
}

template <class Format>
void load_levels(const std::byte* block,
                 std::array<std::uint32_t, kQuantisedBlockElements>& levels) {
  for (std::size_t j = 0; j < kHalf; ++j) {
    const auto pair = static_cast<std::uint32_t>(block[Format::kNibblesAt + j]);
    levels[j] = pair & 0xF;
    levels[j + kHalf] = pair >> 4;
  }
  if constexpr (Format::kNibblesAt != Format::kHighBitsAt) {
    std::uint32_t high_bits = 0;
    std::memcpy(&high_bits, block + Format::kHighBitsAt, sizeof high_bits);
    for (std::size_t j = 0; j < kQuantisedBlockElements; ++j) {
      levels[j] |= ((high_bits >> j) & 1) << 4;
    }
  }
}

/// Q4_0 and Q5_0: levels -8..7 (-16..15) times the scale; the element of largest magnitude (the
/// first of several) gets the lowest level.
template <int bits>
struct Symmetric : NibbleFormat<bits, false> {
  using Format = NibbleFormat<bits, false>;
  static constexpr int kOffset = Format::kLevels / 2;

  static void quantise(const float* values, std::byte* block) {
    float extreme = 0;
    float magnitude = 0;
    for (std::size_t j = 0; j < kQuantisedBlockElements; ++j) {
      if (magnitude < std::abs(values[j])) {
        magnitude = std::abs(values[j]);
        extreme = values[j];
      }
    }
    const float scale = extreme / static_cast<float>(-kOffset);
    const float inverse = inverse_of(scale);
    std::array<std::uint32_t, kQuantisedBlockElements> levels{};
    for (std::size_t j = 0; j < levels.size(); ++j) {
      levels[j] = truncate_to(values[j] * inverse + (static_cast<float>(kOffset) + 0.5F),
                              Format::kLevels - 1);
    }
    store_f16(scale, block);
    store_levels<Format>(levels, block);
  }

  static void dequantise(const std::byte* block, float* out) {
    const float scale = load_f16(block);
    std::array<std::uint32_t, kQuantisedBlockElements> levels{};
    load_levels<Format>(block, levels);
    for (std::size_t j = 0; j < levels.size(); ++j) {
      out[j] = static_cast<float>(static_cast<int>(levels[j]) - kOffset) * scale;
    }
  }
};

/// Q4_1 and Q5_1: levels 0..15 (0..31) times the scale, plus the minimum.
template <int bits>
struct Affine : NibbleFormat<bits, true> {
  using Format = NibbleFormat<bits, true>;

  static void quantise(const float* values, std::byte* block) {
    const auto [low, high] = std::minmax_element(values, values + kQuantisedBlockElements);
    const float minimum = *low;
    const float scale = (*high - minimum) / static_cast<float>(Format::kLevels - 1);
    const float inverse = inverse_of(scale);
    std::array<std::uint32_t, kQuantisedBlockElements> levels{};
    for (std::size_t j = 0; j < levels.size(); ++j) {
      levels[j] = truncate_to((values[j] - minimum) * inverse + 0.5F, Format::kLevels - 1);
    }
    store_f16(scale, block);
    store_f16(minimum, block + 2);
    store_levels<Format>(levels, block);
  }

  static void dequantise(const std::byte* block, float* out) {
    const float scale = load_f16(block);
    const float minimum = load_f16(block + 2);
    std::array<std::uint32_t, kQuantisedBlockElements> levels{};
    load_levels<Format>(block, levels);
    for (std::size_t j = 0; j < levels.size(); ++j) {
      out[j] = static_cast<float>(levels[j]) * scale + minimum;
    }
  }
};

/// Q8_0: F16 scale, then 32 signed bytes, rounded half away from zero.
struct Signed8 {
  static constexpr std::size_t kBytes = 2 + kQuantisedBlockElements;

  static void quantise(const float* values, std::byte* block) {
    float magnitude = 0;
    for (std::size_t j = 0; j < kQuantisedBlockElements; ++j) {
      magnitude = std::max(magnitude, std::abs(values[j]));
    }
    const float scale = magnitude / 127.0F;
    const float inverse = inverse_of(scale);
    store_f16(scale, block);
    for (std::size_t j = 0; j < kQuantisedBlockElements; ++j) {
      const float scaled = values[j] * inverse;
      const auto size = static_cast<std::int32_t>(truncate_to(std::abs(std::round(scaled)), 127));
      block[2 + j] = static_cast<std::byte>(scaled < 0 ? -size : size);
    }
  }

  static void dequantise(const std::byte* block, float* out) {
    const float scale = load_f16(block);
    for (std::size_t j = 0; j < kQuantisedBlockElements; ++j) {
      out[j] = static_cast<float>(static_cast<std::int8_t>(block[2 + j])) * scale;
    }
  }
};

bool all_finite(const float* values) {
  return std::all_of(values, values + kQuantisedBlockElements,
                     [](float value) { return std::isfinite(value); });
}

template <class Format>
void dequantise_blocks(std::span<const std::byte> bytes, std::span<float> out) {
  const std::size_t blocks = out.size() / kQuantisedBlockElements;
  for (std::size_t i = 0; i < blocks; ++i) {
    Format::dequantise(bytes.data() + i * Format::kBytes, out.data() + i * kQuantisedBlockElements);
  }
}

template <class Format>
void quantise_blocks(std::span<const float> values, std::span<std::byte> out) {
  const std::size_t blocks = values.size() / kQuantisedBlockElements;
  for (std::size_t i = 0; i < blocks; ++i) {
    const float* block_values = values.data() + i * kQuantisedBlockElements;
    std::byte* block = out.data() + i * Format::kBytes;
    if (all_finite(block_values)) {
      Format::quantise(block_values, block);
    } else {
      std::memset(block, 0, Format::kBytes);
      store_f16(std::numeric_limits<float>::quiet_NaN(), block);
    }
  }
}

/// Calls action.template operator()<Format>() for the format of a quantised type.
template <class Action>
void with_format(DType dtype, Action action) {
  switch (dtype) {
    case DType::q4_0:
      return action.template operator()<Symmetric<4>>();
    case DType::q4_1:
      return action.template operator()<Affine<4>>();
    case DType::q5_0:
      return action.template operator()<Symmetric<5>>();
    case DType::q5_1:
      return action.template operator()<Affine<5>>();
    case DType::q8_0:
      return action.template operator()<Signed8>();
    default:
      throw Error("{} is not a quantised type", dtype_name(dtype));
  }
}

}  // namespace

void dequantise(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  with_format(dtype, [&]<class Format>() { dequantise_blocks<Format>(bytes, out); });
}

void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  with_format(dtype, [&]<class Format>() { quantise_blocks<Format>(values, out); });
}

}  // namespace amalgam
