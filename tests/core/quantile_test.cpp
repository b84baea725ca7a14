#include "amalgam/core/quantile.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

TEST(Quantile, BetweenNeighbours) {
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_EQ(quantile_of_sorted(sorted, 0), 1);
  EXPECT_EQ(quantile_of_sorted(sorted, 1), 8);
  EXPECT_EQ(quantile_of_sorted(sorted, 0.5), 3);
  EXPECT_NEAR(quantile_of_sorted(sorted, 0.05), 1.15, 1e-12);
}

TEST(Quantile, OfOneValueIsTheValueAndOfNoneAnError) {
  const std::vector<double> one = {3};
  EXPECT_EQ(quantile_of_sorted(one, 0.3), 3);
  EXPECT_THROW(quantile_of_sorted({}, 0.5), Error);
}

}  // namespace
}  // namespace amalgam
