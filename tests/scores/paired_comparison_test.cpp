#include "amalgam/scores/uncertainty/paired_comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Clusters = PairedMeasurements::Clusters;

TEST(PairedMeasurements, PairWhatMeasuredBoth) {
  const ScoreTable table = table_of({{1, 5, kGap, 2}, {4, 4, 4, kGap}, {kGap, 1, 1, 1}});
  const PairedMeasurements measurements(table);
  const PairedSample sample = measurements.sample(0, 1);
  EXPECT_THAT(sample.differences, ElementsAre(-3, 1));
  EXPECT_THAT(sample.tasks, ElementsAre(0, 1));
  EXPECT_THAT(sample.clusters, IsEmpty());
  EXPECT_THAT(measurements.sample(2, 0).differences, ElementsAre(-4, -1));
}

TEST(PairedMeasurements, TakeComparisonsWhereNoBallotMeasuredBoth) {
  ScoreBuilder builder;
  for (const char* name : {"0", "1", "2"}) builder.system(name);
  builder.comparisons() = {.first = {0, 1, 2, 1},
                           .second = {1, 0, 0, 0},
                           .outcomes = {1, 1, 1, 0},
                           .clusters = {4, 5, 6, 4}};
  const ScoreTable table = builder.finish("battles");
  const PairedMeasurements measurements(table);
  EXPECT_THAT(measurements.sample(0, 1).differences, ElementsAre(1, -1, 0));
  EXPECT_THAT(measurements.sample(1, 0).differences, ElementsAre(-1, 1, 0));
  EXPECT_THAT(measurements.sample(0, 1).clusters, ElementsAre(4, 5, 4));
  EXPECT_THAT(measurements.sample(1, 2).differences, IsEmpty());
  EXPECT_EQ(fitting_test(table, Clusters::none), PairedTest::mean);
}

TEST(PairComparison, FindsTheDifferencesThatAreThere) {
  const ScoreTable table = simulated_answers({0.5, 0.5, 0.75}, 2, 200, 4);
  EXPECT_EQ(fitting_test(table, Clusters::none), PairedTest::mcnemar);
  EXPECT_EQ(fitting_test(table, Clusters::instances), PairedTest::mean);
  const PairedMeasurements measurements(table);
  for (const PairedTest test : {PairedTest::mcnemar, PairedTest::mean, PairedTest::bootstrap}) {
    const std::vector<PairComparison> found =
        compare_pairs(measurements, {{0, 1}, {2, 0}, {2, 1}}, {.test = test});
    EXPECT_GT(found[0].p_holm, 0.05);
    EXPECT_LT(found[1].p_holm, 0.01);
    EXPECT_LT(found[2].p_holm, 0.01);
    EXPECT_LE(found[0].p_benjamini_hochberg, found[0].p_holm);
    EXPECT_EQ(found[1].result.pairs, 400U);
    EXPECT_GT(found[1].result.difference, 0.1);
    EXPECT_LT(found[1].result.detectable, found[1].result.difference);
    EXPECT_LT(found[1].result.pairs_needed, 400);
    EXPECT_GT(found[0].result.pairs_needed, 400);
  }
}

TEST(PairComparison, IsTheSameForAnyNumberOfThreads) {
  const ScoreTable table = simulated_answers({0.5, 0.55, 0.6}, 1, 40, 4);
  const PairedMeasurements measurements(table, Clusters::instances);
  const std::vector<std::pair<System, System>> pairs{{0, 1}, {0, 2}, {1, 2}};
  const PairedTestOptions options{.test = PairedTest::bootstrap, .resamples = 200, .seed = 9};
  const auto one = compare_pairs(measurements, pairs, options);
  const auto three = compare_pairs(measurements, pairs, options, {3, Runner::std_thread});
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_EQ(one[i].result.p, three[i].result.p);
    EXPECT_EQ(one[i].result.interval.low, three[i].result.interval.low);
  }
}

}  // namespace
}  // namespace amalgam::scores
