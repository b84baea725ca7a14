#include "amalgam/tensor/convert.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/simd_targets.hpp"

namespace amalgam {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class Stored>
std::vector<Stored> encode_as(DType dtype, const std::vector<double>& values) {
  std::vector<Stored> stored(values.size());
  encode(dtype, std::span<const double>(values), std::as_writable_bytes(std::span(stored)));
  return stored;
}

template <class Value, class Stored>
std::vector<Value> decode_as(DType dtype, const std::vector<Stored>& stored) {
  std::vector<Value> values(stored.size());
  decode(dtype, std::as_bytes(std::span(stored)), std::span<Value>(values));
  return values;
}

// Bits of `count` doubles of all magnitudes, NaN and infinity among them.
std::vector<double> varied_doubles(std::size_t count) {
  RandomStream stream(3, "convert");
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t high = stream.next();
    const auto any = std::bit_cast<double>((high << 32) | stream.next());
    values[i] = i % 4 == 0 ? any : std::ldexp(stream.normal(), static_cast<int>(i % 80) - 60);
    if (i % 97 == 5) values[i] = kNaN;
    if (i % 89 == 7) values[i] = -kInfinity;
    if (i % 83 == 9) values[i] = 0.0;
  }
  return values;
}

const std::vector<DType>& all_dtypes() {
  static const std::vector<DType> kTypes = {
      DType::f64,  DType::f32,  DType::f16,     DType::bf16, DType::f8_e4m3, DType::f8_e5m2,
      DType::i8,   DType::i16,  DType::i32,     DType::i64,  DType::u8,      DType::u16,
      DType::u32,  DType::u64,  DType::boolean, DType::q4_0, DType::q4_1,    DType::q5_0,
      DType::q5_1, DType::q8_0, DType::iq4_nl,  DType::q2_k, DType::q3_k,    DType::q4_k,
      DType::q5_k, DType::q6_k, DType::iq4_xs};
  return kTypes;
}

// The float that `x` rounds to, found without a conversion from double to float: halfway points
// between floats are exact in double.
void expect_nearest_float(double x, float rounded) {
  ASSERT_TRUE(std::isfinite(rounded)) << x;
  const float infinity = std::numeric_limits<float>::infinity();
  const float below = std::nextafter(rounded, -infinity);
  const float above = std::nextafter(rounded, infinity);
  const bool even = std::bit_cast<std::uint32_t>(rounded) % 2 == 0;
  const double r = rounded;
  if (std::isfinite(below)) {
    const double middle = (r + static_cast<double>(below)) / 2;
    ASSERT_TRUE(x > middle || (x == middle && even)) << x;
  }
  if (std::isfinite(above)) {
    const double middle = (r + static_cast<double>(above)) / 2;
    ASSERT_TRUE(x < middle || (x == middle && even)) << x;
  }
}

TEST(ConvertF32, RoundsDoublesToTheNearestFloat) {
  RandomStream stream(11, "f32");
  std::vector<double> values;
  for (int i = 0; i < 50'000; ++i) {
    const double fraction = 1 + stream.uniform();
    values.push_back(std::ldexp(fraction, static_cast<int>(stream.below(275)) - 148));
    // A tie, and its neighbours.
    const auto low = static_cast<float>(stream.normal());
    const double middle =
        (static_cast<double>(low) + static_cast<double>(std::nextafter(low, 1e30F))) / 2;
    for (const double value :
         {middle, std::nextafter(middle, kInfinity), std::nextafter(middle, -kInfinity)}) {
      values.push_back(value);
    }
  }
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<float> rounded = encode_as<float>(DType::f32, values);
    for (std::size_t i = 0; i < values.size(); ++i) expect_nearest_float(values[i], rounded[i]);
  });
}

TEST(ConvertF32, OverflowSubnormalsAndNaN) {
  const double largest = std::numeric_limits<float>::max();
  const double halfway = largest + 0x1p103;
  for_each_simd_target([&](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<float> rounded =
        encode_as<float>(DType::f32, {halfway, std::nextafter(halfway, 0), 0x1p-149, 0x1p-150,
                                      0x1.8p-149, -0.0, kNaN, -kInfinity});
    EXPECT_EQ(rounded[0], std::numeric_limits<float>::infinity());
    EXPECT_EQ(rounded[1], std::numeric_limits<float>::max());
    EXPECT_EQ(rounded[2], std::numeric_limits<float>::denorm_min());
    EXPECT_EQ(rounded[3], 0.0F);
    EXPECT_EQ(rounded[4], 2 * std::numeric_limits<float>::denorm_min());
    EXPECT_TRUE(std::signbit(rounded[5]));
    EXPECT_TRUE(std::isnan(rounded[6]));
    EXPECT_EQ(rounded[7], -std::numeric_limits<float>::infinity());
  });
}

