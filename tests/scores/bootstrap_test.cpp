#include "amalgam/scores/uncertainty/bootstrap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "amalgam/core/error.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

struct Ranked {
  const RankAggregator& method;
  RankContext context;
  Ranking ranking;
};

Ranked ranked(std::string_view name, const ScoreTable& table) {
  const RankAggregator& method = find_rank_aggregator(name);
  RankContext context = rank_context(method);
  Ranking ranking = method.rank(table, context);
  return {method, std::move(context), std::move(ranking)};
}

RankUncertainty bootstrap(std::string_view name, const ScoreTable& table,
                          const BootstrapOptions& options) {
  const Ranked full = ranked(name, table);
  return bootstrap_ranking(full.method, table, full.context, full.ranking, options);
}

TEST(ResampleSummary, CountsPlacesAndDifferences) {
  const Ranking ranking{.scores = {2.0, 1.0, 0.5}};
  // Four resamples; the third failed, in the last one system 2 has no score.
  const std::vector<double> replicates{3,    1,    0,  //
                                       1,    1,    2,  //
                                       kGap, kGap, kGap, 2, 3, kGap};
  const RankUncertainty found = summarise_resamples(ranking, replicates, 0.95);
  EXPECT_EQ(found.failed, 1U);
  EXPECT_THAT(found.unranked, ElementsAre(0, 0, 1));
  EXPECT_THAT(found.order, ElementsAre(0, 1, 2));
  EXPECT_EQ(found.scores[0].low, 1);
  EXPECT_EQ(found.scores[0].high, 3);
  EXPECT_THAT(found.rank_low, ElementsAre(1, 1, 1));
  EXPECT_THAT(found.rank_high, ElementsAre(2, 2, 3));
  EXPECT_NEAR(found.best[0], 1.0 / 3, 1e-15);
  EXPECT_NEAR(found.best[1], 1.0 / 3, 1e-15);
  EXPECT_NEAR(found.standard_errors[0], 1, 1e-15);  // of 3, 1, 2
  // 0 before 1: yes, tie, no. 0 before 2: yes, no.
  EXPECT_EQ(found.before[0 * 3 + 1], 0.5);
  EXPECT_EQ(found.before[0 * 3 + 2], 0.5);
  EXPECT_EQ(found.before[2 * 3 + 1], 0.5);
  // Differences 2, 0, -1: deviation sqrt(7/3); z = 1 / 1.527525 = 0.654654, two-sided p 0.512691.
  EXPECT_NEAR(found.p_values[0 * 3 + 1], 0.512691, 1e-6);
  EXPECT_TRUE(std::isnan(found.p_values[0]));
}

TEST(ResampleSummary, GroupsAreRunsThatOverlap) {
  // Scores 3, 2, 1 with independent noise of deviation about 0.5: neighbours cannot be told apart
  // after Holm (z = 1.4), the ends can (z = 2.8, p = 0.005, x 3).
  const Ranking ranking{.scores = {3.0, 2.0, 1.0}};
  std::vector<double> replicates;
  RandomStream random(1, "groups");
  for (int r = 0; r < 2000; ++r) {
    for (const double score : ranking.scores) replicates.push_back(score + 0.5 * random.normal());
  }
  const RankUncertainty found = summarise_resamples(ranking, replicates, 0.95);
  EXPECT_TRUE(found.separated(0, 2));
  EXPECT_FALSE(found.separated(0, 1));
  EXPECT_THAT(found.groups, ElementsAre(TieGroup{0, 1}, TieGroup{1, 2}));
  EXPECT_THAT(group_letters(found), ElementsAre("a", "ab", "b"));
  EXPECT_THAT(found.rank_set_low, ElementsAre(1, 1, 2));
  EXPECT_THAT(found.rank_set_high, ElementsAre(2, 3, 3));
}

