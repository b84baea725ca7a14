#include "amalgam/scores/uncertainty/power.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/scores/uncertainty/paired_tests.hpp"

namespace amalgam::scores {
namespace {

TEST(Hoeffding, HalfWidthsAreThoseOfTheFormula) {
  EXPECT_NEAR(hoeffding_half_width(100, 0.05), 0.135810, 5e-7);    // sqrt(ln 40 / 200)
  EXPECT_NEAR(uniform_half_width(10, 100, 0.01), 0.295841, 5e-7);  // sqrt(ln 4e7 / 200)
  EXPECT_THROW(hoeffding_half_width(100, 0), InputError);
}

TEST(MeanPower, IsThatOfTheNormalDistribution) {
  // 0.975 quantile 1.959964, 0.8 quantile 0.841621: (2.801585)^2 = 7.848880.
  EXPECT_NEAR(detectable_mean(100, 2, 0.05, 0.8), 2.801585 * 2 / 10, 1e-6);
  EXPECT_EQ(pairs_for_mean(0.5, 2, 0.05, 0.8), std::ceil(7.848880 * 16));
  EXPECT_NEAR(mean_power(100, 2, detectable_mean(100, 2, 0.05, 0.8), 0.05), 0.8, 1e-5);
  EXPECT_NEAR(mean_power(100, 2, 0, 0.05), 0.05, 1e-12);
  EXPECT_TRUE(std::isinf(pairs_for_mean(0, 2, 0.05, 0.8)));
}

TEST(McNemarPower, InvertsItself) {
  // (1.959964 sqrt(0.2) + 0.841621 sqrt(0.2 - 0.01))^2 / 0.01 = 154.5.
  EXPECT_EQ(pairs_for_accuracy(0.1, 0.2, 0.05, 0.8), 155);
  for (const double count : {50.0, 200.0, 5000.0}) {
    const double effect = detectable_accuracy(count, 0.2, 0.05, 0.8);
    EXPECT_NEAR(mcnemar_power(count, 0.2, effect, 0.05), 0.8, 1e-3);
    EXPECT_NEAR(pairs_for_accuracy(effect, 0.2, 0.05, 0.8), count, 1.01);
  }
  // Five questions, one of them discordant: nothing could be seen.
  EXPECT_TRUE(std::isnan(detectable_accuracy(5, 0.2, 0.05, 0.8)));
}

// The advice keeps its promise: with the number of questions that it names, about 80 % of
// simulated studies find the difference.
TEST(McNemarPower, IsTheShareOfStudiesThatFindTheDifference) {
  constexpr double kDiscordant = 0.3;
  constexpr double kEffect = 0.12;
  const auto count = static_cast<std::size_t>(pairs_for_accuracy(kEffect, kDiscordant, 0.05, 0.8));
  int found = 0;
  constexpr int kStudies = 400;
  for (int study = 0; study < kStudies; ++study) {
    RandomStream random(static_cast<std::uint64_t>(study), "studies");
    std::uint64_t wins = 0;
    std::uint64_t losses = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const double u = random.uniform();
      wins += u < (kDiscordant + kEffect) / 2 ? 1 : 0;
      losses += u >= 1 - (kDiscordant - kEffect) / 2 ? 1 : 0;
    }
    // Without continuity correction: the formula is of this test.
    const double z = (static_cast<double>(wins) - static_cast<double>(losses)) /
                     std::sqrt(static_cast<double>(wins + losses));
    found += std::abs(z) > 1.959964 ? 1 : 0;
  }
  EXPECT_GE(found, 0.74 * kStudies);
  EXPECT_LE(found, 0.86 * kStudies);
}

}  // namespace
}  // namespace amalgam::scores
