#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/strength/covariance.hpp"
#include "amalgam/scores/strength/newton.hpp"
#include "amalgam/scores/uncertainty/resampled_pairs.hpp"
#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::ThrowsMessage;

std::vector<double> errors_by(std::string_view method, const ScoreTable& table,
                              std::vector<std::string> parameters = {}) {
  return rank_systems(method, table, parameters).columns.at("standard error");
}

TEST(StandardErrors, OfOnePairAreThoseOfAProportion) {
  // ln(w / l) has variance 1/w + 1/l; each log-strength is half of it.
  const ScoreTable table = simulated_battles({0.5, -0.5}, 400, 1);
  const PairTable pairs = count_pairs(table, Missing::observed);
  const double expected = 0.5 * std::sqrt(1 / pairs.win(0, 1) + 1 / pairs.win(1, 0));
  EXPECT_THAT(errors_by("bradley-terry", table, {"errors=fisher"}),
              ElementsAre(DoubleNear(expected, 1e-9), DoubleNear(expected, 1e-9)));
  // One parameter and comparisons that stand alone: the sandwich is the same.
  EXPECT_THAT(errors_by("bradley-terry", table),
              ElementsAre(DoubleNear(expected, 1e-9), DoubleNear(expected, 1e-9)));
}

// Copying every comparison adds no knowledge. Clusters know, independence does not.
TEST(StandardErrors, DoNotShrinkWhenEverythingIsSaidFourTimesInACluster) {
  const ScoreTable table = simulated_battles({0.6, 0, -0.6}, 300, 2);
  ScoreTable copied = table;
  for (int copy = 0; copy < 4; ++copy) {
    for (std::uint32_t row = 0; row < table.comparisons.size(); ++row) {
      Comparisons& to = copied.comparisons;
      if (copy > 0) {
        to.first.push_back(table.comparisons.first[row]);
        to.second.push_back(table.comparisons.second[row]);
        to.outcomes.push_back(table.comparisons.outcomes[row]);
      }
      to.clusters.push_back(row);
    }
  }
  for (const std::string_view method : {"bradley-terry", "davidson", "plackett-luce", "onebench"}) {
    EXPECT_THAT(errors_by(method, copied), Pointwise(DoubleNear(1e-9), errors_by(method, table)))
        << method;
    std::vector<double> half = errors_by(method, table, {"errors=fisher"});
    for (double& value : half) value /= 2;
    EXPECT_THAT(errors_by(method, copied, {"errors=fisher"}), Pointwise(DoubleNear(1e-9), half))
        << method;
  }
}

TEST(StandardErrors, AreThoseOfTheBootstrap) {
  struct Case {
    std::string_view method;
    ScoreTable table;
  };
  ScoreTable tied = simulated_battles({0.8, 0.2, -0.2, -0.8}, 900, 3);
  for (std::size_t row = 0; row < tied.comparisons.size(); row += 4) {
    tied.comparisons.outcomes[row] = 0;
  }
  const ScoreTable answers = simulated_answers({0.3, 0.5, 0.6, 0.75}, 1, 250, 4, 0.2);
  for (const auto& [method, table] :
       {Case{"bradley-terry", tied}, Case{"davidson", tied}, Case{"rao-kupper", tied},
        Case{"bradley-terry", answers}, Case{"plackett-luce", answers}}) {
    const RankAggregator& rule = find_rank_aggregator(method);
    constexpr std::size_t kResamples = 600;
    std::vector<double> sums(4);
    std::vector<double> squares(4);
    for (std::size_t replicate = 0; replicate < kResamples; ++replicate) {
      const ResampleCounts drawn = draw_resample(table, ResampleUnit::instances, 5, replicate);
      RankContext context = rank_context(rule);
      context.factors = drawn.factors();
      const std::vector<double> scores = rule.rank(table, context).scores;
      for (std::size_t i = 0; i < 4; ++i) {
        sums[i] += scores[i] / kResamples;
        squares[i] += scores[i] * scores[i] / kResamples;
      }
    }
    const std::vector<double> errors = errors_by(method, table);
    for (std::size_t i = 0; i < 4; ++i) {
      // 600 resamples know a standard deviation to 3 %.
      EXPECT_NEAR(errors[i] / std::sqrt(squares[i] - sums[i] * sums[i]), 1, 0.12) << method;
    }
  }
}

TEST(StandardErrors, AreNotMadeForResamplesNorWhereNotWanted) {
  const ScoreTable table = simulated_battles({0.5, -0.5}, 50, 1);
  EXPECT_EQ(rank_systems("bradley-terry", table, std::vector<std::string>{"errors=none"})
                .columns.count("standard error"),
            0U);
  const ResampleCounts drawn = draw_resample(table, ResampleUnit::instances, 1, 0);
  RankContext context;
  context.factors = drawn.factors();
  EXPECT_EQ(rank_systems("bradley-terry", table, {}, std::nullopt, context)
                .columns.count("standard error"),
            0U);
}

