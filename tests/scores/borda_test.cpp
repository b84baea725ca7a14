#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pointwise;
using ::testing::ThrowsMessage;

// Card best-systems, check 1.
const std::vector<std::vector<double>> kThree = {
    {50, 50, 59, 90}, {51, 51, 60, 39}, {52, 52, 10, 40}};

TEST(Mean, LetsOneTaskDecideWhereBordaDoesNot) {
  const ScoreTable table = table_of(kThree, {"A", "B", "C"});
  EXPECT_THAT(rank_systems("mean", table).scores, ElementsAre(62.25, 50.25, 38.5));
  EXPECT_THAT(rank_systems("borda", table).scores, ElementsAre(3, 4, 5));
  EXPECT_THAT(rank_systems("borda", table).raw, ElementsAre(5, 4, 3));
  EXPECT_THAT(ranks_by("borda", table), ElementsAre(3, 2, 1));
}

// Check 3: the Condorcet winner A loses to B under Borda: Borda is not Condorcet consistent.
TEST(Borda, MayPassOverTheCondorcetWinner) {
  const ScoreTable table =
      table_of_rankings({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {1, 2, 0}, {1, 2, 0}});
  EXPECT_THAT(rank_systems("borda", table).scores, ElementsAre(6, 7, 2));
  EXPECT_THAT(ranks_by("borda", table), ElementsAre(2, 1, 3));
  EXPECT_THAT(ranks_by("copeland", table), ElementsAre(1, 2, 3));
}

TEST(Borda, TiesInACondorcetCycle) {
  const ScoreTable table = table_of_rankings({{0, 1, 2}, {1, 2, 0}, {2, 0, 1}});
  EXPECT_THAT(ranks_by("borda", table), ElementsAre(1, 1, 1));
  EXPECT_THAT(rank_systems("copeland", table).scores, ElementsAre(1, 1, 1));
}

// The XTREME board of the card, experiment B.
const std::vector<std::vector<double>> kXtreme = {
    {90.3, 81.7, 76.3, 93.7}, {90.1, 81.4, 75.0, 94.2}, {89.3, 75.5, 75.2, 92.4},
    {89.0, 76.7, 73.4, 93.3}, {88.3, 80.6, 71.9, 90.8}, {88.4, 76.2, 72.5, 93.7},
    {87.9, 75.6, 72.3, 91.9}, {89.0, 74.4, 71.9, 92.6}, {88.8, 75.4, 72.9, 89.3},
    {88.2, 74.6, 71.7, 89.0}, {87.5, 71.9, 68.5, 84.4}, {86.3, 90.8, 59.7, 77.5},
    {83.9, 69.4, 67.2, 76.5}, {75.0, 65.6, 43.9, 44.7}, {75.3, 66.9, 52.5, 18.0}};

TEST(Borda, GivesThePublishedTotalsOfXtreme) {
  const ScoreTable table = table_of(kXtreme);
  EXPECT_THAT(rank_systems("borda", table).scores,
              ElementsAre(53.5, 51, 41, 42.5, 31.5, 38.5, 29, 31, 31, 21, 15, 22, 9, 1, 3));
  EXPECT_THAT(rank_systems("copeland", table).scores,
              ElementsAre(14, 13, 11, 11.5, 7, 10, 7.5, 8, 8, 5, 4, 3, 2, 0, 1));
  // The mean puts system 13 over 14; ranks do the reverse.
  const std::vector<std::uint32_t> mean = ranks_by("mean", table);
  const std::vector<std::uint32_t> borda = ranks_by("borda", table);
  EXPECT_LT(mean[13], mean[14]);
  EXPECT_GT(borda[13], borda[14]);
}

// Check 7, with ties and gaps.
TEST(Borda, PointsSumToOneVotePerPairAndTask) {
  const ScoreTable table = random_table(8, 5, 0.3, 3);
  const Ranking ranking = rank_systems("borda", table);
  double sum = 0;
  for (const double points : ranking.scores) sum += points;
  EXPECT_NEAR(sum, 5 * 8 * 7 / 2.0, 1e-9);
}

