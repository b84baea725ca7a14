#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Ranking onebench(const ScoreTable& table, const std::vector<std::string>& parameters = {}) {
  return rank_systems("onebench", table, parameters);
}

// What the method sees of values is their order within a sample.
TEST(OneBench, DoesNotChangeUnderMonotoneTransforms) {
  for (const std::string form : {"form=pairs", "form=top1"}) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const ScoreTable table = random_table(6, 20, 0.4, seed);
      ScoreTable stretched = table;
      for (std::size_t index = 0; index < table.ballot_count(); ++index) {
        const std::size_t begin = table.ballot_begins[index];
        for (std::size_t row = begin; row < table.ballot_begins[index + 1]; ++row) {
          double& value = stretched.values[row];
          value = index % 2 == 0 ? 7 * value : std::exp(value);
        }
      }
      EXPECT_EQ(onebench(table, {form}).scores, onebench(stretched, {form}).scores);
    }
  }
}

TEST(OneBench, DoesNotAskWhichSampleCameFirst) {
  // 40 samples of one task, added in two orders.
  RandomStream random(3, "samples");
  std::vector<std::vector<double>> samples(40, std::vector<double>(5));
  for (auto& sample : samples) {
    for (double& value : sample) value = static_cast<double>(random.below(4));
  }
  const auto table = [&](bool reversed) {
    ScoreBuilder builder;
    const Task task = builder.task("samples");
    for (std::size_t k = 0; k < samples.size(); ++k) {
      const std::size_t at = reversed ? samples.size() - 1 - k : k;
      for (std::size_t i = 0; i < 5; ++i) {
        // A sample has another number: who voted how is not told by it.
        builder.add(builder.system(std::to_string(i)), task, builder.instance(std::to_string(k)),
                    samples[at][i]);
      }
    }
    return builder.finish("samples");
  };
  EXPECT_EQ(onebench(table(false)).scores, onebench(table(true)).scores);
  EXPECT_LT(largest_difference(onebench(table(false), {"form=top1"}).scores,
                               onebench(table(true), {"form=top1"}).scores),
            1e-10);
}

// What is kept of samples is a table of whole numbers: tables of parts add up to that of all, bit
// for bit, in any order.
TEST(OneBench, MergesTheCountsOfPartsBitForBit) {
  const ScoreTable table = simulated_answers({0.2, 0.4, 0.5, 0.7, 0.9}, 3, 200, 1, 0.4);
  const PairTable all = count_pairs(table, Missing::observed);
  RandomStream random(2, "parts");
  std::vector<std::vector<double>> parts(3, std::vector<double>(table.ballot_count()));
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    parts[random.below(3)][index] = 1;
  }
  const auto count = [&](std::size_t part) {
    return count_pairs(table, Missing::observed, {.ballots = parts[part]});
  };
  PairTable forth = count(0);
  forth.combine(count(1));
  forth.combine(count(2));
  PairTable back = count(2);
  PairTable rest = count(1);
  rest.combine(count(0));
  back.combine(std::move(rest));
  EXPECT_EQ(forth.wins, all.wins);
  EXPECT_EQ(forth.ties, all.ties);
  EXPECT_EQ(back.wins, all.wins);
  EXPECT_EQ(back.ties, all.ties);
}

TEST(OneBench, IsTheModelOfItsTies) {
  const ScoreTable table = simulated_answers({0.3, 0.5, 0.6, 0.7}, 2, 50, 1, 0.3);
  const auto scores = [&](std::string_view method, std::vector<std::string> parameters = {}) {
    return rank_systems(method, table, parameters).scores;
  };
  EXPECT_EQ(scores("onebench"), scores("bradley-terry"));
  EXPECT_EQ(scores("onebench", {"tie=both"}), scores("bradley-terry", {"tie=both"}));
  EXPECT_EQ(scores("onebench", {"tie=ignore"}), scores("bradley-terry", {"tie=ignore"}));
  EXPECT_EQ(scores("onebench", {"tie=davidson"}), scores("davidson"));
  EXPECT_EQ(scores("onebench", {"tie=rao-kupper"}), scores("rao-kupper"));
  EXPECT_EQ(scores("onebench", {"form=top1"}), scores("plackett-luce"));
  EXPECT_THAT(
      [&] {
        scores("onebench", {"form=top1", "tie=both"});
      },
      ThrowsMessage<InputError>(HasSubstr("tie = both is for form = pairs")));
}

