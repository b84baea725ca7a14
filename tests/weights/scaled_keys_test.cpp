#include "amalgam/weights/rules/scaled_keys.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam::rules {
namespace {

std::uint64_t key_of(double value) { return std::bit_cast<std::uint64_t>(value); }
std::uint32_t float_key_of(float value) { return std::bit_cast<std::uint32_t>(value); }

constexpr std::uint64_t kLargestKey = ~std::uint64_t{0} >> 1;

void expect_exact(std::uint64_t low, std::uint64_t high, double scale, std::uint32_t key) {
  const auto bracket = scaled_bracket(low, high, scale);
  ASSERT_TRUE(bracket.has_value()) << scale;
  const std::uint64_t product = scaled_key(key, scale);
  EXPECT_EQ(key >= bracket->low, product >= low) << key << " times " << scale;
  EXPECT_EQ(key <= bracket->high, product <= high) << key << " times " << scale;
}

// Whichever float: that it lies in the bracket says that its product does. Around the bounds, where
// several floats may have a product that rounds to the bound.
TEST(ScaledKeys, ABracketHoldsExactlyTheFloatsWhoseProductsLieInIt) {
  RandomStream random(1, "scaled keys");
  for (int i = 0; i < 20000; ++i) {
    const double scale = std::exp(random.normal() * 10);
    const auto some = static_cast<float>(std::exp(random.normal() * 3));
    const std::uint64_t low = scaled_key(float_key_of(some), scale) + random.below(3) - 1;
    const std::uint64_t high =
        low + (random.below(2) == 0 ? 0 : random.below(std::uint64_t{1} << 40));
    const auto bracket = scaled_bracket(low, high, scale);
    ASSERT_TRUE(bracket.has_value());
    for (const std::uint32_t about : {bracket->low, bracket->high}) {
      for (int step = -3; step <= 3; ++step) {
        expect_exact(low, high, scale, about + static_cast<std::uint32_t>(step));
      }
    }
    expect_exact(low, kLargestKey, scale, float_key_of(some));
  }
}

TEST(ScaledKeys, TheEndsOfTheRange) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Products beyond every float, and infinity.
  for (const std::uint64_t low : {key_of(1e300), key_of(std::numeric_limits<double>::infinity())}) {
    for (const float value : {0.0F, 1.0F, std::numeric_limits<float>::max(), infinity}) {
      expect_exact(low, kLargestKey, 1e3, float_key_of(value));
    }
  }
  // The smallest floats, down to none.
  for (const float value : {0.0F, 1e-45F, 3e-45F, 1e-38F}) {
    expect_exact(1, key_of(1e-44), 0.5, float_key_of(value));
    expect_exact(1, kLargestKey, 1e-3, float_key_of(value));
  }
  // NaN is above what ends, and within what does not.
  EXPECT_GT(float_key_of(nan), scaled_bracket(key_of(1.0), key_of(2.0), 3.0)->high);
  EXPECT_LE(float_key_of(nan), scaled_bracket(key_of(1.0), kLargestKey, 3.0)->high);
}

TEST(ScaledKeys, WhereProductsDoNotOrderThereIsNoBracket) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double scale : {0.0, -1.0, infinity, nan}) {
    EXPECT_FALSE(scaled_bracket(key_of(1.0), key_of(2.0), scale).has_value()) << scale;
  }
  EXPECT_FALSE(scaled_bracket(key_of(1.0), key_of(nan), 1.0).has_value());
  EXPECT_FALSE(scaled_bracket(key_of(nan), kLargestKey, 1.0).has_value());
  // Thousands of floats have the same product of a few digits.
  EXPECT_FALSE(scaled_bracket(key_of(5e-324), key_of(1e-323), 1e-310).has_value());
}

}  // namespace
}  // namespace amalgam::rules