TEST(ResampleSummary, DifferencesThatNeverVaryAreBeyondDoubtIfThereAreEnoughResamples) {
  const Ranking ranking{.scores = {2.0, 1.0, 1.0}};
  std::vector<double> replicates;
  for (int r = 0; r < 100; ++r) replicates.insert(replicates.end(), {2.0, 1.0, 1.0});
  EXPECT_TRUE(summarise_resamples(ranking, replicates, 0.95).separated(0, 1));
  EXPECT_EQ(summarise_resamples(ranking, replicates, 0.95).p_values[1 * 3 + 2], 1);
  replicates.resize(15);
  EXPECT_FALSE(summarise_resamples(ranking, replicates, 0.95).separated(0, 1));
}

TEST(Bootstrap, IsTheSameBitsForAnyNumberOfThreads) {
  const ScoreTable answers = simulated_answers({0.5, 0.6, 0.7, 0.65}, 3, 20, 7, 0.2);
  const ScoreTable battles = simulated_battles({0, 0.5, 1}, 200, 7);
  const auto check = [](std::string_view method, const ScoreTable& table) {
    const BootstrapOptions one{.resamples = 60, .seed = 3};
    BootstrapOptions four = one;
    four.parallel = {4, Runner::std_thread};
    const RankUncertainty a = bootstrap(method, table, one);
    const RankUncertainty b = bootstrap(method, table, four);
    EXPECT_EQ(0, std::memcmp(a.scores.data(), b.scores.data(), a.size() * sizeof(Interval)));
    EXPECT_EQ(0, std::memcmp(a.p_holm.data(), b.p_holm.data(), a.p_holm.size() * sizeof(double)));
    EXPECT_EQ(a.rank_low, b.rank_low);
    EXPECT_EQ(a.best, b.best);
    BootstrapOptions other = one;
    other.seed = 4;
    EXPECT_NE(a.standard_errors, bootstrap(method, table, other).standard_errors);
  };
  check("mean", answers);
  check("borda", answers);
  check("bradley-terry", battles);
}

// A resample as factors is the table in which every ballot is there as often as it was drawn.
TEST(Bootstrap, FactorsAreCopies) {
  const ScoreTable table = simulated_answers({0.5, 0.6, 0.7}, 1, 30, 11, 0.3);
  const ResampleCounts counts = draw_resample(table, ResampleUnit::instances, 5, 0);
  ScoreBuilder builder;
  for (std::size_t i = 0; i < table.system_count(); ++i) builder.system(table.systems[i]);
  const Task task = builder.task("task");
  std::size_t copies = 0;
  for (std::size_t b = 0; b < table.ballot_count(); ++b) {
    for (int copy = 0; copy < static_cast<int>(counts.ballots[b]); ++copy) {
      const Instance instance = builder.instance(std::to_string(copies++));
      const ScoreTable::Ballot ballot = table.ballot(b);
      for (std::size_t row = 0; row < ballot.systems.size(); ++row) {
        builder.add(ballot.systems[row], task, instance, ballot.values[row]);
      }
    }
  }
  EXPECT_EQ(copies, table.ballot_count());
  const ScoreTable copied = builder.finish("copies");
  for (const char* name : {"mean", "borda", "copeland"}) {
    const Ranked method = ranked(name, table);
    RankContext context = method.context;
    context.factors = counts.factors();
    const std::vector<double> weighted = method.method.rank(table, context).scores;
    const std::vector<double> plain = method.method.rank(copied, method.context).scores;
    for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(weighted[i], plain[i], 1e-9) << name;
  }
}

// 200 tables of 3 systems: the interval of the mean holds the chance, and systems of equal chances
// are told apart in about as many tables as the level says.
TEST(Bootstrap, IntervalsHoldTheTruthAsOftenAsTheySay) {
  int held = 0;
  int told_apart = 0;
  int found = 0;
  constexpr int kTables = 200;
  for (int seed = 0; seed < kTables; ++seed) {
    const ScoreTable table =
        simulated_answers({0.7, 0.7, 0.4}, 1, 150, static_cast<std::uint64_t>(seed));
    const RankUncertainty result =
        bootstrap("mean", table, {.resamples = 199, .seed = static_cast<std::uint64_t>(seed)});
    held += result.scores[0].low <= 0.7 && 0.7 <= result.scores[0].high ? 1 : 0;
    told_apart += result.separated(0, 1) ? 1 : 0;
    found += result.separated(0, 2) && result.separated(1, 2) ? 1 : 0;
  }
  // Standard error of a share of 0.95 in 200: 0.0154.
  EXPECT_GE(held, 0.90 * kTables);
  EXPECT_LE(held, 0.99 * kTables);
  EXPECT_LE(told_apart, 0.06 * kTables);
  EXPECT_GE(found, 0.95 * kTables);
}

