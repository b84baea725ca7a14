// The bytes of GGML's K-quants: 256 elements in sub-blocks of 16 or 32, each with a small integer
// scale (and minimum) of its own. Included once per SIMD target, within it. Internal to
// amalgam/tensor.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "amalgam/tensor/float_formats.hpp"

#if defined(AMALGAM_TENSOR_K_QUANT_LAYOUTS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_TENSOR_K_QUANT_LAYOUTS_INL_HPP
#undef AMALGAM_TENSOR_K_QUANT_LAYOUTS_INL_HPP
#else
#define AMALGAM_TENSOR_K_QUANT_LAYOUTS_INL_HPP
#endif

#include <hwy/highway.h>

#include "amalgam/tensor/quantiser_search-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

constexpr std::size_t kLargeBlock = 256;
/// The level of each element: not negative, in as many bits as the type has.
using BlockLevels = std::array<std::uint8_t, kLargeBlock>;

/// The small integers of a block, one per sub-block.
struct SubScales {
  std::array<std::int32_t, 16> scale{};
  std::array<std::int32_t, 16> minimum{};
};

HWY_INLINE float half_at(const std::uint8_t* bytes) {
  std::uint16_t half = 0;
  std::memcpy(&half, bytes, sizeof half);
  return formats::from_f16(half);
}

/// Planes of `bits` bits: byte l of a group of 32 bytes holds, in bits `bits` * p and up, the bits
/// of element 32 p + l of the group's 32 * 8 / `bits` elements.
template <int bits, std::size_t elements>
HWY_INLINE void load_planes(const std::uint8_t* HWY_RESTRICT bytes, int shift,
                            std::uint8_t* HWY_RESTRICT levels) {
  constexpr std::size_t kPlanes = 8 / bits;
  for (std::size_t plane = 0; plane < elements / 32; ++plane) {
    const std::uint8_t* HWY_RESTRICT from = bytes + plane / kPlanes * 32;
    std::uint8_t* HWY_RESTRICT to = levels + plane * 32;
    const std::size_t down = bits * (plane % kPlanes);
    for (std::size_t l = 0; l < 32; ++l) {
      to[l] |= static_cast<std::uint8_t>(((from[l] >> down) & ((1 << bits) - 1)) << shift);
    }
  }
}

template <int bits, std::size_t elements>
HWY_INLINE void store_planes(const std::uint8_t* HWY_RESTRICT levels, int shift,
                             std::uint8_t* HWY_RESTRICT bytes) {
  constexpr std::size_t kPlanes = 8 / bits;
  for (std::size_t group = 0; group < elements / (32 * kPlanes); ++group) {
    const std::uint8_t* HWY_RESTRICT from = levels + group * kPlanes * 32;
    std::uint8_t* HWY_RESTRICT to = bytes + group * 32;
    for (std::size_t l = 0; l < 32; ++l) {
      std::uint8_t packed = 0;
      for (std::size_t plane = 0; plane < kPlanes; ++plane) {
        const auto field =
            static_cast<std::uint8_t>((from[plane * 32 + l] >> shift) & ((1 << bits) - 1));
        packed = static_cast<std::uint8_t>(packed | (field << (bits * plane)));
      }
      to[l] = packed;
    }
  }
}

/// Eight scales and minima of 6 bits in 12 bytes, as Q4_K and Q5_K have them.
HWY_INLINE void load_six_bits(const std::uint8_t* bytes, SubScales& sub) {
  for (std::size_t j = 0; j < 4; ++j) {
    sub.scale[j] = bytes[j] & 63;
    sub.minimum[j] = bytes[4 + j] & 63;
    sub.scale[4 + j] = (bytes[8 + j] & 15) | ((bytes[j] >> 6) << 4);
    sub.minimum[4 + j] = (bytes[8 + j] >> 4) | ((bytes[4 + j] >> 6) << 4);
  }
}

HWY_INLINE void store_six_bits(const SubScales& sub, std::uint8_t* bytes) {
  for (std::size_t j = 0; j < 4; ++j) {
    bytes[j] = static_cast<std::uint8_t>(sub.scale[j] | ((sub.scale[4 + j] >> 4) << 6));
    bytes[4 + j] = static_cast<std::uint8_t>(sub.minimum[j] | ((sub.minimum[4 + j] >> 4) << 6));
    bytes[8 + j] =
        static_cast<std::uint8_t>((sub.scale[4 + j] & 15) | ((sub.minimum[4 + j] & 15) << 4));
  }
}

