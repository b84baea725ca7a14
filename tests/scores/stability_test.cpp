#include "amalgam/scores/uncertainty/stability.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/uncertainty/table_part.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using Removed = StabilityOptions::Removed;

StabilityCurve curve_of(std::string_view name, const ScoreTable& table,
                        const StabilityOptions& options) {
  const RankAggregator& method = find_rank_aggregator(name);
  const RankContext context = rank_context(method);
  return stability_curve(method, table, context, method.rank(table, context), options);
}

TEST(TablePart, IsTheTableWithoutWhatWasTakenAway) {
  // Rows are by ballot: (0: a b) (1: a b c) (2: b c).
  const ScoreTable whole = table_of({{1, 2, kGap}, {3, 4, 5}, {kGap, 6, 7}}, {"a", "b", "c"});
  const std::vector<char> rows{0, 1, 0, 0, 0, 1, 1};
  const TablePart part = part_of_table(whole, rows, {});
  EXPECT_THAT(part.systems, ElementsAre(1, 2));
  EXPECT_EQ(part.table.systems[0], "b");
  EXPECT_EQ(part.table.task_count(), 2U);
  EXPECT_EQ(part.table.tasks[1], whole.tasks[2]);
  EXPECT_THAT(part.table.values, ElementsAre(3, 5, 7));
  EXPECT_THAT(part.table.row_systems, ElementsAre(0, 0, 1));
  EXPECT_THAT(part.table.ballot_begins, ElementsAre(0, 1, 3));
}

TEST(Stability, TakesNothingAwayWithoutChangingAnything) {
  const StabilityCurve curve = curve_of("borda", random_table(6, 8, 0.2, 1),
                                        {.removed = Removed::cells, .fractions = {0}, .draws = 3});
  EXPECT_EQ(curve.points[0].mean, 1);
  EXPECT_EQ(curve.points[0].same_best, 1);
  EXPECT_EQ(curve.points[0].removed, 0);
  EXPECT_EQ(curve.points[0].unranked, 0);
}

TEST(Stability, FallsWithWhatIsTakenAway) {
  const ScoreTable table = simulated_answers({0.4, 0.45, 0.5, 0.55, 0.6, 0.65}, 2, 100, 3);
  for (const Removed removed : {Removed::ballots, Removed::cells}) {
    const StabilityCurve curve =
        curve_of("mean", table, {.removed = removed, .fractions = {0.2, 0.95}, .draws = 60});
    EXPECT_EQ(curve.parts, removed == Removed::ballots ? 200U : 1200U);
    EXPECT_GT(curve.points[0].mean, curve.points[1].mean + 0.15);
    EXPECT_LT(curve.points[1].spread.low, curve.points[1].mean);
    EXPECT_EQ(curve.points[0].draws + curve.points[0].failed, 60U);
    EXPECT_NEAR(curve.points[1].removed, 0.95, 1e-12);
  }
}

TEST(Stability, SystemsAloneKeepTheirOrderUnderARuleThatLooksAtEachAlone) {
  const ScoreTable table = simulated_answers({0.3, 0.5, 0.6, 0.7, 0.9}, 1, 60, 5);
  const StabilityCurve curve =
      curve_of("mean", table, {.removed = Removed::systems, .fractions = {0.4, 0.99}, .draws = 20});
  EXPECT_EQ(curve.points[0].mean, 1);
  EXPECT_EQ(curve.points[0].same_best, 1);
  EXPECT_NEAR(curve.points[1].removed, 0.6, 1e-12);  // two are left
}

// The counter-example of Borda: alone, A wins 3:2 against B; with C, B has more points (card
// best-systems, check 3).
TEST(Stability, BordaDependsOnWhoElseIsThere) {
  const ScoreTable table =
      table_of_rankings({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {1, 2, 0}, {1, 2, 0}});
  const StabilityCurve curve =
      curve_of("borda", table, {.removed = Removed::systems, .fractions = {0.34}, .draws = 60});
  EXPECT_LT(curve.points[0].mean, 0.9);
  EXPECT_GT(curve.points[0].mean, -0.5);
}

// Two of five tasks that say the reverse leave the majority with the others; three take it along.
TEST(Stability, ReversedTasksTurnTheRankingOnceTheyAreTheMajority) {
  const ScoreTable table =
      table_of({{9, 90, 1, 5, 3}, {7, 80, 0.5, 4, 2}, {6, 30, 0.4, 3, 1}, {1, 20, 0, 1, 0}});
  for (const char* method : {"borda", "kemeny", "min-max-mean"}) {
    const StabilityCurve curve =
        curve_of(method, table,
                 {.removed = Removed::reversed_tasks, .fractions = {0, 0.2, 0.8}, .draws = 5});
    EXPECT_EQ(curve.parts, 5U);
    EXPECT_EQ(curve.points[0].mean, 1) << method;
    EXPECT_EQ(curve.points[1].mean, 1) << method;
    EXPECT_EQ(curve.points[2].mean, -1) << method;
    EXPECT_EQ(curve.points[2].same_best, 0) << method;
  }
  // Values stay between the least and the greatest: the geometric mean remains defined.
  EXPECT_EQ(curve_of("geometric-mean", table_of({{1, 2}, {2, 8}}),
                     {.removed = Removed::reversed_tasks, .fractions = {0.5}, .draws = 2})
                .points[0]
                .failed,
            0U);
}