TEST(Bootstrap, IntervalsOfStrengthsAndRanksHoldTheTruth) {
  int strengths_held = 0;
  int ranks_held = 0;
  int sets_held = 0;
  constexpr int kTables = 150;
  for (int seed = 0; seed < kTables; ++seed) {
    const ScoreTable table =
        simulated_battles({1.0, 0.6, 0.4, -2.0}, 400, static_cast<std::uint64_t>(seed));
    const RankUncertainty found = bootstrap(
        "bradley-terry", table, {.resamples = 199, .seed = static_cast<std::uint64_t>(seed)});
    // The mean of the strengths is 0.
    strengths_held += found.scores[1].low <= 0.6 && 0.6 <= found.scores[1].high ? 1 : 0;
    ranks_held += found.rank_low[1] <= 2 && 2 <= found.rank_high[1] ? 1 : 0;
    bool all_held = true;
    for (std::uint32_t i = 0; i < 4; ++i) {
      all_held &= found.rank_set_low[i] <= i + 1 && i + 1 <= found.rank_set_high[i];
    }
    sets_held += all_held ? 1 : 0;
  }
  // Standard error of a share of 0.95 in 150: 0.018.
  EXPECT_GE(strengths_held, 0.89 * kTables);
  EXPECT_LE(strengths_held, 0.99 * kTables);
  EXPECT_GE(ranks_held, 0.93 * kTables);
  EXPECT_GE(sets_held, 0.93 * kTables);
}

TEST(Bootstrap, OfTasksIsWiderThanOfInstancesWhereTasksDiffer) {
  // Each system is good at half of the tasks: instances hardly matter.
  ScoreBuilder builder;
  for (int t = 0; t < 30; ++t) {
    const Task task = builder.task(std::to_string(t));
    for (int k = 0; k < 10; ++k) {
      const Instance instance = builder.instance(std::to_string(k));
      builder.add(builder.system("a"), task, instance, t % 2 == 0 ? 1 : 0.1 * (k % 2));
      builder.add(builder.system("b"), task, instance, t % 2 == 1 ? 1 : 0.1 * (k % 2));
    }
  }
  const ScoreTable table = builder.finish("tasks");
  const double instances = bootstrap("mean", table, {.resamples = 100}).standard_errors[0];
  const double tasks =
      bootstrap("mean", table, {.resamples = 100, .over = ResampleUnit::tasks}).standard_errors[0];
  EXPECT_GT(tasks, 5 * instances);
}

TEST(Bootstrap, OfSharedInstancesKnowsThatCopiesOfATaskAreNoNewInformation) {
  // The same answers as four tasks: drawn apart, they would seem to be four times as many.
  const ScoreTable once = simulated_answers({0.5, 0.6}, 1, 100, 1);
  ScoreBuilder builder;
  for (int copy = 0; copy < 4; ++copy) {
    const Task task = builder.task(std::to_string(copy));
    for (std::size_t b = 0; b < once.ballot_count(); ++b) {
      const ScoreTable::Ballot ballot = once.ballot(b);
      const Instance instance = builder.instance(std::to_string(b));
      for (std::size_t row = 0; row < 2; ++row) {
        const System system = builder.system(std::to_string(ballot.systems[row]));
        builder.add(system, task, instance, ballot.values[row]);
      }
    }
  }
  const ScoreTable copies = builder.finish("copies");
  const auto error = [](const ScoreTable& table, ResampleUnit unit) {
    return bootstrap("mean", table, {.resamples = 400, .over = unit}).standard_errors[0];
  };
  const double alone = error(once, ResampleUnit::instances);
  EXPECT_NEAR(error(copies, ResampleUnit::shared_instances), alone, 0.1 * alone);
  EXPECT_NEAR(error(copies, ResampleUnit::instances), alone / 2, 0.1 * alone);
}