/// Value: d scale level - dmin minimum. `kBits` per level; where `kHasMinimum` is false, the value
/// is d scale (level - kOffset). A layout's load functions fill, its store functions write whole
/// fields.
struct LayoutQ2K {
  static constexpr std::size_t kBytes = 84;
  static constexpr std::size_t kSub = 16;
  static constexpr bool kHasMinimum = true;
  static constexpr std::size_t kScaleAt = 80;
  static constexpr std::size_t kMinimumAt = 82;
  static constexpr std::int32_t kLowestSub = 0;
  static constexpr std::int32_t kLargestSub = 15;
  static constexpr LinearLevels levels() { return {0.0F, 3.0F}; }

  static void load(const std::uint8_t* block, BlockLevels& levels, SubScales& sub) {
    load_planes<2, kLargeBlock>(block + 16, 0, levels.data());
    for (std::size_t j = 0; j < 16; ++j) {
      sub.scale[j] = block[j] & 15;
      sub.minimum[j] = block[j] >> 4;
    }
  }
  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    store_planes<2, kLargeBlock>(levels.data(), 0, block + 16);
    for (std::size_t j = 0; j < 16; ++j) {
      block[j] = static_cast<std::uint8_t>(sub.scale[j] | (sub.minimum[j] << 4));
    }
  }
};

struct LayoutQ3K {
  static constexpr std::size_t kBytes = 110;
  static constexpr std::size_t kSub = 16;
  static constexpr bool kHasMinimum = false;
  static constexpr std::int32_t kOffset = 4;
  static constexpr std::size_t kScaleAt = 108;
  static constexpr std::int32_t kLowestSub = -32;
  static constexpr std::int32_t kLargestSub = 31;
  static constexpr LinearLevels levels() { return {-4.0F, 3.0F}; }

  static void load(const std::uint8_t* block, BlockLevels& levels, SubScales& sub) {
    load_planes<2, kLargeBlock>(block + 32, 0, levels.data());
    load_planes<1, kLargeBlock>(block, 2, levels.data());
    const std::uint8_t* scales = block + 96;
    for (std::size_t j = 0; j < 16; ++j) {
      const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
      const int high = (scales[8 + j % 4] >> (2 * (j / 4))) & 3;
      sub.scale[j] = (low | (high << 4)) - 32;
    }
  }
  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    store_planes<2, kLargeBlock>(levels.data(), 0, block + 32);
    store_planes<1, kLargeBlock>(levels.data(), 2, block);
    std::uint8_t* scales = block + 96;
    std::memset(scales, 0, 12);
    for (std::size_t j = 0; j < 16; ++j) {
      const int scale = sub.scale[j] + 32;
      scales[j % 8] |= static_cast<std::uint8_t>((scale & 15) << (j < 8 ? 0 : 4));
      scales[8 + j % 4] |= static_cast<std::uint8_t>((scale >> 4) << (2 * (j / 4)));
    }
  }
};

struct LayoutQ4K {
  static constexpr std::size_t kBytes = 144;
  static constexpr std::size_t kSub = 32;
  static constexpr bool kHasMinimum = true;
  static constexpr std::size_t kScaleAt = 0;
  static constexpr std::size_t kMinimumAt = 2;
  static constexpr std::int32_t kLowestSub = 0;
  static constexpr std::int32_t kLargestSub = 63;
  static constexpr LinearLevels levels() { return {0.0F, 15.0F}; }

  static void load(const std::uint8_t* block, BlockLevels& levels, SubScales& sub) {
    load_planes<4, kLargeBlock>(block + 16, 0, levels.data());
    load_six_bits(block + 4, sub);
  }
  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    store_planes<4, kLargeBlock>(levels.data(), 0, block + 16);
    store_six_bits(sub, block + 4);
  }
};

