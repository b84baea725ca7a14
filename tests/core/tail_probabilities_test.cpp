#include "amalgam/core/tail_probabilities.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace amalgam {
namespace {

TEST(TailProbabilities, OfTheNormalDistributionAreThoseOfTables) {
  EXPECT_NEAR(normal_two_sided(1.959963984540054), 0.05, 1e-12);
  EXPECT_NEAR(normal_below(-1), 0.15865525393145707, 1e-14);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(1e-10), -6.361340902404056, 1e-9);
  EXPECT_EQ(normal_quantile(1), std::numeric_limits<double>::infinity());
}

TEST(TailProbabilities, OfStudentAndChiSquaredAreThoseOfTables) {
  EXPECT_NEAR(student_two_sided(-2.776445105, 4), 0.05, 1e-9);
  EXPECT_NEAR(student_quantile(0.975, 1e9), 1.959963986, 1e-6);
  EXPECT_NEAR(chi_squared_above(3.841458820694124, 1), 0.05, 1e-12);
  // With 2 degrees of freedom it is exponential.
  EXPECT_NEAR(chi_squared_above(5, 2), std::exp(-2.5), 1e-14);
}

TEST(TailProbabilities, OfFairCoinsAreSumsOfBinomialCoefficients) {
  // 1 of 6: 2 (1 + 6) / 64; 3 of 6 is the middle.
  EXPECT_NEAR(fair_coins_two_sided(1, 6), 14.0 / 64, 1e-14);
  EXPECT_NEAR(fair_coins_two_sided(5, 6), 14.0 / 64, 1e-14);
  EXPECT_EQ(fair_coins_two_sided(3, 6), 1);
  EXPECT_EQ(fair_coins_two_sided(0, 0), 1);
  // 2 of 5: 2 (1 + 5 + 10) / 32 = 1.
  EXPECT_EQ(fair_coins_two_sided(2, 5), 1);
}

}  // namespace
}  // namespace amalgam
