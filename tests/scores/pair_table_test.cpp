#include "amalgam/scores/pair_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(PairTable, CountsWinsAndTiesOfMeasuredPairsOnly) {
  //   system 0: 2 1 -   system 1: 1 1 5   system 2: - 0 5
  const ScoreTable table = table_of({{2, 1, kGap}, {1, 1, 5}, {kGap, 0, 5}});
  const PairTable pairs = count_pairs(table, Missing::observed);
  EXPECT_EQ(pairs.win(0, 1), 1);
  EXPECT_EQ(pairs.tie(0, 1), 1);
  EXPECT_EQ(pairs.tie(1, 0), 1);
  EXPECT_EQ(pairs.win(0, 2), 1);
  EXPECT_EQ(pairs.win(1, 2), 1);
  EXPECT_EQ(pairs.tie(1, 2), 1);
  EXPECT_EQ(pairs.votes(0, 2), 1);
  EXPECT_EQ(pairs.preference(0, 1), 1.5);
}

// Card best-systems, check 4: three observed, one missing.
TEST(PairTable, PlacesMissingSystemsUniformlyAtRandom) {
  const ScoreTable table = table_of({{3, 1}, {2, 1}, {1, 1}, {kGap, 1}});
  ScoreTable first = table;
  first.task_infos[1].weight = 0;
  const PairTable pairs = count_pairs(first, Missing::complete);
  EXPECT_DOUBLE_EQ(pairs.preference(0, 3), 0.75);
  EXPECT_DOUBLE_EQ(pairs.preference(1, 3), 0.5);
  EXPECT_DOUBLE_EQ(pairs.preference(2, 3), 0.25);
  EXPECT_DOUBLE_EQ(pairs.preference(3, 2), 0.75);
}

// The share of all orders of all systems compatible with what was measured in which i is before j.
double by_enumeration(const std::vector<double>& values, System i, System j) {
  std::vector<System> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  double compatible = 0;
  double before = 0;
  do {
    bool fits = true;
    for (std::size_t a = 0; a < order.size(); ++a) {
      for (std::size_t b = a + 1; b < order.size(); ++b) {
        const double earlier = values[order[a]];
        const double later = values[order[b]];
        fits &= std::isnan(earlier) || std::isnan(later) || earlier > later;
      }
    }
    if (!fits) continue;
    ++compatible;
    before += std::ranges::find(order, i) < std::ranges::find(order, j) ? 1 : 0;
  } while (std::ranges::next_permutation(order).found);
  return before / compatible;
}

TEST(PairTable, CompletionEqualsTheCountOverAllCompatibleOrders) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random(seed, "completion");
    std::vector<std::vector<double>> rows(6);
    std::vector<double> values;
    for (std::vector<double>& row : rows) {
      values.push_back(random.uniform() < 0.4 ? kGap : random.uniform());
      row = {values.back(), 1};
    }
    ScoreTable table = table_of(rows);
    table.task_infos[1].weight = 0;
    if (table.ballot(0).systems.size() == 1 && table.tasks[0] != "0") continue;
    const PairTable pairs = count_pairs(table, Missing::complete);
    for (System i = 0; i < 6; ++i) {
      for (System j = 0; j < 6; ++j) {
        if (i == j || std::ranges::all_of(values, [](double v) { return std::isnan(v); })) continue;
        EXPECT_NEAR(pairs.preference(i, j), by_enumeration(values, i, j), 1e-12);
      }
    }
  }
}

TEST(PairTable, DropLeavesOutIncompleteBallotsAndRefusesIfNoneIsLeft) {
  const ScoreTable table = table_of({{1, 2, 3}, {3, kGap, 1}});
  PairNotes notes;
  const PairTable pairs = count_pairs(table, Missing::drop, {}, {}, 0, &notes);
  EXPECT_EQ(notes.dropped_ballots, 1U);
  EXPECT_EQ(pairs.votes(0, 1), 2);
  EXPECT_THAT(
      [] {
        count_pairs(table_of({{1, kGap}, {kGap, 1}}), Missing::drop);
      },
      ThrowsMessage<InputError>(HasSubstr("no task or instance has a value of every")));
}

TEST(PairTable, ReweightingEqualsRepeatingBallots) {
  const std::vector<double> factors = {2, 0, 1};
  const PairTable weighted = count_pairs(table_of({{1, 5, 2}, {2, 5, 1}, {kGap, 1, 3}}),
                                         Missing::observed, {.ballots = factors});
  const PairTable repeated =
      count_pairs(table_of({{1, 1, 2}, {2, 2, 1}, {kGap, kGap, 3}}), Missing::observed);
  EXPECT_EQ(weighted.wins, repeated.wins);
  EXPECT_EQ(weighted.ties, repeated.ties);
}

TEST(PairTable, IsTheSameBitsForAnyNumberOfThreads) {
  ScoreTable table = random_table(12, 3000, 0.3, 5);
  for (Task task = 0; task < table.task_count(); ++task) {
    table.task_infos[task].weight = 0.1 + 0.37 * (task % 7);
  }
  const PairTable one = count_pairs(table, Missing::complete);
  for (const std::size_t threads : {2U, 3U, 5U}) {
    const PairTable more = count_pairs(table, Missing::complete, {}, {.threads = threads});
    EXPECT_EQ(one.wins, more.wins);
    EXPECT_EQ(one.ties, more.ties);
  }
}

// Card best-systems, check 7: every ballot gives one vote per pair.
TEST(PairTable, EveryCompletedBallotGivesOneVotePerPair) {
  const ScoreTable table = random_table(7, 9, 0.4, 1);
  const PairTable pairs = count_pairs(table, Missing::complete);
  for (System i = 0; i < 7; ++i) {
    for (System j = 0; j < i; ++j) EXPECT_NEAR(pairs.votes(i, j), 9, 1e-12);
  }
}

TEST(PairTable, RefusesMoreSystemsThanPairsFitIntoMemory) {
  const std::vector<double> values(kMostPairedSystems + 1, 1.0);
  const ScoreTable table = make_score_table(values, values.size(), 1);
  EXPECT_THAT([&] { count_pairs(table, Missing::observed); },
              ThrowsMessage<InputError>(HasSubstr("at most 5000 systems")));
}

TEST(PairTable, CountsComparisonsWithTheirWeights) {
  ScoreBuilder builder;
  Comparisons& battles = builder.comparisons();
  const System a = builder.system("a");
  const System b = builder.system("b");
  for (const auto& [first, second, outcome, weight] :
       std::vector<std::tuple<System, System, int, float>>{
           {a, b, 1, 1.0F}, {b, a, 1, 2.0F}, {a, b, 0, 0.5F}, {b, a, -1, 4.0F}}) {
    battles.first.push_back(first);
    battles.second.push_back(second);
    battles.outcomes.push_back(static_cast<std::int8_t>(outcome));
    battles.weights.push_back(weight);
  }
  const PairTable pairs = count_pairs(builder.finish("battles"), Missing::observed);
  EXPECT_EQ(pairs.win(0, 1), 5);
  EXPECT_EQ(pairs.win(1, 0), 2);
  EXPECT_EQ(pairs.tie(0, 1), 0.5);
  EXPECT_EQ(pairs.majority(0, 1), 1);
  EXPECT_EQ(pairs.majority(1, 0), -1);
}

}  // namespace
}  // namespace amalgam::scores