TEST(ConvertF64, IsExactInDoubleAndRoundsToFloat) {
  const std::vector<double> values = {1.0 / 3, -0.0, 1e300, 0x1p-1074, 16777217.0};
  const std::vector<double> stored = encode_as<double>(DType::f64, values);
  EXPECT_EQ(std::memcmp(stored.data(), values.data(), values.size() * sizeof(double)), 0);
  EXPECT_EQ(decode_as<double>(DType::f64, stored), values);
  const std::vector<float> floats = decode_as<float>(DType::f64, stored);
  EXPECT_EQ(floats[0], 1.0F / 3);
  EXPECT_TRUE(std::signbit(floats[1]));
  EXPECT_TRUE(std::isinf(floats[2]));
  EXPECT_EQ(floats[3], 0.0F);
  EXPECT_EQ(floats[4], 16777216.0F);  // 2^24 + 1 is a tie
}

template <class Integer>
void expect_integer_limits(DType dtype) {
  SCOPED_TRACE(dtype_name(dtype));
  using Limits = std::numeric_limits<Integer>;
  const double above = std::ldexp(1.0, Limits::digits);
  const double below = std::is_signed_v<Integer> ? -above : 0.0;
  const std::vector<Integer> stored =
      encode_as<Integer>(dtype, {0.5, 1.5, 2.5, 3.4999, -0.5, kNaN, kInfinity, -kInfinity, above,
                                 above * 4, below, below - 1e6, 1e300});
  EXPECT_EQ(stored,
            (std::vector<Integer>{0, 2, 2, 3, 0, 0, Limits::max(), Limits::min(), Limits::max(),
                                  Limits::max(), Limits::min(), Limits::min(), Limits::max()}));
  if constexpr (std::is_signed_v<Integer>) {
    EXPECT_EQ(encode_as<Integer>(dtype, {-1.5, -2.5, -3.7}), (std::vector<Integer>{-2, -2, -4}));
  }
  // The doubles nearest to the limits from within.
  const double inside = std::min(std::nextafter(above, 0), above - 1);
  EXPECT_EQ(encode_as<Integer>(dtype, {inside}),
            (std::vector<Integer>{static_cast<Integer>(inside)}));
  const std::vector<Integer> extremes = {Limits::min(), Limits::max(), 0, 1};
  const std::vector<double> decoded = decode_as<double>(dtype, extremes);
  EXPECT_EQ(decoded[0], below);
  EXPECT_EQ(decoded[1], Limits::digits <= 53 ? above - 1 : above);
  EXPECT_EQ(decoded[2], 0.0);
  EXPECT_EQ(decoded[3], 1.0);
}

TEST(ConvertIntegers, RoundToNearestEvenAndClamp) {
  expect_integer_limits<std::int8_t>(DType::i8);
  expect_integer_limits<std::int16_t>(DType::i16);
  expect_integer_limits<std::int32_t>(DType::i32);
  expect_integer_limits<std::int64_t>(DType::i64);
  expect_integer_limits<std::uint8_t>(DType::u8);
  expect_integer_limits<std::uint16_t>(DType::u16);
  expect_integer_limits<std::uint32_t>(DType::u32);
  expect_integer_limits<std::uint64_t>(DType::u64);
}

// 2^60 + 2^36 + 1 lies just above the middle of two floats; as a double it is that middle.
TEST(ConvertIntegers, DecodeToFloatRoundsOnce) {
  const std::int64_t trap = (std::int64_t{1} << 60) + (std::int64_t{1} << 36) + 1;
  const std::vector<float> values = decode_as<float>(DType::i64, std::vector{trap, trap - 1});
  EXPECT_EQ(values[0], 0x1p60F + 0x1p37F);
  EXPECT_EQ(values[1], 0x1p60F);
  const auto unsigned_trap = static_cast<std::uint64_t>(trap) + (std::uint64_t{1} << 60);
  EXPECT_EQ(decode_as<float>(DType::u64, std::vector{unsigned_trap})[0], 0x1p61F);
}