TEST(Borda, WarnsOfGapsWhereTheyAreNotCompleted) {
  const ScoreTable table = table_of({{3, 1}, {2, 2}, {1, kGap}});
  EXPECT_THAT(rank_systems("borda", table).warnings, IsEmpty());
  EXPECT_THAT(rank_systems("borda", table, {}, Missing::observed).warnings,
              ElementsAre(HasSubstr("compared unequally often")));
  EXPECT_THAT(rank_systems("borda", table, {}, Missing::drop).warnings,
              ElementsAre(HasSubstr("left out 1 of 2 tasks")));
}

ScoreTable instances(std::size_t copies_of_first_task) {
  ScoreBuilder builder;
  const auto add = [&](const char* task, int instance, double a, double b, double c) {
    const Instance number = builder.instance(std::to_string(instance));
    builder.add(builder.system("a"), builder.task(task), number, a);
    builder.add(builder.system("b"), builder.task(task), number, b);
    builder.add(builder.system("c"), builder.task(task), number, c);
  };
  for (std::size_t copy = 0; copy < copies_of_first_task; ++copy) {
    add("first", static_cast<int>(copy), 3, 2, 1);
  }
  for (int instance = 100; instance < 102; ++instance) {
    add("second", instance, 1, 2, 3);
    add("third", instance, 1, 3, 2);
  }
  return builder.finish("instances");
}

// Check 9.
TEST(Borda, CountsInstancesAtOneLevelAndTasksAtTwo) {
  EXPECT_NE(ranks_by("borda", instances(1)), ranks_by("borda", instances(20)));
  EXPECT_EQ(rank_systems("borda-two-level", instances(1)).scores,
            rank_systems("borda-two-level", instances(20)).scores);
  // Ranks of the tasks: a b c, c b a, b c a: points 2+0+0, 1+1+2, 0+2+1.
  EXPECT_THAT(rank_systems("borda-two-level", instances(3)).scores, ElementsAre(2, 4, 3));
  EXPECT_THAT(rank_systems("borda-two-level", instances(3)).raw, ElementsAre(4, 2, 3));
}

TEST(Borda, OfInstancesFirstRanksTheTasksOfEachInstance) {
  // Instances 100 and 101 have second (c b a) and third (b c a): b and c tie with 3 points, a has
  // 0; instance 0 has first only: a b c.
  const Ranking ranking = rank_systems("borda-instances-first", instances(1));
  EXPECT_THAT(ranking.scores, ElementsAre(2, 1.5 * 2 + 1, 1.5 * 2));
}

TEST(Borda, TwoLevelsCompleteASystemThatLacksATask) {
  // On the second task c was not measured: a before b, c anywhere: a beats it with 2/3, b with 1/3.
  const ScoreTable table = table_of({{3, 2}, {2, 1}, {1, kGap}});
  const std::vector<double> expected = {2 + 1 + 2.0 / 3, 1 + 0 + 1.0 / 3, 0 + 1.0 / 3 + 2.0 / 3};
  EXPECT_THAT(rank_systems("borda-two-level", table).scores, Pointwise(DoubleEq(), expected));
  EXPECT_THAT(rank_systems("borda", table).scores, Pointwise(DoubleEq(), expected));
}

TEST(Means, NormaliseEachTask) {
  const ScoreTable table = table_of({{0, 10, 5}, {1, 30, 5}, {2, 20, 5}});
  const double z = std::sqrt(1.5);  // (2 - 1) / sqrt(2/3)
  EXPECT_THAT(rank_systems("z-mean", table).scores,
              Pointwise(DoubleEq(), std::vector<double>{-2 * z / 3, z / 3, z / 3}));
  EXPECT_THAT(ranks_by("z-mean", table), ElementsAre(3, 1, 1));
  EXPECT_THAT(rank_systems("min-max-mean", table).scores,
              Pointwise(DoubleEq(), std::vector<double>{0.5 / 3, 2.0 / 3, 2.0 / 3}));
  EXPECT_THAT(rank_systems("win-rate", table).scores,
              Pointwise(DoubleEq(), std::vector<double>{0.5 / 3, 2.0 / 3, 2.0 / 3}));
}

