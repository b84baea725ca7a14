#include "amalgam/scores/uncertainty/split_halves.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

SplitHalves halves_of(std::string_view name, const ScoreTable& table,
                      const SplitHalvesOptions& options = {}) {
  const RankAggregator& method = find_rank_aggregator(name);
  const RankContext context = rank_context(method);
  return split_halves(method, table, context, method.rank(table, context), options);
}

TEST(SplitHalves, AgreeAboutEverythingWhereAllBallotsDo) {
  const ScoreTable table = table_of({{3, 9, 5, 7}, {2, 8, 4, 6}, {1, 7, 3, 5}});
  const SplitHalves found = halves_of("kemeny", table);
  EXPECT_EQ(found.draws, 50U);
  EXPECT_EQ(found.agreed, 1);
  EXPECT_EQ(found.confirmed, 1);
}

// Two ballots that contradict each other: each half is one of them.
TEST(SplitHalves, AgreeAboutNothingWhereBallotsContradictEachOther) {
  const SplitHalves found = halves_of("borda", table_of({{1, 2}, {2, 1}}));
  EXPECT_EQ(found.agreed, 0);
  EXPECT_TRUE(std::isnan(found.confirmed));
}

// The sum of both halves' figures orders two systems as both do.
TEST(SplitHalves, SumsConfirmWhatBothHalvesSay) {
  const ScoreTable table = simulated_answers({0.4, 0.45, 0.5, 0.55, 0.6, 0.65}, 1, 200, 3);
  for (const char* method : {"borda", "mean", "onebench"}) {
    const SplitHalves found = halves_of(method, table, {.draws = 40});
    EXPECT_EQ(found.confirmed, 1) << method;
    EXPECT_GT(found.agreed, 0.5) << method;
    EXPECT_LT(found.agreed, 1) << method;
  }
}

TEST(SplitHalves, IsTheSameForAnyNumberOfThreads) {
  const ScoreTable table = random_table(6, 40, 0.2, 9);
  const SplitHalves one = halves_of("copeland", table, {.draws = 30, .seed = 4});
  const SplitHalves more =
      halves_of("copeland", table, {.draws = 30, .seed = 4, .parallel = {.threads = 3}});
  EXPECT_EQ(one.agreed, more.agreed);
  EXPECT_EQ(one.confirmed, more.confirmed);
}

TEST(SplitHalves, RefuseASingleBallot) {
  EXPECT_THAT(
      [] {
        halves_of("borda", table_of({{1}, {2}}));
      },
      ThrowsMessage<InputError>(HasSubstr("1 ballots and comparisons")));
}

}  // namespace
}  // namespace amalgam::scores