struct LayoutQ5K {
  static constexpr std::size_t kBytes = 176;
  static constexpr std::size_t kSub = 32;
  static constexpr bool kHasMinimum = true;
  static constexpr std::size_t kScaleAt = 0;
  static constexpr std::size_t kMinimumAt = 2;
  static constexpr std::int32_t kLowestSub = 0;
  static constexpr std::int32_t kLargestSub = 63;
  static constexpr LinearLevels levels() { return {0.0F, 31.0F}; }

  static void load(const std::uint8_t* block, BlockLevels& levels, SubScales& sub) {
    load_planes<4, kLargeBlock>(block + 48, 0, levels.data());
    load_planes<1, kLargeBlock>(block + 16, 4, levels.data());
    load_six_bits(block + 4, sub);
  }
  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    store_planes<4, kLargeBlock>(levels.data(), 0, block + 48);
    store_planes<1, kLargeBlock>(levels.data(), 4, block + 16);
    store_six_bits(sub, block + 4);
  }
};

struct LayoutQ6K {
  static constexpr std::size_t kBytes = 210;
  static constexpr std::size_t kSub = 16;
  static constexpr bool kHasMinimum = false;
  static constexpr std::int32_t kOffset = 32;
  static constexpr std::size_t kScaleAt = 208;
  static constexpr std::int32_t kLowestSub = -128;
  static constexpr std::int32_t kLargestSub = 127;
  static constexpr LinearLevels levels() { return {-32.0F, 31.0F}; }

  static void load(const std::uint8_t* block, BlockLevels& levels, SubScales& sub) {
    // Each half of the block: 64 bytes with the low four bits, element l + 64 above element l.
    for (std::size_t half = 0; half < 2; ++half) {
      const std::uint8_t* HWY_RESTRICT low = block + 64 * half;
      std::uint8_t* HWY_RESTRICT to = levels.data() + 128 * half;
      for (std::size_t l = 0; l < 64; ++l) {
        to[l] |= low[l] & 15;
        to[l + 64] |= low[l] >> 4;
      }
    }
    load_planes<2, kLargeBlock>(block + 128, 4, levels.data());
    for (std::size_t j = 0; j < 16; ++j) {
      sub.scale[j] = static_cast<std::int8_t>(block[192 + j]);
    }
  }
  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::uint8_t* HWY_RESTRICT from = levels.data() + 128 * half;
      std::uint8_t* HWY_RESTRICT low = block + 64 * half;
      for (std::size_t l = 0; l < 64; ++l) {
        low[l] = static_cast<std::uint8_t>((from[l] & 15) | ((from[l + 64] & 15) << 4));
      }
    }
    store_planes<2, kLargeBlock>(levels.data(), 4, block + 128);
    for (std::size_t j = 0; j < 16; ++j) block[192 + j] = static_cast<std::uint8_t>(sub.scale[j]);
  }
};

/// Not a K-quant by name, but built like one; its levels are numbers of values in a table.
struct LayoutIq4Xs {
  static constexpr std::size_t kBytes = 136;
  static constexpr std::size_t kSub = 32;
  static constexpr bool kHasMinimum = false;
  static constexpr std::size_t kScaleAt = 0;
  static constexpr std::int32_t kLowestSub = -32;
  static constexpr std::int32_t kLargestSub = 31;
  static constexpr Iq4Levels levels() { return {}; }

  static void store(const BlockLevels& levels, const SubScales& sub, std::uint8_t* block) {
    std::memset(block + 2, 0, 6);
    for (std::size_t s = 0; s < 8; ++s) {
      const int scale = sub.scale[s] + 32;
      block[2 + s / 4] |= static_cast<std::uint8_t>((scale >> 4) << (2 * (s % 4)));
      block[4 + s / 2] |= static_cast<std::uint8_t>((scale & 15) << (4 * (s % 2)));
      const std::uint8_t* HWY_RESTRICT from = levels.data() + 32 * s;
      std::uint8_t* HWY_RESTRICT to = block + 8 + 16 * s;
      for (std::size_t j = 0; j < 16; ++j) {
        to[j] = static_cast<std::uint8_t>(from[j] | (from[j + 16] << 4));
      }
    }
  }
};

}  // namespace
}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // AMALGAM_TENSOR_K_QUANT_LAYOUTS_INL_HPP