// Net wins, unless somebody was never compared.
class NetWins final : public PairwiseRule {
 public:
  const RankAggregatorInfo& info() const override {
    static const RankAggregatorInfo kInfo{.name = "net-wins"};
    return kInfo;
  }
  Ranking rank_pairs(const PairTable& pairs, const StringPool& /*systems*/,
                     const RankContext& /*context*/) const override {
    Ranking ranking{.scores = std::vector<double>(pairs.systems)};
    for (std::size_t i = 0; i < pairs.systems; ++i) {
      double votes = 0;
      for (std::size_t j = 0; j < pairs.systems; ++j) {
        votes += pairs.votes(i, j);
        ranking.scores[i] += pairs.win(i, j) - pairs.win(j, i);
      }
      if (votes == 0) throw InputError("system {} was never compared", i);
    }
    return ranking;
  }
};

TEST(Bootstrap, CountsResamplesThatCannotBeRanked) {
  // One of 10 comparisons is of system 2.
  ScoreBuilder builder;
  for (const char* name : {"0", "1", "2"}) builder.system(name);
  Comparisons& comparisons = builder.comparisons();
  for (int k = 0; k < 10; ++k) {
    comparisons.first.push_back(0);
    comparisons.second.push_back(k == 0 ? 2 : 1);
    comparisons.outcomes.push_back(k % 2 == 0 ? 1 : -1);
  }
  const ScoreTable table = builder.finish("linked");
  const NetWins method;
  const Ranking ranking = method.rank(table, {});
  const RankUncertainty found = bootstrap_ranking(method, table, {}, ranking, {.resamples = 200});
  // P(not drawn) = 0.9^10 = 0.349, of 200: 69.7 with a deviation of 6.7.
  EXPECT_GE(found.failed, 45U);
  EXPECT_LE(found.failed, 95U);
  EXPECT_EQ(found.resamples, 200U);
  ASSERT_FALSE(found.warnings.empty());
  EXPECT_THAT(found.warnings[0], HasSubstr("system 2 was never compared"));
  // Of the others, all ranked all three.
  EXPECT_NEAR(found.best[0] + found.best[1] + found.best[2], 1, 1e-12);
}

TEST(Bootstrap, RefusesWhatNoResampleCanRank) {
  ScoreBuilder builder;
  for (const char* name : {"0", "1", "2"}) builder.system(name);
  builder.comparisons() = {.first = {0, 0}, .second = {1, 1}, .outcomes = {1, 1}};
  const ScoreTable table = builder.finish("apart");
  const NetWins method;
  EXPECT_THAT(
      [&] {
        bootstrap_ranking(method, table, {}, {.scores = {1, -1, 0}}, {.resamples = 5});
      },
      ThrowsMessage<InputError>(HasSubstr("none of 5 resamples could be ranked: system 2")));
}

TEST(Bootstrap, SaysWhatItCannotKnow) {
  const ScoreTable tasks = table_of({{1, 2, 3}, {2, 1, 1}});
  const RankUncertainty found = bootstrap("mean", tasks, {.resamples = 50});
  EXPECT_EQ(found.over, ResampleUnit::tasks);
  EXPECT_EQ(found.units, 3U);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("only 3 tasks were drawn from")));
  EXPECT_THAT(
      [] {
        bootstrap("mean", table_of({{1}, {2}}), {});
      },
      ThrowsMessage<InputError>(HasSubstr("nothing to draw again")));
  EXPECT_THAT([&] { bootstrap("mean", tasks, {.resamples = 0}); },
              ThrowsMessage<InputError>(HasSubstr("0 resamples")));
  EXPECT_THAT([&] { bootstrap("mean", tasks, {.confidence = 1}); },
              ThrowsMessage<InputError>(HasSubstr("confidence 1;")));
  EXPECT_THAT(
      bootstrap("mean", simulated_answers({0.5, 0.6}, 1, 40, 1), {.resamples = 20}).warnings,
      IsEmpty());
}

}  // namespace
}  // namespace amalgam::scores
