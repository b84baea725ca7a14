// The bytes of GGML's blocks of 32 elements of four or five bits. Included once per SIMD target,
// within it. Internal to amalgam/tensor.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(AMALGAM_TENSOR_NIBBLE_LAYOUT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef AMALGAM_TENSOR_NIBBLE_LAYOUT_INL_HPP
#undef AMALGAM_TENSOR_NIBBLE_LAYOUT_INL_HPP
#else
#define AMALGAM_TENSOR_NIBBLE_LAYOUT_INL_HPP
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

constexpr std::size_t kSmallBlock = 32;
constexpr std::size_t kHalfBlock = kSmallBlock / 2;
using SmallLevels = std::array<std::uint8_t, kSmallBlock>;

/// The layouts of GGML's Q4_0, Q4_1, Q5_0 and Q5_1: F16 scale; F16 minimum if there is one; the
/// fifth bits of all 32 elements as one little-endian word if there are five; then 16 bytes, byte j
/// with the low four bits of element j below those of element j + 16.
template <int bits, bool has_minimum>
struct NibbleLayout {
  static constexpr bool kHasHighBits = bits == 5;
  static constexpr std::size_t kHighBitsAt = has_minimum ? 4 : 2;
  static constexpr std::size_t kNibblesAt = kHighBitsAt + (kHasHighBits ? 4 : 0);
  static constexpr std::size_t kBytes = kNibblesAt + kHalfBlock;
  static constexpr int kLevels = 1 << bits;

  static void store(const SmallLevels& levels, std::byte* block) {
    for (std::size_t j = 0; j < kHalfBlock; ++j) {
      block[kNibblesAt + j] =
          static_cast<std::byte>((levels[j] & 0xF) | ((levels[j + kHalfBlock] & 0xF) << 4));
    }
    if constexpr (kHasHighBits) {
      std::uint32_t high_bits = 0;
      for (std::size_t j = 0; j < kSmallBlock; ++j) {
        high_bits |= static_cast<std::uint32_t>(levels[j] >> 4) << j;
      }
      std::memcpy(block + kHighBitsAt, &high_bits, sizeof high_bits);
    }
  }

  static void load(const std::byte* block, SmallLevels& levels) {
    for (std::size_t j = 0; j < kHalfBlock; ++j) {
      const auto pair = static_cast<std::uint8_t>(block[kNibblesAt + j]);
      levels[j] = pair & 0xF;
      levels[j + kHalfBlock] = pair >> 4;
    }
    if constexpr (kHasHighBits) {
      std::uint32_t high_bits = 0;
      std::memcpy(&high_bits, block + kHighBitsAt, sizeof high_bits);
      for (std::size_t j = 0; j < kSmallBlock; ++j) {
        levels[j] |= static_cast<std::uint8_t>(((high_bits >> j) & 1) << 4);
      }
    }
  }
};

}  // namespace
}  // namespace amalgam::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // AMALGAM_TENSOR_NIBBLE_LAYOUT_INL_HPP
