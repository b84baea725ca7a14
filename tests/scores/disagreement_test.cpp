#include "amalgam/scores/disagreement.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

// Kemeny's cost is the sum of the distances: cost 4 over four tasks (card best-systems, check 1).
TEST(Disagreement, TimesTheTasksIsKemenysCost) {
  const ScoreTable table = table_of({{50, 50, 59, 90}, {51, 51, 60, 39}, {52, 52, 10, 40}});
  const std::vector<char> all(3, 1);
  const Disagreement best = disagreement(table, std::vector<std::uint32_t>{3, 2, 1}, all);
  EXPECT_DOUBLE_EQ(best.distortion, 1);
  EXPECT_DOUBLE_EQ(best.share, 4.0 / 12);
  // The mean's order A, B, C contradicts the other 8 of 12 votes.
  EXPECT_DOUBLE_EQ(disagreement(table, std::vector<std::uint32_t>{1, 2, 3}, all).distortion, 2);
  // Whoever puts all on one place contradicts half of every vote.
  EXPECT_DOUBLE_EQ(disagreement(table, std::vector<std::uint32_t>{1, 1, 1}, all).distortion, 1.5);
}

TEST(Disagreement, LooksAtWhatABallotMeasuredByItsWeight) {
  ScoreTable table = table_of({{1, 3, kGap}, {2, 2, 1}, {3, kGap, 1}});
  table.task_infos[0].weight = 2;
  const std::vector<std::uint32_t> ranks{1, 2, 3};
  // Three opposite pairs (twice), none of one pair, and half of one pair, which ties.
  const Disagreement found = disagreement(table, ranks, std::vector<char>(3, 1));
  EXPECT_DOUBLE_EQ(found.distortion, (2 * 3 + 0 + 0.5) / 4);
  EXPECT_DOUBLE_EQ(found.share, 6.5 / 8);
  // Without the first system one pair is left of two ballots.
  const Disagreement two = disagreement(table, ranks, std::vector<char>{0, 1, 1});
  EXPECT_DOUBLE_EQ(two.distortion, (2 * 1 + 0.5) / 3);
  EXPECT_TRUE(std::isnan(disagreement(table, ranks, std::vector<char>{0, 0, 1}).share));
}

TEST(Disagreement, OfComparisonsIsTheShareThatWentTheOtherWay) {
  ScoreBuilder builder;
  const System a = builder.system("a");
  const System b = builder.system("b");
  builder.comparisons().first = {a, a, b, a};
  builder.comparisons().second = {b, b, a, b};
  builder.comparisons().outcomes = {1, 1, 1, 0};
  const ScoreTable table = builder.finish("battles");
  const Disagreement found =
      disagreement(table, std::vector<std::uint32_t>{1, 2}, std::vector<char>(2, 1));
  EXPECT_DOUBLE_EQ(found.distortion, 1.5 / 4);
  EXPECT_DOUBLE_EQ(found.share, 1.5 / 4);
}

}  // namespace
}  // namespace amalgam::scores
