#include "amalgam/core/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

// 5 of 10 with z^2 = 3.841459: centre 1/2, reach sqrt(0.25 / 10 + 3.841459 / 400) / 1.3841459.
TEST(WilsonInterval, WorkedByHand) {
  const Interval interval = wilson_interval(5, 10);
  EXPECT_NEAR(interval.low, 0.236593, 1e-6);
  EXPECT_NEAR(interval.high, 0.763407, 1e-6);
}

TEST(WilsonInterval, StaysWithinZeroAndOneAndHasWidthThere) {
  const Interval none = wilson_interval(0, 10);
  EXPECT_EQ(none.low, 0.0);
  EXPECT_NEAR(none.high, 0.277533, 1e-6);  // z^2 / (n + z^2)
  const Interval all = wilson_interval(10, 10);
  EXPECT_NEAR(all.low, 1 - 0.277533, 1e-6);
  EXPECT_NEAR(all.high, 1.0, 1e-15);
  EXPECT_LE(all.high, 1.0);
}

// Mean 3, squares 4 + 1 + 0 + 1 + 4 = 10, s^2 = 2.5, standard error sqrt(0.5).
TEST(MeanInterval, WorkedByHand) {
  const std::vector<double> values = {1, 2, 3, 4, 5};
  const MeanInterval result = mean_interval(values, 2.0);
  EXPECT_DOUBLE_EQ(result.mean, 3.0);
  EXPECT_NEAR(result.interval.low, 3 - 2 * std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(result.interval.high, 3 + 2 * std::sqrt(0.5), 1e-12);
}

TEST(BootstrapInterval, OfAMeanIsNearTheNormalOne) {
  RandomStream stream(1, "test");
  std::vector<double> values(400);
  for (double& value : values) value = stream.normal();
  const auto mean = [&](std::span<const std::uint32_t> indices) {
    double sum = 0;
    for (const std::uint32_t index : indices) sum += values.at(index);
    return sum / static_cast<double>(indices.size());
  };
  const Interval interval = bootstrap_interval(values.size(), 2000, 3, mean);
  const Interval normal = mean_interval(values).interval;
  EXPECT_NEAR(interval.low, normal.low, 0.02);
  EXPECT_NEAR(interval.high, normal.high, 0.02);
  const Interval again = bootstrap_interval(values.size(), 2000, 3, mean);
  EXPECT_EQ(again.low, interval.low);
  EXPECT_EQ(again.high, interval.high);
}

}  // namespace
}  // namespace amalgam
