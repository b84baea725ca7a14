#include "amalgam/weights/rules/elementary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace amalgam {
namespace {

TEST(Elementary, SineAndCosineAgreeWithLongDouble) {
  for (int i = -20000; i <= 20000; ++i) {
    const double x = i * 0.00137 + (i % 7) * 211.3;
    EXPECT_NEAR(sine(x), static_cast<double>(std::sin(static_cast<long double>(x))), 3e-16) << x;
    EXPECT_NEAR(cosine(x), static_cast<double>(std::cos(static_cast<long double>(x))), 3e-16) << x;
  }
}

TEST(Elementary, ArcCosineAgreesWithLongDoubleToTheEnds) {
  for (int i = -10000; i <= 10000; ++i) {
    const double c = i / 10000.0;
    const double expected = static_cast<double>(std::acos(static_cast<long double>(c)));
    EXPECT_NEAR(arc_cosine(c), expected, 1e-15 * expected + 1e-300) << c;
  }
  EXPECT_EQ(arc_cosine(1 + 1e-7), 0.0);
  EXPECT_EQ(arc_cosine(-1 - 1e-7), std::numbers::pi);
  EXPECT_NEAR(arc_cosine(1 - 0x1p-50), std::sqrt(2 * 0x1p-50), 1e-20);
}

TEST(Elementary, PowerAgreesWithLongDouble) {
  for (int i = -200; i <= 200; ++i) {
    const double base = std::ldexp(1.0 + (i & 31) / 37.0, i);
    for (const double exponent : {-1.0, -0.37, 0.0, 0.25, 0.5, 1.0}) {
      const double expected =
          static_cast<double>(std::pow(static_cast<long double>(base), exponent));
      EXPECT_NEAR(power(base, exponent), expected, 1e-13 * expected) << base << ' ' << exponent;
    }
  }
  EXPECT_EQ(power(3.7, 0), 1.0);
}

TEST(Elementary, NotANumberStaysNotANumber) {
  EXPECT_TRUE(std::isnan(sine(NAN)));
  EXPECT_TRUE(std::isnan(arc_cosine(NAN)));
  EXPECT_TRUE(std::isnan(power(NAN, 0.5)));
}

}  // namespace
}  // namespace amalgam
