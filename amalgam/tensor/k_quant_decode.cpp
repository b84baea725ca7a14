#include <cstddef>
#include <cstdint>
#include <cstring>

#include "amalgam/tensor/quantised_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "amalgam/tensor/k_quant_decode.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "amalgam/tensor/k_quant_layouts-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace amalgam::HWY_NAMESPACE {
namespace {

template <class Layout>
HWY_INLINE void decode_block(const std::uint8_t* block, float* HWY_RESTRICT out) {
  BlockLevels levels{};
  SubScales sub;
  Layout::load(block, levels, sub);
  const float d = half_at(block + Layout::kScaleAt);
  float dmin = 0;
  if constexpr (Layout::kHasMinimum) dmin = half_at(block + Layout::kMinimumAt);
  for (std::size_t s = 0; s < kLargeBlock / Layout::kSub; ++s) {
    const float scale = d * static_cast<float>(sub.scale[s]);
    const std::uint8_t* HWY_RESTRICT from = levels.data() + s * Layout::kSub;
    float* HWY_RESTRICT to = out + s * Layout::kSub;
    if constexpr (Layout::kHasMinimum) {
      const float minimum = dmin * static_cast<float>(sub.minimum[s]);
      for (std::size_t j = 0; j < Layout::kSub; ++j) {
        const float scaled = scale * static_cast<float>(from[j]);
        to[j] = scaled - minimum;
      }
    } else {
      for (std::size_t j = 0; j < Layout::kSub; ++j) {
        to[j] = scale * static_cast<float>(static_cast<std::int32_t>(from[j]) - Layout::kOffset);
      }
    }
  }
}

template <class Layout>
void decode_blocks(const std::byte* bytes, float* out, std::size_t blocks) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(bytes);
  for (std::size_t i = 0; i < blocks; ++i) {
    decode_block<Layout>(block + i * Layout::kBytes, out + i * kLargeBlock);
  }
}

/// Q8_K: a float scale, 256 signed bytes, and sums of 16 of them, which nobody needs here.
void decode_q8_k(const std::byte* bytes, float* out, std::size_t blocks) {
  constexpr std::size_t kBytes = 4 + kLargeBlock + 2 * 16;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::byte* block = bytes + i * kBytes;
    float scale = 0;
    std::memcpy(&scale, block, sizeof scale);
    for (std::size_t j = 0; j < kLargeBlock; ++j) {
      out[i * kLargeBlock + j] =
          scale * static_cast<float>(static_cast<std::int8_t>(block[sizeof scale + j]));
    }
  }
}

}  // namespace

bool dequantise_k_types(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  switch (dtype) {
    case DType::q2_k:
      decode_blocks<LayoutQ2K>(bytes, out, blocks);
      return true;
    case DType::q3_k:
      decode_blocks<LayoutQ3K>(bytes, out, blocks);
      return true;
    case DType::q4_k:
      decode_blocks<LayoutQ4K>(bytes, out, blocks);
      return true;
    case DType::q5_k:
      decode_blocks<LayoutQ5K>(bytes, out, blocks);
      return true;
    case DType::q6_k:
      decode_blocks<LayoutQ6K>(bytes, out, blocks);
      return true;
    case DType::q8_k:
      decode_q8_k(bytes, out, blocks);
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

HWY_EXPORT(dequantise_k_types);

}  // namespace

bool dequantise_k_quants(DType dtype, const std::byte* bytes, float* out, std::size_t blocks) {
  return HWY_DYNAMIC_DISPATCH(dequantise_k_types)(dtype, bytes, out, blocks);
}

}  // namespace amalgam
#endif  // HWY_ONCE
