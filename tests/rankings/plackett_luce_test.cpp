#include "amalgam/scores/strength/plackett_luce.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::ThrowsMessage;

const std::vector<std::string> kSolvers = {"newton", "mm", "lsr"};

std::vector<double> weights_by(const std::string& solver, const ScoreTable& table,
                               std::vector<std::string> parameters = {}) {
  parameters.push_back("solver=" + solver);
  std::vector<double> weights = rank_systems("plackett-luce", table, parameters).scores;
  double sum = 0;
  for (double& weight : weights) sum += weight = std::exp(weight);
  for (double& weight : weights) weight /= sum;
  return weights;
}

TEST(PlackettLuce, FitsFourRankingsByHand) {
  // The first one's weight a solves 1 - a^2 = a.
  const ScoreTable table = table_of_rankings({{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}});
  for (const std::string& solver : kSolvers) {
    EXPECT_THAT(weights_by(solver, table),
                Pointwise(DoubleNear(1e-6), {0.618034, 0.190983, 0.190983}))
        << solver;
  }
  const Ranking ranking = rank_systems("plackett-luce", table);
  EXPECT_NEAR(ranking.figures.at("log-likelihood"), -6.198413, 1e-6);
  EXPECT_THAT(weights_by("lsr", table, {"iterations=1"}),
              Pointwise(DoubleNear(1e-9), {7.0 / 11, 2.0 / 11, 2.0 / 11}));
}

TEST(PlackettLuce, SeesNothingInACycle) {
  const ScoreTable table = table_of_rankings({{0, 1, 2}, {1, 2, 0}, {2, 0, 1}});
  for (const std::string& solver : kSolvers) {
    EXPECT_THAT(weights_by(solver, table), Each(DoubleNear(1.0 / 3, 1e-12)));
  }
}

// The log-likelihood by its definition: a system is chosen from itself and all that are worse.
double log_likelihood_of(const ScoreTable& table, const std::vector<double>& s) {
  double sum = 0;
  for (std::size_t index = 0; index < table.ballot_count(); ++index) {
    const ScoreTable::Ballot ballot = table.ballot(index);
    for (std::size_t i = 0; i < ballot.systems.size(); ++i) {
      double from = std::exp(s[ballot.systems[i]]);
      bool worse = false;
      for (std::size_t j = 0; j < ballot.systems.size(); ++j) {
        if (ballot.values[j] >= ballot.values[i]) continue;
        worse = true;
        from += std::exp(s[ballot.systems[j]]);
      }
      if (worse) sum += table.ballot_weight(index) * (s[ballot.systems[i]] - std::log(from));
    }
  }
  return sum;
}

// Partial rankings with ties, and comparisons.
ScoreTable mixed_table(std::uint64_t seed) {
  ScoreTable table = random_table(6, 25, 0.3, seed);
  table.task_infos[3].weight = 2.5;
  RandomStream random(seed, "comparisons");
  for (int row = 0; row < 30; ++row) {
    const auto first = static_cast<System>(random.below(6));
    table.comparisons.first.push_back(first);
    table.comparisons.second.push_back((first + 1 + static_cast<System>(random.below(5))) % 6);
    table.comparisons.outcomes.push_back(static_cast<std::int8_t>(random.below(3)) - 1);
  }
  return table;
}

TEST(PlackettLuce, AllSolversAgreeOnPartialRankingsWithTies) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const ScoreTable table = seed % 2 == 0 ? mixed_table(seed) : random_table(8, 30, 0.4, seed);
    const std::vector<double> newton = rank_systems("plackett-luce", table).scores;
    for (const std::string solver : {"mm", "lsr"}) {
      const std::vector<std::string> parameters = {"solver=" + solver};
      EXPECT_LT(largest_difference(newton, rank_systems("plackett-luce", table, parameters).scores),
                1e-8)
          << solver << ' ' << seed;
    }
  }
}

TEST(PlackettLuce, HasTheLikelihoodSlopeAndInformationOfItsDefinition) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    ScoreTable table = mixed_table(seed);
    const Choices with_comparisons = choices_of(table);
    for (const double slope :
         plackett_luce_gradient(with_comparisons, fit_plackett_luce(with_comparisons).strengths)) {
      EXPECT_NEAR(slope, 0, 1e-8);
    }
    table.comparisons = {};
    const Choices choices = choices_of(table);
    RandomStream random(seed, "point");
    std::vector<double> s(6);
    for (double& value : s) value = random.uniform();
    EXPECT_NEAR(plackett_luce_log_likelihood(choices, s), log_likelihood_of(table, s), 1e-9);
    const std::vector<double> gradient = plackett_luce_gradient(choices, s);
    const std::vector<double> information = plackett_luce_information(choices, s);
    constexpr double kStep = 1e-5;
    for (std::size_t i = 0; i < 6; ++i) {
      std::vector<double> up = s;
      std::vector<double> down = s;
      up[i] += kStep;
      down[i] -= kStep;
      EXPECT_NEAR((log_likelihood_of(table, up) - log_likelihood_of(table, down)) / (2 * kStep),
                  gradient[i], 1e-6);
      const std::vector<double> above = plackett_luce_gradient(choices, up);
      const std::vector<double> below = plackett_luce_gradient(choices, down);
      for (std::size_t j = 0; j < 6; ++j) {
        EXPECT_NEAR((below[j] - above[j]) / (2 * kStep), information[i * 6 + j], 1e-6);
      }
    }
  }
}

