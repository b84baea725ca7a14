#include "amalgam/tensor/quantised.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "tests/tensor/rounding_reference.hpp"

namespace amalgam {
namespace {

using Bytes = std::vector<std::uint8_t>;

const std::vector<DType>& quantised_types() {
  static const std::vector<DType> kTypes = {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
                                            DType::q8_0};
  return kTypes;
}

// The formats, one element at a time, as GGML describes them. Halves go through the slow reference.

std::uint16_t half_bits(float value) {
  static const testing::RoundingReference kReference(testing::narrow_formats()[0]);
  return static_cast<std::uint16_t>(kReference.round(static_cast<double>(value)));
}

float half_value(const Bytes& block, std::size_t at) {
  const auto bits = static_cast<std::uint32_t>(block[at] | (block[at + 1] << 8));
  return static_cast<float>(testing::narrow_value(testing::narrow_formats()[0], bits));
}

void put_half(float value, Bytes& block) {
  const std::uint16_t bits = half_bits(value);
  block.push_back(static_cast<std::uint8_t>(bits & 0xFF));
  block.push_back(static_cast<std::uint8_t>(bits >> 8));
}

bool has_minimum(DType dtype) { return dtype == DType::q4_1 || dtype == DType::q5_1; }
bool has_fifth_bit(DType dtype) { return dtype == DType::q5_0 || dtype == DType::q5_1; }

std::vector<float> reference_dequantise(DType dtype, const Bytes& block) {
  std::vector<float> values(32);
  const float scale = half_value(block, 0);
  if (dtype == DType::q8_0) {
    for (std::size_t j = 0; j < 32; ++j) {
      const int q = block[2 + j] < 128 ? block[2 + j] : block[2 + j] - 256;
      values[j] = static_cast<float>(q) * scale;
    }
    return values;
  }
  std::size_t at = has_minimum(dtype) ? 4 : 2;
  std::uint32_t fifth = 0;
  if (has_fifth_bit(dtype)) {
    for (std::size_t k = 0; k < 4; ++k)
      fifth |= static_cast<std::uint32_t>(block[at + k]) << (8 * k);
    at += 4;
  }
  for (std::size_t j = 0; j < 32; ++j) {
    const int nibble = j < 16 ? block[at + j] % 16 : block[at + j - 16] / 16;
    const int level = nibble + ((fifth >> j) % 2 != 0 ? 16 : 0);
    if (has_minimum(dtype)) {
      const volatile float product = static_cast<float>(level) * scale;
      values[j] = product + half_value(block, 2);
    } else {
      values[j] = static_cast<float>(level - (has_fifth_bit(dtype) ? 16 : 8)) * scale;
    }
  }
  return values;
}

Bytes reference_quantise(DType dtype, const std::vector<float>& x) {
  Bytes block;
  if (dtype == DType::q8_0) {
    float largest = 0;
    for (const float value : x) largest = std::max(largest, std::fabs(value));
    const float scale = largest / 127;
    const float inverse = scale != 0 ? 1 / scale : 0;
    put_half(scale, block);
    for (const float value : x) {
      const volatile float scaled = value * inverse;
      block.push_back(static_cast<std::uint8_t>(static_cast<int>(std::round(scaled)) & 0xFF));
    }
    return block;
  }
  const int top = has_fifth_bit(dtype) ? 31 : 15;
  std::vector<int> levels;
  if (has_minimum(dtype)) {
    float low = std::numeric_limits<float>::max();
    float high = -low;
    for (const float value : x) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const float scale = (high - low) / static_cast<float>(top);
    const float inverse = scale != 0 ? 1 / scale : 0;
    put_half(scale, block);
    put_half(low, block);
    for (const float value : x) {
      const volatile float scaled = (value - low) * inverse;
      levels.push_back(std::min(top, static_cast<int>(scaled + 0.5F)));
    }
  } else {
    float largest = 0;
    float extreme = 0;
    for (const float value : x) {
      if (largest < std::fabs(value)) {
        largest = std::fabs(value);
        extreme = value;
      }
    }
    const int offset = (top + 1) / 2;
    const float scale = extreme / static_cast<float>(-offset);
    const float inverse = scale != 0 ? 1 / scale : 0;
    put_half(scale, block);
    for (const float value : x) {
      const volatile float scaled = value * inverse;
      levels.push_back(
          std::min(top, static_cast<int>(scaled + (static_cast<float>(offset) + 0.5F))));
    }
  }
  if (has_fifth_bit(dtype)) {
    for (std::size_t k = 0; k < 4; ++k) {
      int byte = 0;
      for (std::size_t bit = 0; bit < 8; ++bit) byte |= (levels[8 * k + bit] / 16) << bit;
      block.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  for (std::size_t j = 0; j < 16; ++j) {
    block.push_back(static_cast<std::uint8_t>(levels[j] % 16 + 16 * (levels[j + 16] % 16)));
  }
  return block;
}

Bytes quantise_block(DType dtype, const std::vector<float>& values) {
  Bytes block(dtype_block_bytes(dtype));
  encode(dtype, std::span<const float>(values), std::as_writable_bytes(std::span(block)));
  return block;
}

std::vector<float> dequantise_block(DType dtype, const Bytes& block) {
  std::vector<float> values(32);
  decode(dtype, std::as_bytes(std::span(block)), std::span<float>(values));
  return values;
}

// Blocks that are random, constant, zero of either sign, one-sided, with ties for the extreme, on
// the rounding boundaries, very large and very small.
std::vector<std::vector<float>> blocks() {
  RandomStream stream(4, "quantised");
  std::vector<std::vector<float>> all;
  const auto make = [&](const std::function<float(std::size_t)>& value) {
    std::vector<float> block(32);
    for (std::size_t j = 0; j < 32; ++j) block[j] = value(j);
    all.push_back(block);
  };
  for (int i = 0; i < 3000; ++i) {
    const double size = std::ldexp(1.0, static_cast<int>(stream.below(30)) - 20);
    make([&](std::size_t) { return static_cast<float>(stream.normal() * size); });
    make([&](std::size_t) { return static_cast<float>((stream.uniform() + 0.5) * size); });
    // Few distinct values, so that extremes are tied, in both signs.
    make([&](std::size_t) { return static_cast<float>(stream.below(7)) - 3.0F; });
    make([&](std::size_t) { return -static_cast<float>(stream.uniform() * size); });
  }
  for (const float constant : {0.0F, -0.0F, 1.0F, -1.0F, 1e-20F, 60000.0F, -8e6F, 1e-6F}) {
    make([&](std::size_t) { return constant; });
    make([&](std::size_t j) { return j == 17 ? -constant : constant; });
    make([&](std::size_t j) { return j == 31 ? constant : 0.0F; });
    make([&](std::size_t j) { return j % 2 == 0 ? 0.0F : -0.0F; });
    make([&](std::size_t j) { return j % 2 == 0 ? -0.0F : 0.0F; });
  }
  // Halves of every level of Q8_0 (scale 1), and the floats beside them.
  for (int k = 0; k < 127; k += 8) {
    for (const float direction : {0.0F, 127.0F}) {
      make([&](std::size_t j) {
        if (j == 0) return 127.0F;
        const auto half = static_cast<float>(k + static_cast<int>(j % 8)) + 0.5F;
        const float near = j % 3 == 0 ? half : std::nextafter(half, direction);
        return j % 5 == 0 ? -near : near;
      });
    }
  }
  return all;
}

TEST(Quantised, EncodesAsTheReferenceQuantiserOfTheFormat) {
  const std::vector<std::vector<float>> all = blocks();
  for (const DType dtype : quantised_types()) {
    std::vector<Bytes> expected;
    for (const auto& block : all) expected.push_back(reference_quantise(dtype, block));
    for_each_simd_target([&](const std::string& target) {
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(quantise_block(dtype, all[i]), expected[i])
            << dtype_name(dtype) << " " << target << " block " << i;
      }
    });
  }
}

TEST(Quantised, DecodesEveryByteAsTheFormatSays) {
  RandomStream stream(8, "bytes");
  for (const DType dtype : quantised_types()) {
    for (int i = 0; i < 2000; ++i) {
      Bytes block(dtype_block_bytes(dtype));
      for (auto& byte : block) byte = static_cast<std::uint8_t>(stream.next());
      const std::vector<float> expected = reference_dequantise(dtype, block);
      for_each_simd_target([&](const std::string& target) {
        const std::vector<float> values = dequantise_block(dtype, block);
        std::vector<double> wide(32);
        decode(dtype, std::as_bytes(std::span(block)), std::span<double>(wide));
        for (std::size_t j = 0; j < 32; ++j) {
          if (std::isnan(expected[j])) {
            ASSERT_TRUE(std::isnan(values[j])) << target;
            ASSERT_TRUE(std::isnan(wide[j])) << target;
          } else {
            ASSERT_EQ(values[j], expected[j]) << dtype_name(dtype) << " " << target << " " << j;
            ASSERT_EQ(wide[j], static_cast<double>(expected[j])) << target;
          }
        }
      });
    }
  }
}

// Worked by hand. Q4_0: the extreme -8 sets d = 1, so that x is stored as x + 8.
TEST(Quantised, LayoutOfQ4_0) {
  std::vector<float> values(32, 0.0F);
  values[0] = -8.0F;
  values[1] = 7.0F;
  values[16] = 3.0F;
  values[31] = -1.0F;
  const Bytes block = quantise_block(DType::q4_0, values);
  EXPECT_EQ(block[0], 0x00);
  EXPECT_EQ(block[1], 0x3C);   // 1.0
  EXPECT_EQ(block[2], 0xB0);   // element 0: 0, element 16: 11
  EXPECT_EQ(block[3], 0x8F);   // element 1: 15, element 17: 8
  EXPECT_EQ(block[17], 0x78);  // element 15: 8, element 31: 7
  EXPECT_EQ(dequantise_block(DType::q4_0, block), values);
}

// Q5_1: minimum -4, maximum 27, d = 1; x is stored as x + 4, the fifth bit apart.
TEST(Quantised, LayoutOfQ5_1) {
  std::vector<float> values(32, -4.0F);
  values[0] = 27.0F;   // 31
  values[18] = 13.0F;  // 17
  const Bytes block = quantise_block(DType::q5_1, values);
  EXPECT_EQ((Bytes{block.begin(), block.begin() + 11}),
            (Bytes{0x00, 0x3C, 0x00, 0xC4, 0x01, 0x00, 0x04, 0x00, 0x0F, 0x00, 0x10}));
  EXPECT_EQ(dequantise_block(DType::q5_1, block), values);
}

TEST(Quantised, LayoutOfQ8_0RoundsHalfAwayFromZero) {
  std::vector<float> values(32, 0.0F);
  values[0] = 127.0F;
  values[1] = 0.5F;
  values[2] = -0.5F;
  values[3] = std::nextafter(0.5F, 0.0F);
  values[4] = -2.5F;
  const Bytes block = quantise_block(DType::q8_0, values);
  EXPECT_EQ((Bytes{block.begin(), block.begin() + 8}),
            (Bytes{0x00, 0x3C, 127, 1, 0xFF, 0, 0xFD, 0}));
}

TEST(Quantised, ABlockWithNaNOrInfinityIsNaNAsAWhole) {
  for (const DType dtype : quantised_types()) {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                             -std::numeric_limits<double>::infinity(), 1e300}) {
      std::vector<double> values(96, 1.0);
      values[40] = bad;
      std::vector<std::byte> bytes(dtype_bytes(dtype, values.size()));
      encode(dtype, std::span<const double>(values), bytes);
      EXPECT_EQ(find_non_finite(dtype, bytes), 32U);
      std::vector<float> decoded(96);
      decode(dtype, bytes, std::span<float>(decoded));
      for (std::size_t i = 0; i < 96; ++i) {
        EXPECT_EQ(std::isnan(decoded[i]), i / 32 == 1) << dtype_name(dtype) << " " << i;
      }
    }
  }
}

// Scales that vanish as halves, or whose inverse overflows: defined, and zero (or the minimum).
TEST(Quantised, ValuesTooSmallForTheScaleBecomeZero) {
  for (const DType dtype : quantised_types()) {
    for (const float size : {1e-10F, 1e-38F, 1e-44F}) {
      std::vector<float> values(32);
      for (std::size_t j = 0; j < 32; ++j) values[j] = j % 2 == 0 ? size : -size * 0.5F;
      for (const float value : dequantise_block(dtype, quantise_block(dtype, values))) {
        EXPECT_EQ(value, 0.0F) << dtype_name(dtype);
      }
    }
  }
}

TEST(Quantised, ManyBlocksFromDoubleEqualOneByOneFromFloat) {
  RandomStream stream(2, "many");
  // More than the piece in which doubles are narrowed.
  std::vector<double> values(32 * 70);
  for (double& value : values) value = stream.normal();
  for (const DType dtype : quantised_types()) {
    Bytes bytes(dtype_bytes(dtype, values.size()));
    encode(dtype, std::span<const double>(values), std::as_writable_bytes(std::span(bytes)));
    Bytes expected;
    for (std::size_t first = 0; first < values.size(); first += 32) {
      std::vector<float> block(32);
      for (std::size_t j = 0; j < 32; ++j) block[j] = static_cast<float>(values[first + j]);
      const Bytes one = quantise_block(dtype, block);
      expected.insert(expected.end(), one.begin(), one.end());
    }
    EXPECT_EQ(bytes, expected) << dtype_name(dtype);
    std::vector<double> wide(values.size());
    decode(dtype, std::as_bytes(std::span(bytes)), std::span<double>(wide));
    std::vector<float> narrow(values.size());
    decode(dtype, std::as_bytes(std::span(bytes)), std::span<float>(narrow));
    for (std::size_t i = 0; i < wide.size(); ++i) {
      ASSERT_EQ(wide[i], static_cast<double>(narrow[i]));
    }
  }
}

TEST(Quantised, OtherTypesAreRefused) {
  std::vector<std::byte> bytes(64);
  std::vector<float> values(32);
  EXPECT_THROW(dequantise(DType::f16, bytes, values), Error);
  EXPECT_THROW(quantise(DType::i8, values, bytes), Error);
}

}  // namespace
}  // namespace amalgam
