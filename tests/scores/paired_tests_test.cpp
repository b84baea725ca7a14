#include "amalgam/scores/uncertainty/paired_tests.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam::scores {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

PairedSample one_task(std::vector<double> differences, std::vector<std::uint32_t> clusters = {}) {
  const std::size_t count = differences.size();
  return {std::move(differences), std::vector<std::uint32_t>(count), std::move(clusters)};
}

TEST(McNemar, IsWorkedByHand) {
  // 2 against 8: 2 (1 + 10 + 45) / 1024; (6 - 1)^2 / 10 = 2.5.
  EXPECT_NEAR(mcnemar_exact(2, 8), 112.0 / 1024, 1e-14);
  EXPECT_NEAR(mcnemar_chi_squared(8, 2).statistic, 2.5, 1e-14);
  EXPECT_NEAR(mcnemar_chi_squared(8, 2).p, 0.113846, 1e-6);
  EXPECT_EQ(mcnemar_chi_squared(5, 4).p, 1);
  EXPECT_EQ(mcnemar_exact(0, 0), 1);
}

TEST(PairedTest, CountsWinsLossesAndTies) {
  const PairedResult result =
      compare_pair(one_task({1, 1, 0, -1, 0, 1, 0, 0, 1, 1}), {.test = PairedTest::mcnemar});
  EXPECT_EQ(result.wins, 5U);
  EXPECT_EQ(result.losses, 1U);
  EXPECT_EQ(result.ties, 4U);
  EXPECT_NEAR(result.difference, 0.4, 1e-15);
  EXPECT_NEAR(result.p, 14.0 / 64, 1e-14);
  // 6/12 - 2/12 = 1/3, variance (8/12 - 1/9) / 12.
  EXPECT_NEAR(result.interval.low, 1.0 / 3 - 1.959964 * std::sqrt(5.0 / 9 / 12), 1e-6);
  EXPECT_NEAR(result.interval.high, 1.0 / 3 + 1.959964 * std::sqrt(5.0 / 9 / 12), 1e-6);
  // The size of differences does not matter to the sign test.
  EXPECT_EQ(compare_pair(one_task({9, 1, 0, -500, 0, 1, 0, 0, 1, 1}), {.test = PairedTest::sign}).p,
            result.p);
}

TEST(PairedTest, OfTheMeanIsStudents) {
  // Mean 2, deviation sqrt(2.5), error sqrt(0.5): t = 2.828427 with 4 degrees: p = 0.047421.
  const PairedResult result = compare_pair(one_task({0, 1, 2, 3, 4}), {.test = PairedTest::mean});
  EXPECT_NEAR(result.difference, 2, 1e-15);
  EXPECT_NEAR(result.p, 0.047421, 1e-6);
  EXPECT_NEAR(result.interval.low, 2 - 2.776445 * std::sqrt(0.5), 1e-6);
  EXPECT_EQ(result.units, 5U);
}

TEST(PairedTest, CopiesInAClusterAreNoNewInformation) {
  const PairedResult once = compare_pair(one_task({0, 1, 2, 3, 4}), {.test = PairedTest::mean});
  const PairedSample copied = one_task({0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4},
                                       {7, 7, 7, 9, 9, 9, 1, 1, 1, 2, 2, 2, 3, 3, 3});
  const PairedResult clustered = compare_pair(copied, {.test = PairedTest::mean});
  EXPECT_EQ(clustered.units, 5U);
  EXPECT_NEAR(clustered.p, once.p, 1e-12);
  EXPECT_NEAR(clustered.interval.high, once.interval.high, 1e-12);
  PairedSample apart = copied;
  apart.clusters.clear();
  EXPECT_LT(compare_pair(apart, {.test = PairedTest::mean}).p, 0.001);
  const double p = compare_pair(copied, {.test = PairedTest::bootstrap}).p;
  EXPECT_NEAR(p, compare_pair(one_task({0, 1, 2, 3, 4}), {.test = PairedTest::bootstrap}).p, 0.01);
}