// The first three instances of a task and the last two tell the reverse of each other.
TEST(Stability, LastBallotsLeaveTheFirstInstancesOfEveryTask) {
  ScoreBuilder builder;
  for (const char* task : {"a", "b"}) {
    for (int instance = 1; instance <= 12; ++instance) {
      const double better = instance <= 7 ? 1 : -3;
      for (int system = 0; system < 3; ++system) {
        builder.add(builder.system(std::to_string(system)), builder.task(task),
                    builder.instance(std::to_string(instance)), better * system);
      }
    }
  }
  const ScoreTable table = builder.finish("test");
  const StabilityOptions options{
      .removed = Removed::last_ballots, .fractions = {0, 0.25, 0.5, 0.9999}, .draws = 9};
  const StabilityCurve curve = curve_of("mean", table, options);
  EXPECT_EQ(curve.parts, 24U);
  for (const StabilityPoint& point : curve.points) EXPECT_EQ(point.draws, 1U);
  EXPECT_EQ(curve.points[0].mean, 1);
  EXPECT_NEAR(curve.points[1].removed, 0.25, 1e-12);
  EXPECT_EQ(curve.points[1].mean, -1) << "7 - 3 * 2 > 0 > 7 - 3 * 5";
  EXPECT_EQ(curve.points[2].mean, -1);
  EXPECT_NEAR(curve.points[3].removed, 22.0 / 24, 1e-12) << "one of each task is left";
  EXPECT_EQ(curve.points[3].mean, -1);
}

TEST(Stability, LastBallotsAreAlsoTheLastComparisons) {
  ScoreBuilder builder;
  Comparisons& battles = builder.comparisons();
  for (int row = 0; row < 10; ++row) {
    battles.first.push_back(builder.system("a"));
    battles.second.push_back(builder.system("b"));
    battles.outcomes.push_back(row < 4 ? -1 : 1);
  }
  const ScoreTable table = builder.finish("test");
  const StabilityCurve curve = curve_of(
      "copeland", table, {.removed = Removed::last_ballots, .fractions = {0, 0.6}, .draws = 5});
  EXPECT_EQ(curve.points[0].mean, 1);
  EXPECT_EQ(curve.points[1].mean, -1);
}

TEST(Stability, IsTheSameForAnyNumberOfThreads) {
  const ScoreTable table = simulated_answers({0.4, 0.5, 0.6}, 3, 10, 3, 0.3);
  StabilityOptions options{.removed = Removed::tasks, .fractions = {0.4, 0.7}, .draws = 10};
  const StabilityCurve one = curve_of("borda-two-level", table, options);
  options.parallel = {3, Runner::std_thread};
  const StabilityCurve three = curve_of("borda-two-level", table, options);
  for (std::size_t f = 0; f < 2; ++f) {
    EXPECT_EQ(one.points[f].mean, three.points[f].mean);
    EXPECT_EQ(one.points[f].deviation, three.points[f].deviation);
  }
}

TEST(Stability, CountsDrawsThatCannotBeRanked) {
  // One task is left, with one system measured: nothing to rank.
  const ScoreTable table = table_of({{1, kGap}, {kGap, 2}});
  const StabilityCurve curve = curve_of("mean", table, {.fractions = {0.5}, .draws = 4});
  EXPECT_EQ(curve.points[0].failed, 4U);
  EXPECT_TRUE(std::isnan(curve.points[0].mean));
  EXPECT_THAT(curve.first_failure, HasSubstr("fewer than two systems"));
}

TEST(Stability, RefusesWhatCannotBeTakenAway) {
  const ScoreTable table = table_of({{1, 2}, {2, 1}});
  EXPECT_THAT([&] { curve_of("mean", table, {.fractions = {1.0}}); },
              ThrowsMessage<InputError>(HasSubstr("fraction 1;")));
  EXPECT_THAT([&] { curve_of("mean", table, {.removed = Removed::systems}); },
              ThrowsMessage<InputError>(HasSubstr("2 systems; expected at least 3")));
  EXPECT_THAT([] { removed_of_name("rows"); }, ThrowsMessage<InputError>(HasSubstr("'rows'")));
}

}  // namespace
}  // namespace amalgam::scores
