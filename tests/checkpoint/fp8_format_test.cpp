#include "amalgam/checkpoint/fp8_format.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/tensor/convert.hpp"

namespace amalgam {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

struct Stored {
  std::vector<float> scales;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // that they stand for
};

// In calls of `step` elements, as the parts of a merge come.
Stored store(const Shape& shape, const Fp8Format& format, std::span<const float> values,
             std::size_t step) {
  const Fp8Grid grid(shape, format);
  Fp8Magnitudes magnitudes(grid);
  Stored stored{.scales = {}, .bytes = {}, .values = {}};
  stored.bytes.resize(values.size());
  stored.values.resize(values.size());
  const auto each = [&](const auto& body) {
    for (std::size_t at = 0; at < values.size(); at += step) {
      body(at, std::min(step, values.size() - at));
    }
  };
  each([&](std::size_t at, std::size_t n) { magnitudes.add(at, values.subspan(at, n)); });
  stored.scales = magnitudes.scales(format.powers_of_two);
  each([&](std::size_t at, std::size_t n) {
    encode_fp8(grid, stored.scales, at, values.subspan(at, n),
               std::span(stored.bytes).subspan(at, n));
  });
  decode(DType::f8_e4m3, stored.bytes, std::span(stored.values));
  multiply_by_scales(grid, stored.scales, 0, std::span(stored.values));
  return stored;
}

TEST(Fp8Format, NamesAreReadAndSaid) {
  for (const Fp8Scaling scaling : {Fp8Scaling::block, Fp8Scaling::channel, Fp8Scaling::tensor}) {
    EXPECT_EQ(parse_fp8_scaling(fp8_scaling_name(scaling)), scaling);
  }
  EXPECT_EQ(parse_fp8_scaling("FP8_Block"), Fp8Scaling::block);
  EXPECT_EQ(parse_fp8_scaling("fp8"), std::nullopt);
}

TEST(Fp8Format, ShapesOfScales) {
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::block).scale_shape({129, 128}), (Shape{2, 1}));
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::channel).scale_shape({3, 7}), (Shape{3, 1}));
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::tensor).scale_shape({3, 7}), (Shape{1}));
  EXPECT_THROW(Fp8Grid({3}, Fp8Format::usual(Fp8Scaling::channel)), InputError);
  EXPECT_THROW(Fp8Grid({3, 3, 3, 3}, Fp8Format::usual(Fp8Scaling::block)), InputError);
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::block).scale_shape({5, 129, 128}), (Shape{5, 2, 1}));
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::channel).scale_shape({5, 3, 7}), (Shape{5, 3, 1}));
  EXPECT_EQ(Fp8Format::usual(Fp8Scaling::tensor).scale_shape({5, 3, 7}), (Shape{5, 1}));
  Fp8Format one = Fp8Format::usual(Fp8Scaling::tensor);
  one.one_for_stack = true;
  EXPECT_EQ(one.scale_shape({5, 3, 7}), (Shape{1}));
}

TEST(Fp8, AStackIsStoredAsItsMatrices) {
  RandomStream random(4, "fp8");
  std::vector<float> values;
  for (std::size_t i = 0; i < 3 * 70 * 51; ++i) {
    values.push_back(static_cast<float>(random.normal()));
  }
  for (const Fp8Scaling scaling : {Fp8Scaling::block, Fp8Scaling::channel, Fp8Scaling::tensor}) {
    Fp8Format format = Fp8Format::usual(scaling);
    format.block = {16, 20};  // neither ends with a matrix
    const Stored stack = store({3, 70, 51}, format, values, 1000);
    Stored parts{.scales = {}, .bytes = {}, .values = {}};
    for (std::size_t matrix = 0; matrix < 3; ++matrix) {
      const auto own = std::span(values).subspan(matrix * 70 * 51, 70 * 51);
      const Stored one = store({70, 51}, format, own, own.size());
      parts.scales.insert(parts.scales.end(), one.scales.begin(), one.scales.end());
      parts.bytes.insert(parts.bytes.end(), one.bytes.begin(), one.bytes.end());
    }
    EXPECT_EQ(stack.scales, parts.scales);
    EXPECT_EQ(stack.bytes, parts.bytes);
  }
}

TEST(Fp8, GroupsShareNoScale) {
  for (const Shape& shape : {Shape{70, 51}, Shape{3, 70, 51}, Shape{3, 64, 51}}) {
    for (const Fp8Scaling scaling : {Fp8Scaling::block, Fp8Scaling::channel, Fp8Scaling::tensor}) {
      Fp8Format format = Fp8Format::usual(scaling);
      format.block = {16, 20};
      const Fp8Grid grid(shape, format);
      const std::uint64_t elements = element_count(shape, "test");
      std::uint64_t most = 0;  // of the groups before
      for (std::uint64_t at = 0; at < elements; ++at) {
        if (at % grid.group_elements() == 0 && at > 0) {
          ASSERT_GT(grid.scale_at(at), most);
        }
        most = std::max(most, grid.scale_at(at));
      }
      EXPECT_EQ(most + 1, grid.scales());
    }
  }
}

TEST(Fp8Scale, MakesTheLargestNumberTheLargest) {
  EXPECT_EQ(fp8_scale(448, false), 1);
  EXPECT_EQ(fp8_scale(0, false), 1);
  EXPECT_EQ(fp8_scale(0, true), 1);
  EXPECT_EQ(fp8_scale(448, true), 1);
  EXPECT_EQ(fp8_scale(449, true), 2);
  EXPECT_EQ(fp8_scale(3.5F, true), 0x1p-7F);
}

