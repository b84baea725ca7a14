#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"
#include "amalgam/tensor/simd_targets.hpp"
#include "tests/tensor/rounding_reference.hpp"

namespace amalgam {
namespace {

using testing::NarrowFormat;
using testing::RoundingReference;

class NarrowType : public ::testing::TestWithParam<NarrowFormat> {
 protected:
  const NarrowFormat& format() const { return GetParam(); }

  std::vector<std::byte> to_bytes(const std::vector<std::uint32_t>& patterns) const {
    const std::size_t width = dtype_block_bytes(format().dtype);
    std::vector<std::byte> bytes(patterns.size() * width);
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      std::memcpy(bytes.data() + i * width, &patterns[i], width);
    }
    return bytes;
  }

  template <class T>
  std::vector<std::uint32_t> encode_patterns(const std::vector<T>& values) const {
    const std::size_t width = dtype_block_bytes(format().dtype);
    std::vector<std::byte> bytes(values.size() * width);
    encode(format().dtype, std::span<const T>(values), bytes);
    std::vector<std::uint32_t> patterns(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::memcpy(&patterns[i], bytes.data() + i * width, width);
    }
    return patterns;
  }

  template <class T>
  std::vector<T> decode_patterns(const std::vector<std::uint32_t>& patterns) const {
    std::vector<T> values(patterns.size());
    decode(format().dtype, to_bytes(patterns), std::span<T>(values));
    return values;
  }

  std::vector<std::uint32_t> every_pattern() const {
    std::vector<std::uint32_t> patterns(format().patterns());
    for (std::uint32_t i = 0; i < patterns.size(); ++i) patterns[i] = i;
    return patterns;
  }

  // What a NaN pattern becomes when it is made quiet.
  std::uint32_t quiet(std::uint32_t pattern) const {
    return format().has_infinity ? pattern | (1U << (format().fraction_bits - 1)) : pattern;
  }

  template <class T>
  void expect_every_pattern_decodes() const {
    const std::vector<std::uint32_t> patterns = every_pattern();
    const std::vector<T> values = decode_patterns<T>(patterns);
    for (const std::uint32_t pattern : patterns) {
      const double expected = testing::narrow_value(format(), pattern);
      const bool negative = (pattern & format().sign_bit()) != 0;
      ASSERT_EQ(std::signbit(values[pattern]), negative) << pattern;
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(values[pattern])) << pattern;
      } else {
        ASSERT_EQ(static_cast<double>(values[pattern]), expected) << pattern;
      }
    }
  }

  template <class T>
  void expect_encode_undoes_decode() const {
    const std::vector<std::uint32_t> patterns = every_pattern();
    const std::vector<std::uint32_t> back = encode_patterns(decode_patterns<T>(patterns));
    for (const std::uint32_t pattern : patterns) {
      const std::uint32_t expected = format().is_nan(pattern) ? quiet(pattern) : pattern;
      ASSERT_EQ(back[pattern], expected) << pattern;
    }
  }
};

TEST_P(NarrowType, DecodesEveryPatternToItsExactValue) {
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    expect_every_pattern_decodes<float>();
    expect_every_pattern_decodes<double>();
  });
}

TEST_P(NarrowType, EncodeUndoesDecodeForEveryPattern) {
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    expect_encode_undoes_decode<float>();
    expect_encode_undoes_decode<double>();
  });
}

TEST_P(NarrowType, NaNPayloadSurvivesDecoding) {
  std::vector<std::uint32_t> patterns;
  for (const std::uint32_t pattern : every_pattern()) {
    if (format().is_nan(pattern)) patterns.push_back(pattern);
  }
  const std::vector<float> values = decode_patterns<float>(patterns);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!format().has_infinity) continue;  // its one NaN has no payload
    const auto bits = std::bit_cast<std::uint32_t>(values[i]);
    const std::uint32_t payload = patterns[i] & format().fraction_mask();
    EXPECT_EQ((bits & 0x3FFFFF) >> (23 - format().fraction_bits),
              payload & (format().fraction_mask() >> 1));
  }
}

