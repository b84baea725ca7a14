#include "amalgam/core/elementary.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace amalgam {
namespace {

double units_apart(double a, double b) {
  if (a == b) return 0;
  const double unit = std::nextafter(std::abs(b), HUGE_VAL) - std::abs(b);
  return std::abs(a - b) / unit;
}

RC_GTEST_PROP(PortableExp, IsThatOfTheLibraryToAUnit, (std::int32_t x)) {
  const double at = x / 3.1e6;  // up to +-690
  RC_ASSERT(units_apart(portable_exp(at), std::exp(at)) <= 2);
}

RC_GTEST_PROP(PortableLog, IsThatOfTheLibraryToAUnit, (std::uint64_t bits)) {
  const double x = std::abs(std::bit_cast<double>(bits));
  RC_PRE(std::isfinite(x) && x > 0);
  RC_ASSERT(units_apart(portable_log(x), std::log(x)) <= 2);
}

TEST(PortableExp, KnowsItsEnds) {
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_exp(-800), 0);
  EXPECT_GT(portable_exp(-744), 0);
  EXPECT_EQ(portable_exp(710), HUGE_VAL);
  EXPECT_EQ(portable_exp(-HUGE_VAL), 0);
  EXPECT_TRUE(std::isnan(portable_exp(std::nan(""))));
}

TEST(PortableLog, KnowsItsEnds) {
  EXPECT_EQ(portable_log(1), 0);
  EXPECT_EQ(portable_log(0), -HUGE_VAL);
  EXPECT_EQ(portable_log(HUGE_VAL), HUGE_VAL);
  EXPECT_TRUE(std::isnan(portable_log(-1)));
  EXPECT_NEAR(portable_log(5e-324), std::log(5e-324), 1e-12);
}

TEST(PortableDigamma, HasTheValuesOfTheTables) {
  EXPECT_NEAR(portable_digamma(1), -0.57721566490153286, 1e-14);
  EXPECT_NEAR(portable_digamma(0.5), -1.96351002602142347, 1e-14);
  EXPECT_NEAR(portable_digamma(10), 2.25175258906672110, 1e-14);
  EXPECT_NEAR(portable_digamma(0.01), -100.56088545786867, 1e-11);
}

RC_GTEST_PROP(PortableLogLogistic, IsTheLogarithmOfTheLogisticFunction, (std::int16_t x)) {
  const double at = x / 500.0;
  RC_ASSERT(std::abs(portable_log_logistic(at) - std::log(portable_logistic(at))) <= 1e-12);
  RC_ASSERT(std::abs(portable_logistic(at) + portable_logistic(-at) - 1) <= 1e-15);
}

}  // namespace
}  // namespace amalgam
