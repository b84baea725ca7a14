#include "amalgam/core/averages.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace amalgam {
namespace {

TEST(Averages, OfFewValues) {
  EXPECT_EQ(mean_of(std::vector<double>{1, 2, 6}), 3);
  EXPECT_EQ(median_of({7, 1, 3}), 3);
  EXPECT_EQ(median_of({7, 1, 3, 4}), 3.5);
  EXPECT_EQ(median_of({2}), 2);
}

TEST(Averages, OfNoValuesAreNothing) {
  EXPECT_TRUE(std::isnan(mean_of({})));
  EXPECT_TRUE(std::isnan(median_of({})));
}

}  // namespace
}  // namespace amalgam