// Between any two neighbours: the midpoint goes to the even one, the doubles on either side of it
// to the nearer one. The doubles beside a midpoint round to it as floats, so that an encoder which
// goes through float fails here.
TEST_P(NarrowType, RoundsOnceToNearestEvenAtEveryMidpoint) {
  const RoundingReference reference(format());
  const std::vector<double>& values = reference.values();
  std::vector<double> inputs;
  std::vector<std::uint32_t> expected;
  for (std::uint32_t low = 0; low + 1 < values.size(); ++low) {
    const std::uint32_t high = low + 1;
    const double middle = (values[low] + values[high]) / 2;
    for (const std::uint32_t sign : {0U, format().sign_bit()}) {
      const double factor = sign != 0 ? -1 : 1;
      inputs.push_back(factor * std::nextafter(middle, 0));
      expected.push_back(sign | low);
      inputs.push_back(factor * middle);
      expected.push_back(sign | (low % 2 == 0 ? low : high));
      inputs.push_back(factor * std::nextafter(middle, std::numeric_limits<double>::infinity()));
      expected.push_back(sign | high);
    }
  }
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<std::uint32_t> patterns = encode_patterns(inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(patterns[i], expected[i]) << inputs[i];
    }
  });
}

TEST_P(NarrowType, RoundsFloatsAtEveryMidpoint) {
  const RoundingReference reference(format());
  std::vector<float> inputs;
  for (std::size_t low = 0; low + 1 < reference.values().size(); ++low) {
    const auto middle =
        static_cast<float>((reference.values()[low] + reference.values()[low + 1]) / 2);
    for (const float value : {middle, std::nextafter(middle, 0.0F),
                              std::nextafter(middle, std::numeric_limits<float>::infinity())}) {
      inputs.push_back(value);
      inputs.push_back(-value);
    }
  }
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<std::uint32_t> patterns = encode_patterns(inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(patterns[i], reference.round(static_cast<double>(inputs[i]))) << inputs[i];
    }
  });
}

TEST_P(NarrowType, RandomDoublesAgreeWithTheSlowReference) {
  const RoundingReference reference(format());
  RandomStream stream(7, "narrow types");
  std::vector<double> inputs;
  const int largest = std::ilogb(reference.values().back()) + 2;
  const int smallest = std::ilogb(reference.values()[1]) - 3;
  for (int i = 0; i < 100'000; ++i) {
    // Exponents over the whole range of the type and a little beyond, all fraction bits random.
    const auto exponent =
        smallest + static_cast<int>(stream.below(static_cast<std::uint64_t>(largest - smallest)));
    const double sign = stream.next() % 2 == 0 ? 1 : -1;
    inputs.push_back(sign * std::ldexp(1 + stream.uniform(), exponent));
  }
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t high = stream.next();
    const auto any = std::bit_cast<double>((high << 32) | stream.next());
    if (!std::isnan(any)) inputs.push_back(any);
  }
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<std::uint32_t> patterns = encode_patterns(inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(patterns[i], reference.round(inputs[i])) << inputs[i];
    }
  });
}

TEST_P(NarrowType, OverflowUnderflowAndNaN) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto tiny = std::bit_cast<double>(std::uint64_t{1});
  const auto low_payload = std::bit_cast<double>(std::uint64_t{0x7FF0000000000001});
  const std::uint32_t overflow = format().first_special();
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const auto patterns = encode_patterns<double>(
        {infinity, -infinity, 1e300, -1e300, tiny, -tiny, 0.0, -0.0, 1e-310});
    const std::uint32_t sign = format().sign_bit();
    EXPECT_EQ(patterns, (std::vector<std::uint32_t>{overflow, overflow | sign, overflow,
                                                    overflow | sign, 0, sign, 0, sign, 0}));
    // A NaN whose payload lies below what fits must not turn into infinity.
    const auto nans = encode_patterns<double>({low_payload, -low_payload,
                                               std::numeric_limits<double>::quiet_NaN(),
                                               std::numeric_limits<double>::signaling_NaN()});
    for (const std::uint32_t pattern : nans) {
      EXPECT_TRUE(format().is_nan(pattern)) << pattern;
      EXPECT_EQ(pattern, quiet(pattern));
    }
    const auto float_nans = encode_patterns<float>({std::bit_cast<float>(0x7F800001U),
                                                    std::bit_cast<float>(0xFFFFFFFFU),
                                                    std::bit_cast<float>(0x7FFFFFFFU)});
    for (const std::uint32_t pattern : float_nans) {
      EXPECT_TRUE(format().is_nan(pattern)) << pattern;
      EXPECT_EQ(pattern, quiet(pattern));
    }
    EXPECT_EQ(float_nans[0] & sign, 0U);
    EXPECT_EQ(float_nans[1] & sign, sign);
  });
}

