#include "amalgam/core/multiple_testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace amalgam {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::NanSensitiveDoubleEq;

auto near(double value) { return DoubleNear(value, 1e-12); }

TEST(Holm, CountsTheSmallestMostAndNeverFalls) {
  // By size: 0.01 x 4 = 0.04, 0.02 x 3 = 0.06, 0.025 x 2 = 0.05 < 0.06, 0.5 x 1.
  EXPECT_THAT(holm(std::vector<double>{0.5, 0.02, 0.01, 0.025}),
              ElementsAre(near(0.5), near(0.06), near(0.04), near(0.06)));
}

TEST(Holm, StaysWithinOne) {
  EXPECT_THAT(holm(std::vector<double>{0.6, 0.9, 0.0}),
              ElementsAre(DoubleEq(1), DoubleEq(1), DoubleEq(0)));
}

TEST(BenjaminiHochberg, CountsByRankAndNeverExceedsALargerOne) {
  // By size: 0.01 x 4/1 = 0.04, 0.02 x 4/2 = 0.04, 0.025 x 4/3 = 0.0333.., 0.5 x 4/4 = 0.5.
  EXPECT_THAT(benjamini_hochberg(std::vector<double>{0.5, 0.02, 0.01, 0.025}),
              ElementsAre(near(0.5), near(0.1 / 3), near(0.1 / 3), near(0.1 / 3)));
  EXPECT_THAT(benjamini_hochberg(std::vector<double>{0.04, 0.01}),
              ElementsAre(near(0.04), near(0.02)));
}

TEST(Adjustment, TestsThatWereNotMadeAreNotCounted) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(holm(std::vector<double>{none, 0.01, 0.02}),
              ElementsAre(NanSensitiveDoubleEq(none), near(0.02), near(0.02)));
  EXPECT_THAT(benjamini_hochberg(std::vector<double>{0.03, none}),
              ElementsAre(near(0.03), NanSensitiveDoubleEq(none)));
  EXPECT_THAT(holm({}), IsEmpty());
}

}  // namespace
}  // namespace amalgam