TEST(PlackettLuce, OfPairsIsBradleyTerry) {
  const ScoreTable battles = simulated_battles({0.9, 0.1, -0.2, -0.8}, 300, 1);
  EXPECT_LT(largest_difference(rank_systems("plackett-luce", battles).scores,
                               rank_systems("bradley-terry", battles).scores),
            1e-9);
  // As ballots of two as well.
  ScoreBuilder builder;
  for (int i = 0; i < 4; ++i) builder.system(std::to_string(i));
  const Task task = builder.task("battles");
  for (std::size_t row = 0; row < battles.comparisons.size(); ++row) {
    const Instance instance = builder.instance(std::to_string(row));
    builder.add(battles.comparisons.first[row], task, instance, battles.comparisons.outcomes[row]);
    builder.add(battles.comparisons.second[row], task, instance, 0);
  }
  EXPECT_LT(largest_difference(rank_systems("plackett-luce", builder.finish("battles")).scores,
                               rank_systems("bradley-terry", battles).scores),
            1e-9);
}

TEST(PlackettLuce, IsNotBradleyTerryOfTheRankingsPairs) {
  const ScoreTable table =
      table_of_rankings({{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}, {1, 2, 0}});
  EXPECT_GT(largest_difference(rank_systems("plackett-luce", table).scores,
                               rank_systems("bradley-terry", table).scores),
            0.01);
}

TEST(PlackettLuce, RecoversStrengthsFromPartialRankings) {
  // 6,000 ballots of 4 of 8 systems, ranked by strength plus Gumbel noise.
  const std::vector<double> truth = {1.4, 1.0, 0.6, 0.2, -0.2, -0.6, -1.0, -1.4};
  RandomStream random(9, "rankings");
  ScoreBuilder builder;
  const Task task = builder.task("ballots");
  for (std::size_t i = 0; i < 8; ++i) builder.system(std::to_string(i));
  for (int index = 0; index < 6'000; ++index) {
    std::vector<System> systems = all_systems(8);
    for (std::size_t k = 0; k < 4; ++k) std::swap(systems[k], systems[k + random.below(8 - k)]);
    for (std::size_t k = 0; k < 4; ++k) {
      const double noise = -std::log(-std::log(random.uniform()));
      builder.add(systems[k], task, builder.instance(std::to_string(index)),
                  truth[systems[k]] + noise);
    }
  }
  const Ranking ranking = rank_systems("plackett-luce", builder.finish("rankings"));
  const std::vector<double>& errors = ranking.columns.at("standard error");
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(ranking.scores[i], truth[i], 4 * errors[i]);
    EXPECT_LT(errors[i], 0.05);
  }
}

TEST(PlackettLuce, IsTheSameForAnyNumberOfThreads) {
  const ScoreTable table = simulated_answers({0.3, 0.4, 0.5, 0.6}, 3, 30'000, 4, 0.2);
  const Choices choices = choices_of(table);
  std::vector<double> weights = {0.1, 0.5, 0.2, 1.0};
  EXPECT_EQ(choice_exposure(choices, weights, {1, Runner::sequential}),
            choice_exposure(choices, weights, {3, Runner::std_thread}));
}

TEST(PlackettLuce, NamesWhoNeverLoses) {
  const ScoreTable table = table_of_rankings({{0, 1, 2}, {0, 2, 1}});
  EXPECT_THAT(
      [&] {
        const std::vector<std::string> parameters = {"alpha=0"};
        rank_systems("plackett-luce", table, parameters);
      },
      ThrowsMessage<InputError>(
          AllOf(HasSubstr("not strongly connected"), HasSubstr("{0}, {1, 2}"))));
  EXPECT_THAT(rank_systems("plackett-luce", table).warnings, Each(HasSubstr("{0}, {1, 2}")));
}

TEST(PlackettLuce, RefusesBallotsThatSayNothing) {
  EXPECT_THAT(
      [] {
        rank_systems("plackett-luce", table_of({{1, 0}, {1, 0}, {1, 0}}));
      },
      ThrowsMessage<InputError>(HasSubstr("no two systems were compared")));
  EXPECT_THAT(
      [] {
        rank_systems(
            "plackett-luce",
            table_of(
                {{1, 0, kGap, kGap}, {0, 1, kGap, kGap}, {kGap, kGap, 0, 1}, {kGap, kGap, 1, 0}}));
      },
      ThrowsMessage<InputError>(HasSubstr("{0, 1}, {2, 3}")));
}

}  // namespace
}  // namespace amalgam::scores
