#include "amalgam/tensor/quantised.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/tensor/float_formats.hpp"
#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/quantised.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "amalgam/tensor/nibble_layout-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kBlock = kSmallBlock;
using Levels = SmallLevels;

HWY_INLINE float load_f16(const std::byte* bytes) {
  std::uint16_t half = 0;
  std::memcpy(&half, bytes, sizeof half);
  return formats::from_f16(half);
}

HWY_INLINE void store_f16(float value, std::byte* bytes) {
  const std::uint16_t half = formats::to_f16(value);
  std::memcpy(bytes, &half, sizeof half);
}

/// Truncates to an integer in [0, limit]; NaN gives 0. (GGML's cast is undefined outside: a block
/// of values so small that the inverse of the scale overflows.)
HWY_INLINE std::int32_t truncate_to(float value, float limit) {
  const float positive = value > 0 ? value : 0;
  return static_cast<std::int32_t>(positive < limit ? positive : limit);
}

HWY_INLINE float inverse_of(float scale) {
  return (std::bit_cast<std::uint32_t>(scale) & formats::kFloatMagnitude) != 0 ? 1.0F / scale
                                                                               : 0.0F;
}

/// The bits of the largest magnitude: the order of magnitudes is that of their bits.
HWY_INLINE std::uint32_t largest_magnitude(const float* values) {
  std::uint32_t largest = 0;
  for (std::size_t j = 0; j < kBlock; ++j) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[j]) & formats::kFloatMagnitude;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

/// The first of the values that `is_wanted` (there is one).
template <class Wanted>
HWY_INLINE float first_that(const float* values, Wanted is_wanted) {
  std::uint32_t first = kBlock - 1;
  for (std::uint32_t j = 0; j < kBlock; ++j) {
    const std::uint32_t here = is_wanted(values[j]) ? j : kBlock - 1;
    first = here < first ? here : first;
  }
  return values[first];
}

/// Q4_0 and Q5_0: levels -8..7 (-16..15) times the scale; the element of largest magnitude (the
/// first of several) gets the lowest level.
template <int bits>
struct Symmetric : NibbleLayout<bits, false> {
  using Layout = NibbleLayout<bits, false>;
  static constexpr int kOffset = Layout::kLevels / 2;

  static void quantise(const float* values, std::uint32_t magnitude, std::byte* block) {
    const float first_extreme = first_that(values, [magnitude](float value) HWY_ATTR {
      return (std::bit_cast<std::uint32_t>(value) & formats::kFloatMagnitude) == magnitude;
    });
    // The extreme of a block of zeros is positive, whatever their signs.
    const float extreme = magnitude == 0 ? 0.0F : first_extreme;
    const float scale = extreme / static_cast<float>(-kOffset);
    const float inverse = inverse_of(scale);
    Levels levels;
    for (std::size_t j = 0; j < kBlock; ++j) {
      const float shifted = values[j] * inverse + (static_cast<float>(kOffset) + 0.5F);
      levels[j] = static_cast<std::uint8_t>(truncate_to(shifted, Layout::kLevels - 1));
    }
    store_f16(scale, block);
    Layout::store(levels, block);
  }

  static void dequantise(const std::byte* block, float* out) {
    const float scale = load_f16(block);
    Levels levels;
    Layout::load(block, levels);
    for (std::size_t j = 0; j < kBlock; ++j) {
      out[j] = static_cast<float>(static_cast<std::int32_t>(levels[j]) - kOffset) * scale;
    }
  }
};

/// Q4_1 and Q5_1: levels 0..15 (0..31) times the scale, plus the minimum (of several zeros of
/// either sign, the first).
template <int bits>
struct Affine : NibbleLayout<bits, true> {
  using Layout = NibbleLayout<bits, true>;

  static void quantise(const float* values, std::uint32_t /*magnitude*/, std::byte* block) {
    // Integers in the order of the floats; adding zero makes the two zeros one.
    std::int32_t low = std::numeric_limits<std::int32_t>::max();
    std::int32_t high = std::numeric_limits<std::int32_t>::min();
    for (std::size_t j = 0; j < kBlock; ++j) {
      const auto value_bits = std::bit_cast<std::int32_t>(values[j] + 0.0F);
      const std::int32_t key = value_bits ^ ((value_bits >> 31) & 0x7FFFFFFF);
      low = key < low ? key : low;
      high = key > high ? key : high;
    }
    const auto from_key = [](std::int32_t key) HWY_ATTR {
      return std::bit_cast<float>(key ^ ((key >> 31) & 0x7FFFFFFF));
    };
    const float lowest = from_key(low);
    const float minimum = first_that(
        values, [lowest](float value) HWY_ATTR { return value >= lowest && value <= lowest; });
    const float scale = (from_key(high) - minimum) / static_cast<float>(Layout::kLevels - 1);
    const float inverse = inverse_of(scale);
    Levels levels;
    for (std::size_t j = 0; j < kBlock; ++j) {
      const float shifted = (values[j] - minimum) * inverse + 0.5F;
      levels[j] = static_cast<std::uint8_t>(truncate_to(shifted, Layout::kLevels - 1));
    }
    store_f16(scale, block);
    store_f16(minimum, block + 2);
    Layout::store(levels, block);
  }

  static void dequantise(const std::byte* block, float* out) {
    const float scale = load_f16(block);
    const float minimum = load_f16(block + 2);
    Levels levels;
    Layout::load(block, levels);
    for (std::size_t j = 0; j < kBlock; ++j) {
      const float scaled = static_cast<float>(levels[j]) * scale;
      out[j] = scaled + minimum;
    }
  }
};