INSTANTIATE_TEST_SUITE_P(All, NarrowType, ::testing::ValuesIn(testing::narrow_formats()),
                         [](const auto& instance) {
                           return std::string(dtype_name(instance.param.dtype));
                         });

std::uint32_t encode_one(DType dtype, double value) {
  std::uint32_t pattern = 0;
  encode(dtype, std::span<const double>(&value, 1),
         std::as_writable_bytes(std::span(&pattern, 1)).first(dtype_block_bytes(dtype)));
  return pattern;
}

// Patterns that PyTorch and NumPy print for the same numbers.
TEST(NarrowTypes, KnownPatterns) {
  EXPECT_EQ(encode_one(DType::f16, 1.0), 0x3C00U);
  EXPECT_EQ(encode_one(DType::f16, -2.0), 0xC000U);
  EXPECT_EQ(encode_one(DType::f16, 65504.0), 0x7BFFU);
  EXPECT_EQ(encode_one(DType::f16, 65519.99), 0x7BFFU);
  EXPECT_EQ(encode_one(DType::f16, 65520.0), 0x7C00U);
  EXPECT_EQ(encode_one(DType::f16, 0x1p-24), 0x0001U);
  EXPECT_EQ(encode_one(DType::f16, 1.0 / 3), 0x3555U);
  EXPECT_EQ(encode_one(DType::bf16, 1.0), 0x3F80U);
  EXPECT_EQ(encode_one(DType::bf16, 3.14159265), 0x4049U);
  EXPECT_EQ(encode_one(DType::bf16, 0x1p-133), 0x0001U);
  EXPECT_EQ(encode_one(DType::f8_e4m3, 448.0), 0x7EU);
  EXPECT_EQ(encode_one(DType::f8_e4m3, 464.0), 0x7EU);   // tie with 480, which is not a number
  EXPECT_EQ(encode_one(DType::f8_e4m3, 464.01), 0x7FU);  // overflow is NaN
  EXPECT_EQ(encode_one(DType::f8_e4m3, 0x1p-9), 0x01U);
  EXPECT_EQ(encode_one(DType::f8_e5m2, 57344.0), 0x7BU);
  EXPECT_EQ(encode_one(DType::f8_e5m2, 61440.0), 0x7CU);
  EXPECT_EQ(encode_one(DType::f8_e5m2, 0x1p-16), 0x01U);
}

// 1 + 2^-11 + 2^-40 lies above the midpoint 1 + 2^-11 of the halves 1 and 1 + 2^-10; as a float it
// is that midpoint, which would go down to the even 1.
TEST(NarrowTypes, DoubleRoundingWouldBeSeen) {
  EXPECT_EQ(encode_one(DType::f16, 1 + 0x1p-11 + 0x1p-40), 0x3C01U);
  EXPECT_EQ(encode_one(DType::f16, 1 + 0x1p-11), 0x3C00U);
  EXPECT_EQ(encode_one(DType::bf16, 1 + 0x1p-8 + 0x1p-45), 0x3F81U);
  // The same among subnormals: half of the smallest, and a little more.
  EXPECT_EQ(encode_one(DType::bf16, 0x1p-134), 0x0000U);
  EXPECT_EQ(encode_one(DType::bf16, 0x1p-134 + 0x1p-180), 0x0001U);
  EXPECT_EQ(encode_one(DType::f16, 0x1p-25 + 0x1p-70), 0x0001U);
}

}  // namespace
}  // namespace amalgam
