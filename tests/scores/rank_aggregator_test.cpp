#include "amalgam/scores/rank_aggregator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/tied_ranks.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Ranks, CountWhoIsStrictlyBetterAndPutUnknownOnesLast) {
  EXPECT_THAT(ranks_of(std::vector<double>{5, 7, 5, kGap, 1}), ElementsAre(2, 1, 2, 5, 4));
  EXPECT_THAT(ranks_of(std::vector<double>{kGap, kGap}), ElementsAre(1, 1));
  EXPECT_THAT(ranks_of(std::vector<double>{1, 1 + 1e-10, 2}, 1e-9), ElementsAre(2, 2, 1));
  EXPECT_THAT(order_of(std::vector<std::uint32_t>{2, 1, 2}), ElementsAre(1, 0, 2));
}

TEST(Ranks, AreSharedByThreeRules) {
  const auto ranks = ranks_of(std::vector<double>{3, 5, 3, 1, kGap, kGap});
  EXPECT_THAT(tied_ranks(ranks, TiedRanks::min), ElementsAre(2, 1, 2, 4, 5, 5));
  EXPECT_THAT(tied_ranks(ranks, TiedRanks::dense), ElementsAre(2, 1, 2, 3, 4, 4));
  EXPECT_THAT(tied_ranks(ranks, TiedRanks::average), ElementsAre(2.5, 1, 2.5, 4, 5.5, 5.5));
  EXPECT_EQ(tied_ranks_of_name("dense"), TiedRanks::dense);
  EXPECT_THROW(tied_ranks_of_name("max"), InputError);
}

TEST(RankAggregators, HaveNamesSourcesAndMeaningsOfTheirScores) {
  for (const RankAggregator* method : rank_aggregators()) {
    const RankAggregatorInfo& info = method->info();
    EXPECT_EQ(&find_rank_aggregator(info.name), method) << info.name;
    EXPECT_FALSE(info.summary.empty() || info.source.empty() || info.score.empty()) << info.name;
    EXPECT_EQ(info.summary.back(), '.') << info.name;
  }
  EXPECT_THAT([] { find_rank_aggregator("bordo"); },
              ThrowsMessage<InputError>(HasSubstr("did you mean 'borda'?")));
}

// Neutrality: names of systems do not matter. Each rule ranks a table and the table of the same
// systems in another order alike.
TEST(RankAggregators, AreNeutralAndDoNotDependOnThreads) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const std::size_t n = 6;
    RandomStream random(seed, "neutral");
    std::vector<std::vector<double>> rows(n, std::vector<double>(8));
    for (auto& row : rows) {
      for (double& value : row) value = 1 + random.uniform();
    }
    const std::vector<System> moved_to = {3, 0, 5, 1, 4, 2};
    std::vector<std::vector<double>> moved(n);
    for (System system = 0; system < n; ++system) moved[moved_to[system]] = rows[system];
    for (const RankAggregator* method : rank_aggregators()) {
      const RankAggregatorInfo& info = method->info();
      if (info.ordered || info.random || info.from_comparisons) continue;
      const Ranking here = rank_systems(info.name, table_of(rows));
      if (here.certificate && !here.certificate->unique) continue;
      const Ranking there = rank_systems(info.name, table_of(moved));
      const Ranking threaded =
          rank_systems(info.name, table_of(rows), {}, {}, {.parallel = {.threads = 3}});
      EXPECT_EQ(here.scores, threaded.scores) << info.name;
      const auto ranks = ranks_of(here.scores, here.tie_tolerance);
      const auto moved_ranks = ranks_of(there.scores, there.tie_tolerance);
      for (System system = 0; system < n; ++system) {
        EXPECT_EQ(ranks[system], moved_ranks[moved_to[system]]) << info.name << " seed " << seed;
      }
    }
  }
}

// Card best-systems, check 8: only the order of a task's values matters to ordinal rules.
TEST(RankAggregators, OrdinalOnesIgnoreMonotoneTransforms) {
  const std::vector<std::vector<double>> rows = {
      {1, 9, 2, 4}, {2, 1, 3, 4}, {3, 2, 9, 1}, {4, 3, 1, 2}, {5, 4, 8, 6}};
  std::vector<std::vector<double>> bent = rows;
  for (auto& row : bent) {
    row[0] = std::exp(row[0]);
    row[1] = std::log(row[1] + 1);
    row[3] *= 1000;
  }
  std::size_t moved = 0;
  for (const RankAggregator* method : rank_aggregators()) {
    const RankAggregatorInfo& info = method->info();
    if (info.from_comparisons) continue;
    if (info.ordinal) {
      EXPECT_EQ(ranks_by(info.name, table_of(rows)), ranks_by(info.name, table_of(bent)))
          << info.name;
    } else {
      moved += ranks_by(info.name, table_of(rows)) != ranks_by(info.name, table_of(bent)) ? 1 : 0;
    }
  }
  EXPECT_GE(moved, 1U);
}

// Anonymity: the order in which ballots come does not matter.
TEST(RankAggregators, DoNotDependOnTheOrderOfTasks) {
  const std::vector<std::vector<double>> rows = {
      {1, 9, 2, 4}, {2, 1, 3, 4}, {3, 2, 9, 1}, {4, 3, 1, 2}};
  std::vector<std::vector<double>> turned = rows;
  for (auto& row : turned) std::reverse(row.begin(), row.end());
  for (const RankAggregator* method : rank_aggregators()) {
    const RankAggregatorInfo& info = method->info();
    if (info.random || info.ordered || info.from_comparisons) continue;
    EXPECT_EQ(ranks_by(method->info().name, table_of(rows)),
              ranks_by(method->info().name, table_of(turned)))
        << method->info().name;
  }
}

TEST(RankSystems, RefusesWhatAMethodCannotDo) {
  const ScoreTable table = table_of({{1, 2}, {2, kGap}});
  EXPECT_THAT([&] { rank_systems("mean", table, {}, Missing::complete); },
              ThrowsMessage<InputError>(HasSubstr("'complete' is not possible")));
  EXPECT_THAT([&] { rank_systems("borda", table, std::vector<std::string>{"x=1"}); },
              ThrowsMessage<InputError>(HasSubstr("x")));
  ScoreBuilder builder;
  builder.comparisons().first.push_back(builder.system("a"));
  builder.comparisons().second.push_back(builder.system("b"));
  builder.comparisons().outcomes.push_back(1);
  const ScoreTable battles = builder.finish("battles");
  EXPECT_THAT([&] { rank_systems("mean", battles); },
              ThrowsMessage<InputError>(HasSubstr("the table has only comparisons of pairs")));
  EXPECT_THAT(ranks_by("copeland", battles), ElementsAre(1, 2));
}

}  // namespace
}  // namespace amalgam::scores