TEST(OneBench, TakesValuesWithinTheToleranceForTies) {
  // 0 is better by a hair on two samples, and 1 by much on one.
  const ScoreTable noisy = table_of({{0.5000001, 0.7000001, 0.1, 1}, {0.5, 0.7, 0.9, 0}});
  const ScoreTable even = table_of({{0.5, 0.7, 0.1, 1}, {0.5, 0.7, 0.9, 0}});
  const Ranking tolerant = onebench(noisy, {"tie_tolerance=1e-6"});
  EXPECT_EQ(tolerant.scores, onebench(even).scores);
  EXPECT_EQ(tolerant.columns, onebench(even).columns);
  EXPECT_GT(onebench(noisy).scores[0], 0.1);
  EXPECT_THAT(
      [&] {
        onebench(noisy, {"form=top1", "tie_tolerance=1e-6"});
      },
      ThrowsMessage<InputError>(HasSubstr("tie_tolerance is for form = pairs")));
}

// Half of the mass of hard samples is measured on strong systems alone: means are misled, and
// comparisons within samples are not.
TEST(OneBench, RanksSystemsMeasuredOnSamplesOfUnequalDifficulty) {
  RandomStream random(5, "hard and easy");
  const std::vector<double> skills = {-1.0, -0.4, 0.4, 1.0};
  ScoreBuilder builder;
  const Task task = builder.task("samples");
  for (int k = 0; k < 3'000; ++k) {
    const bool hard = k % 2 == 0;
    for (std::size_t i = 0; i < skills.size(); ++i) {
      const bool strong = skills[i] > 0;
      const double odds = std::exp(skills[i] + (hard ? -2 : 2));
      const double answer = random.uniform() < odds / (1 + odds) ? 1 : 0;
      if (random.uniform() < (hard == strong ? 0.9 : 0.3)) {
        builder.add(builder.system(std::to_string(i)), task, builder.instance(std::to_string(k)),
                    answer);
      }
    }
  }
  const ScoreTable table = builder.finish("samples");
  const std::vector<std::uint32_t> truth = {4, 3, 2, 1};
  EXPECT_EQ(ranks_by("onebench", table), truth);
  EXPECT_EQ(ranks_by("onebench", table, {"tie=davidson"}), truth);
  EXPECT_EQ(ranks_by("onebench", table, {"form=top1"}), truth);
  EXPECT_NE(ranks_by("mean", table), truth);
}

TEST(OneBench, CountsComparisonsOfJudgesWithSamples) {
  ScoreTable table = table_of({{1, 0}, {0, 1}});
  table.comparisons.first = {0, 0};
  table.comparisons.second = {1, 1};
  table.comparisons.outcomes = {1, 1};
  // 3 wins to 1.
  EXPECT_NEAR(onebench(table).scores[0], 0.549306144, 1e-9);
  EXPECT_EQ(onebench(table).columns.at("comparisons"), (std::vector<double>{4, 4}));
}

TEST(OneBench, NamesGroupsThatShareNoSample) {
  const ScoreTable table =
      table_of({{1, 0, kGap, kGap}, {0, 1, kGap, kGap}, {kGap, kGap, 0, 1}, {kGap, kGap, 1, 0}},
               {"ant", "bee", "cat", "dog"});
  EXPECT_THAT([&] { onebench(table); },
              ThrowsMessage<InputError>(HasSubstr("{ant, bee}, {cat, dog}")));
  EXPECT_THAT(onebench(table, {"alpha=0.1"}).warnings,
              ::testing::ElementsAre(HasSubstr("{ant, bee}, {cat, dog}")));
}

}  // namespace
}  // namespace amalgam::scores