TEST(PairedTest, EveryTaskCountsOnce) {
  // Task 0: 1, 3 (mean 2, four times as many as task 1 has no say), task 1: 0, 1 (mean 0.5).
  const PairedSample sample{{1, 3, 1, 3, 1, 3, 1, 3, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, {}};
  const ClusteredMean mean = clustered_mean(sample);
  EXPECT_NEAR(mean.mean, 1.25, 1e-15);
  // Residuals +-1 with weight 1/16 eight times, +-0.5 with 1/4 twice: 8/256 + 2/64 = 1/16, times
  // 10 / (10 - 2).
  EXPECT_NEAR(mean.error, std::sqrt(10.0 / 8 / 16), 1e-14);
  EXPECT_EQ(mean.degrees, 8);
}

TEST(PairedTest, DifferencesThatCancelAreNone) {
  const PairedSample sample{{0.1, 0.2, -0.3, 0.1, 0.2, -0.3}, {0, 0, 0, 1, 1, 1}, {}};
  const PairedResult result = compare_pair(sample, {.test = PairedTest::mean});
  EXPECT_EQ(result.difference, 0);
  EXPECT_EQ(result.p, 1);
  EXPECT_TRUE(std::isinf(result.pairs_needed));
}

TEST(PairedTest, TasksWithOneValueAreTheUnits) {
  const PairedSample tasks{{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, {}};
  const PairedResult result = compare_pair(tasks, {.test = PairedTest::mean});
  EXPECT_EQ(result.units, 5U);
  EXPECT_NEAR(result.p, 0.047421, 1e-6);
}

TEST(PairedTest, TheBootstrapAgreesWithStudentOnLargeSamples) {
  RandomStream random(1, "differences");
  std::vector<double> differences(400);
  for (double& difference : differences) difference = 0.12 + random.normal();
  const PairedResult student = compare_pair(one_task(differences), {.test = PairedTest::mean});
  const PairedResult drawn = compare_pair(one_task(differences), {.test = PairedTest::bootstrap});
  // A share of 2000 resamples has a standard error of 0.011 here.
  EXPECT_NEAR(drawn.p, student.p, 0.035);
  EXPECT_NEAR(drawn.interval.low, student.interval.low, 0.01);
  EXPECT_NEAR(drawn.interval.high, student.interval.high, 0.01);
  EXPECT_EQ(drawn.p, compare_pair(one_task(differences), {.test = PairedTest::bootstrap}).p);
}

// Equal systems: each test rejects in no more than about 5 % of 300 studies.
TEST(PairedTest, KeepsItsLevel) {
  for (const PairedTest test :
       {PairedTest::mcnemar, PairedTest::mcnemar_chi, PairedTest::mean, PairedTest::bootstrap}) {
    int rejected = 0;
    constexpr int kStudies = 300;
    for (int study = 0; study < kStudies; ++study) {
      RandomStream random(static_cast<std::uint64_t>(study), "equal systems");
      std::vector<double> differences(80);
      for (double& difference : differences) {
        const double u = random.uniform();
        difference = u < 0.2 ? 1 : (u < 0.4 ? -1 : 0);
      }
      const PairedTestOptions options{.test = test, .resamples = 199};
      rejected += compare_pair(one_task(std::move(differences)), options).p < 0.05 ? 1 : 0;
    }
    // Expected at most 15 with a deviation of 3.8.
    EXPECT_LE(rejected, 26) << paired_test_name(test);
    EXPECT_GE(rejected, 1) << paired_test_name(test);
  }
}

TEST(PairedTest, SaysWhatItCannotTest) {
  EXPECT_TRUE(std::isnan(compare_pair({}, {}).p));
  EXPECT_TRUE(std::isnan(compare_pair(one_task({1}), {.test = PairedTest::mean}).p));
  EXPECT_EQ(compare_pair(one_task({1, 1, 1}), {.test = PairedTest::mean}).p, 0);
  EXPECT_THAT([] { compare_pair({}, {.confidence = 2}); },
              ThrowsMessage<InputError>(HasSubstr("confidence 2")));
  EXPECT_THAT([] { paired_test_of_name("t"); },
              ThrowsMessage<InputError>(HasSubstr("mcnemar, mcnemar-chi-squared, sign, mean")));
}

}  // namespace
}  // namespace amalgam::scores