TEST(Means, TakeWhatIsThereAndSaySo) {
  const Ranking ranking = rank_systems("mean", table_of({{1, kGap, 3}, {2, 4, 6}}));
  EXPECT_THAT(ranking.scores, ElementsAre(2, 4));
  EXPECT_THAT(ranking.warnings, ElementsAre(HasSubstr("1 of 6 scores")));
}

TEST(Means, WeighTasks) {
  ScoreTable table = table_of({{1, 4}, {3, 2}});
  table.task_infos[1].weight = 3;
  EXPECT_THAT(rank_systems("mean", table).scores, ElementsAre(3.25, 2.25));
}

TEST(GeometricMean, TakesRatiosAndNeedsPositiveScores) {
  const Ranking ranking = rank_systems("geometric-mean", table_of({{1, 16}, {2, 2}}));
  EXPECT_NEAR(ranking.scores[0], 4, 1e-14);
  EXPECT_NEAR(ranking.scores[1], 2, 1e-14);
  EXPECT_THAT(
      [] {
        rank_systems("geometric-mean", table_of({{1, 0}, {2, 2}}));
      },
      ThrowsMessage<InputError>(HasSubstr("system '0' has 0 on task '1'")));
}

TEST(MedianRank, IsNotMovedByAFewTasks) {
  const ScoreTable table = table_of({{9, 9, 9, 0, 0}, {8, 8, 8, 9, 9}, {1, 1, 1, 8, 8}});
  EXPECT_THAT(rank_systems("median-rank", table).raw, ElementsAre(1, 2, 3));
}

TEST(Plurality, SharesTheVoteOfATask) {
  const ScoreTable table = table_of({{1, 2, 3}, {1, 1, 3}, {0, 1, 1}});
  EXPECT_THAT(rank_systems("plurality", table).scores, ElementsAre(2, 1, 0));
}

TEST(Dowdall, GivesHalfAPointForALossAndThreeQuartersForATie) {
  const ScoreTable table = table_of({{1, 1}, {0, 1}});
  EXPECT_THAT(rank_systems("dowdall", table).scores, ElementsAre(1.75, 1.25));
}

// Nothing is known of the first system. Borda must not give it the middle place, and its name must
// not change the points of the others.
TEST(Rules, GiveNoPlaceToASystemThatNobodyMeasured) {
  const ScoreTable others = table_of({{1, 2, 3}, {2, 3, kGap}, {3, 1, 1}});
  const ScoreTable table =
      table_of({{kGap, kGap, kGap}, {1, 2, 3}, {2, 3, kGap}, {3, 1, 1}}, {"0", "1", "2", "3"});
  for (const char* method : {"borda", "borda-two-level", "borda-instances-first", "dowdall",
                             "copeland", "plurality", "median-rank", "kemeny", "mean"}) {
    const Ranking ranking = rank_systems(method, table);
    EXPECT_TRUE(std::isnan(ranking.scores[0])) << method;
    EXPECT_EQ(ranks_of(ranking.scores)[0], 4U) << method;
    EXPECT_EQ(std::vector<double>(ranking.scores.begin() + 1, ranking.scores.end()),
              rank_systems(method, others).scores)
        << method;
  }
}

TEST(Rules, BeingMeasuredAloneIsNoFirstPlace) {
  const ScoreTable table = table_of({{kGap, kGap, 5}, {1, 2, kGap}, {2, 1, kGap}, {3, 3, kGap}});
  for (const char* method : {"median-rank", "plurality", "copeland", "dowdall"}) {
    const Ranking ranking = rank_systems(method, table);
    EXPECT_TRUE(std::isnan(ranking.scores[0])) << method;
    EXPECT_EQ(ranks_of(ranking.scores)[3], 1U) << method;
  }
}

}  // namespace
}  // namespace amalgam::scores