// 1e-44 / 448 is 0 in float, and the largest float / 448 rounds up: times 448 it would overflow.
TEST(Fp8Scale, IsNeitherZeroNorSubnormalNorTooLarge) {
  for (const bool power : {false, true}) {
    EXPECT_EQ(fp8_scale(1e-44F, power), kSmallestNormal);
    const float largest = std::numeric_limits<float>::max();
    EXPECT_GE(fp8_scale(largest, power) * 464, largest);
  }
  EXPECT_TRUE(std::isfinite(fp8_scale(std::numeric_limits<float>::max(), false) * 448));
}

// A code has 4 significant bits, and below 2^-6 steps of 2^-9: half a step is the most that
// rounding changes. The bounds hold for every block, since each has a scale of its own.
TEST(Fp8, ErrorIsAtMostHalfAStep) {
  const Shape shape = {130, 150};
  RandomStream random(1, "fp8");
  std::vector<float> values;
  for (std::size_t i = 0; i < 130 * 150; ++i) {
    values.push_back(static_cast<float>(random.normal() * std::exp(4 * random.normal())));
  }
  for (const Fp8Scaling scaling : {Fp8Scaling::block, Fp8Scaling::channel, Fp8Scaling::tensor}) {
    for (const bool power : {false, true}) {
      Fp8Format format = Fp8Format::usual(scaling);
      format.block = {64, 32};
      format.powers_of_two = power;
      const Stored stored = store(shape, format, values, values.size());
      const Fp8Grid grid(shape, format);
      grid.for_each_run(
          0, values.size(), [&](std::uint64_t place, std::uint64_t at, std::uint64_t length) {
            for (std::uint64_t i = at; i < at + length; ++i) {
              const double most =
                  std::max(std::abs(values[i]) * 0x1p-4, stored.scales[place] * 0x1p-10);
              ASSERT_LE(std::abs(stored.values[i] - values[i]), most * 1.0001);
            }
          });
    }
  }
}

TEST(Fp8, PartsOfAnyLengthGiveTheSameBytes) {
  RandomStream random(2, "fp8");
  std::vector<float> values;
  for (std::size_t i = 0; i < 70 * 51; ++i) values.push_back(static_cast<float>(random.normal()));
  Fp8Format format;
  format.block = {16, 20};
  const Stored whole = store({70, 51}, format, values, values.size());
  for (const std::size_t step : {1, 7, 1000}) {
    const Stored parts = store({70, 51}, format, values, step);
    EXPECT_EQ(parts.bytes, whole.bytes);
    EXPECT_EQ(parts.scales, whole.scales);
  }
}

// What has been stored once is stored with the same codes again; with powers of two at least with
// the same values (numbers that were rounded down to half of 448 get the next smaller scale).
TEST(Fp8, StoringAgainChangesNoCode) {
  RandomStream random(3, "fp8");
  std::vector<float> values;
  for (std::size_t i = 0; i < 40 * 40; ++i) values.push_back(static_cast<float>(random.normal()));
  for (const bool power : {false, true}) {
    Fp8Format format;
    format.block = {16, 16};
    format.powers_of_two = power;
    const Stored once = store({40, 40}, format, values, 100);
    const Stored again = store({40, 40}, format, once.values, 100);
    if (power) {
      EXPECT_EQ(again.values, once.values);
    } else {
      EXPECT_EQ(again.bytes, once.bytes);
    }
  }
}

TEST(Fp8, NanStaysInItsPlaceAndInfinityBecomesIt) {
  const std::vector<float> values = {448, kNan, -kInfinity, 1};
  const Stored stored = store({1, 4}, Fp8Format::usual(Fp8Scaling::tensor), values, 4);
  EXPECT_EQ(stored.scales, std::vector<float>{1});
  EXPECT_EQ(stored.values[0], 448);
  EXPECT_TRUE(std::isnan(stored.values[1]));
  EXPECT_TRUE(std::isnan(stored.values[2]));
  EXPECT_EQ(stored.values[3], 1);
}

// 2^120 is the scale, and 256 times it is no float.
TEST(Fp8, PowersOfTwoKeepTheLargestFloatsFinite) {
  Fp8Format format = Fp8Format::usual(Fp8Scaling::tensor);
  format.powers_of_two = true;
  const float largest = std::numeric_limits<float>::max();
  const Stored stored = store({1, 3}, format, std::vector<float>{largest, -largest, kInfinity}, 3);
  EXPECT_EQ(stored.scales, std::vector<float>{0x1p120F});
  EXPECT_EQ(stored.values[0], 240 * 0x1p120F);
  EXPECT_EQ(stored.values[1], -240 * 0x1p120F);
  EXPECT_TRUE(std::isnan(stored.values[2]));
}

TEST(Fp8, BlocksOfZerosAndOfSubnormalNumbers) {
  const std::vector<float> values = {0, -0.0F, 1e-40F, 0};
  Fp8Format format;
  format.block = {1, 2};
  const Stored stored = store({1, 4}, format, values, 4);
  EXPECT_EQ(stored.scales, (std::vector<float>{1, kSmallestNormal}));
  EXPECT_EQ(stored.values[0], 0);
  EXPECT_TRUE(std::signbit(stored.values[1]));
  EXPECT_EQ(stored.values[2], 0x1p-133F);  // 1e-40 / 2^-126 is nearest to 4 steps of 2^-9
}

}  // namespace
}  // namespace amalgam