TEST(ConvertBool, IsZeroOrOne) {
  const std::vector<std::uint8_t> stored =
      encode_as<std::uint8_t>(DType::boolean, {0, 1, 0.5, 0.51, 7, -3, kNaN, kInfinity});
  EXPECT_EQ(stored, (std::vector<std::uint8_t>{0, 1, 0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(decode_as<float>(DType::boolean, std::vector<std::uint8_t>{0, 1, 2, 255}),
            (std::vector<float>{0, 1, 1, 1}));
}

TEST(Convert, EveryTargetGivesTheBitsOfTheBaseline) {
  constexpr std::size_t kCount = 4096;
  const std::vector<double> doubles = varied_doubles(kCount);
  std::vector<float> floats(kCount);
  std::transform(doubles.begin(), doubles.end(), floats.begin(),
                 [](double value) { return static_cast<float>(value); });
  for (const DType dtype : all_dtypes()) {
    SCOPED_TRACE(dtype_name(dtype));
    using Bytes = std::vector<std::byte>;
    std::vector<std::vector<Bytes>> results;
    for_each_simd_target([&](const std::string&) {
      Bytes from_double(dtype_bytes(dtype, kCount));
      Bytes from_float(from_double.size());
      Bytes to_float(kCount * sizeof(float));
      Bytes to_double(kCount * sizeof(double));
      encode(dtype, std::span<const double>(doubles), from_double);
      encode(dtype, std::span<const float>(floats), from_float);
      std::vector<float> float_values(kCount);
      std::vector<double> double_values(kCount);
      decode(dtype, from_double, std::span<float>(float_values));
      decode(dtype, from_double, std::span<double>(double_values));
      std::memcpy(to_float.data(), float_values.data(), to_float.size());
      std::memcpy(to_double.data(), double_values.data(), to_double.size());
      results.push_back({from_double, from_float, to_float, to_double});
    });
    for (const auto& result : results) EXPECT_EQ(result, results.back());
  }
}

// Element i depends on nothing but element i, wherever a vector begins or ends, and nothing
// outside the spans is touched.
TEST(Convert, AnySizeAndAlignment) {
  constexpr std::size_t kLongest = 67;
  constexpr std::byte kGuard{0xA5};
  const std::vector<double> doubles = varied_doubles(kLongest + 4);
  for (const DType dtype : all_dtypes()) {
    if (dtype_is_quantised(dtype)) continue;
    SCOPED_TRACE(dtype_name(dtype));
    const std::size_t width = dtype_block_bytes(dtype);
    std::vector<std::byte> one_by_one(doubles.size() * width);
    for (std::size_t i = 0; i < doubles.size(); ++i) {
      encode(dtype, std::span(doubles).subspan(i, 1),
             std::span(one_by_one).subspan(i * width, width));
    }
    std::vector<double> values_one_by_one(doubles.size());
    for (std::size_t i = 0; i < doubles.size(); ++i) {
      decode(dtype, std::span<const std::byte>(one_by_one).subspan(i * width, width),
             std::span(values_one_by_one).subspan(i, 1));
    }
    for_each_simd_target([&](const std::string& target) {
      SCOPED_TRACE(target);
      for (std::size_t count = 0; count <= kLongest; ++count) {
        for (std::size_t shift = 0; shift < 4; ++shift) {
          // `shift` bytes and `shift` elements off any alignment.
          std::vector<std::byte> bytes(count * width + shift + 1, kGuard);
          encode(dtype, std::span(doubles).subspan(shift, count),
                 std::span(bytes).subspan(shift, count * width));
          ASSERT_TRUE(std::equal(bytes.begin() + static_cast<std::ptrdiff_t>(shift),
                                 bytes.end() - 1,
                                 one_by_one.begin() + static_cast<std::ptrdiff_t>(shift * width)));
          ASSERT_EQ(bytes.back(), kGuard);
          ASSERT_TRUE(std::all_of(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(shift),
                                  [&](std::byte b) { return b == kGuard; }));
          std::vector<double> values(count + 2, -77.0);
          decode(dtype, std::span<const std::byte>(bytes).subspan(shift, count * width),
                 std::span(values).subspan(1, count));
          ASSERT_EQ(std::memcmp(values.data() + 1, values_one_by_one.data() + shift,
                                count * sizeof(double)),
                    0);
          ASSERT_EQ(values.front(), -77.0);
          ASSERT_EQ(values.back(), -77.0);
        }
      }
    });
  }
}

TEST(Convert, RefusesSpansThatDoNotMatch) {
  std::vector<std::byte> bytes(7);
  std::vector<float> values(4);
  EXPECT_THROW(decode(DType::f16, bytes, std::span<float>(values)), Error);
  EXPECT_THROW(encode(DType::f16, std::span<const float>(values), bytes), Error);
  EXPECT_THROW(decode(DType::q8_0, bytes, std::span<float>(values)), Error);
}

}  // namespace
}  // namespace amalgam