TEST(CovarianceOf, IsThePseudoInverse) {
  // A Laplacian matrix of 3 systems and one further parameter of its own.
  const std::vector<double> information = {3, -2, -1, 0, -2, 5, -3, 0, -1, -3, 4, 0, 0, 0, 0, 2};
  const std::vector<double> inverse = covariance_of(information, 4, 3);
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      double product = 0;
      for (std::size_t k = 0; k < 4; ++k) product += information[i * 4 + k] * inverse[k * 4 + j];
      const double identity = i == j ? 1 : 0;
      EXPECT_NEAR(product, i < 3 && j < 3 ? identity - 1.0 / 3 : identity, 1e-12);
    }
  }
}

// Battles in which the longer answer wins more often.
ScoreTable with_covariates(double effect, std::uint64_t seed, std::size_t count) {
  RandomStream random(seed, "lengths");
  const std::vector<double> strengths = {0.5, 0.1, -0.6};
  ScoreTable table = simulated_battles(strengths, count, seed);
  Comparisons& comparisons = table.comparisons;
  comparisons.covariate_names = {"length", "first"};
  for (std::size_t row = 0; row < count; ++row) {
    // Strong systems write more.
    const double difference =
        strengths[comparisons.first[row]] - strengths[comparisons.second[row]] + random.normal();
    comparisons.covariates.push_back(static_cast<float>(100 * difference));
    comparisons.covariates.push_back(1);
    const double odds = strengths[comparisons.first[row]] - strengths[comparisons.second[row]] +
                        effect * difference + 0.2;
    comparisons.outcomes[row] = random.uniform() < 1 / (1 + std::exp(-odds)) ? 1 : -1;
  }
  return table;
}

TEST(ControlledBradleyTerry, TellsStrengthFromLength) {
  const ScoreTable table = with_covariates(0.9, 1, 6'000);
  const Ranking controlled = rank_systems("controlled-bradley-terry", table);
  const std::vector<double>& errors = controlled.columns.at("standard error");
  const std::vector<double> truth = {0.5, 0.1, -0.6};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(controlled.scores[i], truth[i], 4 * errors[i]);
  }
  EXPECT_GT(rank_systems("bradley-terry", table).scores[0], 0.5 + 6 * errors[0]);
  // Per unit of the covariate; and the first place is worth 0.2.
  const double error = controlled.figures.at("length: standard error");
  EXPECT_NEAR(controlled.figures.at("length: coefficient"), 0.009, 4 * error);
  EXPECT_LT(error, 0.001);
  EXPECT_NEAR(controlled.figures.at("first: coefficient"), 0.2,
              4 * controlled.figures.at("first: standard error"));
  EXPECT_GT(controlled.figures.at("first: 95 % low"), 0);
  EXPECT_LT(controlled.figures.at("length: 95 % low"), controlled.figures.at("length: 95 % high"));
}

TEST(ControlledBradleyTerry, CoversTheTruthAsOftenAsItSays) {
  int covered = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    const Ranking ranking =
        rank_systems("controlled-bradley-terry",
                     with_covariates(0.5, 100 + static_cast<std::uint64_t>(round), 400));
    covered += ranking.figures.at("length: 95 % low") <= 0.005 &&
                       ranking.figures.at("length: 95 % high") >= 0.005
                   ? 1
                   : 0;
  }
  // 190 expected, standard deviation 3.
  EXPECT_GE(covered, 178);
  EXPECT_LE(covered, 199);
}

TEST(ControlledBradleyTerry, NamesWhatItCannotControlFor) {
  ScoreTable table = with_covariates(0.9, 1, 100);
  for (std::size_t row = 0; row < 100; ++row) table.comparisons.covariates[2 * row + 1] = 0;
  EXPECT_THAT([&] { rank_systems("controlled-bradley-terry", table); },
              ThrowsMessage<InputError>(HasSubstr("covariate 'first' is 0 in all")));
  // A covariate that is another one in other units.
  for (std::size_t row = 0; row < 100; ++row) {
    table.comparisons.covariates[2 * row + 1] = 8 * table.comparisons.covariates[2 * row];
  }
  EXPECT_THAT([&] { rank_systems("controlled-bradley-terry", table); },
              ThrowsMessage<InputError>(HasSubstr("do not determine all parameters")));
  table.comparisons.covariate_names.clear();
  table.comparisons.covariates.clear();
  EXPECT_THAT([&] { rank_systems("controlled-bradley-terry", table); },
              ThrowsMessage<InputError>(HasSubstr("no covariates to control for")));
  EXPECT_THAT(
      [] {
        rank_systems("controlled-bradley-terry", table_of({{1, 2}, {2, 1}}));
      },
      ThrowsMessage<InputError>(HasSubstr("needs a table of comparisons")));
}

}  // namespace
}  // namespace amalgam::scores