/// Q8_0: F16 scale, then 32 signed bytes, rounded half away from zero.
struct Signed8 {
  static constexpr std::size_t kBytes = 2 + kBlock;

  static void quantise(const float* values, std::uint32_t magnitude, std::byte* block) {
    // The largest float below a half: with the half itself, the one below would round up too.
    constexpr float kAlmostHalf = 0x1.FFFFFEp-2F;
    const float scale = std::bit_cast<float>(magnitude) / 127.0F;
    const float inverse = inverse_of(scale);
    store_f16(scale, block);
    for (std::size_t j = 0; j < kBlock; ++j) {
      const float scaled = values[j] * inverse;
      const std::int32_t size = truncate_to(std::abs(scaled) + kAlmostHalf, 127.0F);
      block[2 + j] = static_cast<std::byte>(scaled < 0 ? -size : size);
    }
  }

  static void dequantise(const std::byte* block, float* out) {
    // Bytes may be anything, also floats: a plain loop would not become SIMD code.
    const hn::CappedTag<float, kBlock> d;
    const hn::Rebind<std::int32_t, decltype(d)> wide;
    const hn::Rebind<std::int8_t, decltype(d)> narrow;
    const auto scale = hn::Set(d, load_f16(block));
    const auto* levels = reinterpret_cast<const std::int8_t*>(block + 2);
    for (std::size_t j = 0; j < kBlock; j += hn::Lanes(d)) {
      const auto level = hn::PromoteTo(wide, hn::LoadU(narrow, levels + j));
      hn::StoreU(hn::Mul(hn::ConvertTo(d, level), scale), d, out + j);
    }
  }
};

template <class Format>
void dequantise_blocks(const std::byte* bytes, float* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    Format::dequantise(bytes + i * Format::kBytes, out + i * kBlock);
  }
}

template <class Format>
void quantise_blocks(const float* values, std::byte* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    std::byte* block = out + i * Format::kBytes;
    // A copy, so that the stores into `out` are known not to change it.
    std::array<float, kBlock> copy;
    std::memcpy(copy.data(), values + i * kBlock, sizeof copy);
    const std::uint32_t magnitude = largest_magnitude(copy.data());
    if (magnitude < formats::kFloatInfinity) {
      Format::quantise(copy.data(), magnitude, block);
    } else {
      std::memset(block, 0, Format::kBytes);
      store_f16(std::numeric_limits<float>::quiet_NaN(), block);
    }
  }
}

}  // namespace

// False if the type is not a quantised one.
bool dequantise_all(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  switch (dtype) {
    case DType::q4_0:
      dequantise_blocks<Symmetric<4>>(bytes, out, blocks);
      return true;
    case DType::q4_1:
      dequantise_blocks<Affine<4>>(bytes, out, blocks);
      return true;
    case DType::q5_0:
      dequantise_blocks<Symmetric<5>>(bytes, out, blocks);
      return true;
    case DType::q5_1:
      dequantise_blocks<Affine<5>>(bytes, out, blocks);
      return true;
    case DType::q8_0:
      dequantise_blocks<Signed8>(bytes, out, blocks);
      return true;
    default:
      return false;
  }
}

bool quantise_all(DType dtype, const float* values, std::byte* out, std::size_t blocks) {
  switch (dtype) {
    case DType::q4_0:
      quantise_blocks<Symmetric<4>>(values, out, blocks);
      return true;
    case DType::q4_1:
      quantise_blocks<Affine<4>>(values, out, blocks);
      return true;
    case DType::q5_0:
      quantise_blocks<Symmetric<5>>(values, out, blocks);
      return true;
    case DType::q5_1:
      quantise_blocks<Affine<5>>(values, out, blocks);
      return true;
    case DType::q8_0:
      quantise_blocks<Signed8>(values, out, blocks);
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

HWY_EXPORT(dequantise_all);
HWY_EXPORT(quantise_all);

}  // namespace

void dequantise(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  const std::size_t blocks = out.size() / dtype_block_elements(dtype);
  if (!HWY_DYNAMIC_DISPATCH(dequantise_all)(dtype, bytes.data(), out.data(), blocks) &&
      !dequantise_k_quants(dtype, bytes.data(), out.data(), blocks) &&
      !dequantise_tables(dtype, bytes.data(), out.data(), blocks) &&
      !dequantise_code_words(dtype, bytes.data(), out.data(), blocks)) {
    throw Error("dequantise: {} is not a quantised type", dtype_name(dtype));
  }
}

void quantise(DType dtype, std::span<const float> values, std::span<const float> importance,
              std::span<std::byte> out) {
  if (!importance.empty() && importance.size() != values.size()) {
    throw Error("quantise: {} values, but the importance of {}", values.size(), importance.size());
  }
  const std::size_t blocks = values.size() / dtype_block_elements(dtype);
  const float* weights = importance.empty() ? nullptr : importance.data();
  const bool is_done = (weights == nullptr && HWY_DYNAMIC_DISPATCH(quantise_all)(
                                                  dtype, values.data(), out.data(), blocks)) ||
                       quantise_k_quants(dtype, values.data(), weights, out.data(), blocks) ||
                       quantise_small_blocks(dtype, values.data(), weights, out.data(), blocks);
  if (!is_done) throw Error("quantise: nothing is written as {}", dtype_name(dtype));
}

void quantise(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  quantise(dtype, values, {}, out);
}

}  // namespace amalgam
#endif  // HWY_ONCE
