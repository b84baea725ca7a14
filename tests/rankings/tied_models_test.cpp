#include "amalgam/scores/strength/tied_models.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/strength/comparison_graph.hpp"
#include "tests/rankings/votes.hpp"

namespace amalgam::scores {
namespace {

using aggregators::bradley_terry;
using aggregators::davidson;
using aggregators::rao_kupper;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

void expect_outcome(const TiedOutcome& outcome, double win, double loss, double tie,
                    double tolerance = 1e-6) {
  EXPECT_NEAR(outcome.win, win, tolerance);
  EXPECT_NEAR(outcome.loss, loss, tolerance);
  EXPECT_NEAR(outcome.tie, tie, tolerance);
}

TEST(TiedOutcome, HasTheProbabilitiesOfTheModels) {
  expect_outcome(tied_outcome(TieModel::davidson, std::log(2), 0.5), 0.539504, 0.269752, 0.190744);
  expect_outcome(tied_outcome(TieModel::rao_kupper, std::log(2), 1.5), 0.571429, 0.25, 0.178571);
}

TEST(TiedOutcome, SumsToOneHoweverFarApart) {
  for (const TieModel model : {TieModel::davidson, TieModel::rao_kupper}) {
    for (const double difference : {-2000.0, -40.0, -1.0, 0.0, 3.0, 2000.0}) {
      const TiedOutcome p = tied_outcome(model, difference, 1.7);
      const TiedOutcome mirrored = tied_outcome(model, -difference, 1.7);
      EXPECT_NEAR(p.win + p.loss + p.tie, 1, 1e-12);
      EXPECT_NEAR(p.win, mirrored.loss, 1e-15);
      EXPECT_NEAR(p.tie, mirrored.tie, 1e-15);
    }
  }
}

TEST(TiedModels, FitOnePairExactly) {
  // Wins 6, losses 2, ties 4 have probabilities 1/2, 1/6, 1/3 in both models.
  const PairTable pairs = votes_of({{0, 6}, {2, 0}}, {{0, 4}, {4, 0}});
  const Ranking by_davidson = rank_votes(davidson(), pairs);
  EXPECT_NEAR(std::exp(by_davidson.scores[0] - by_davidson.scores[1]), 3, 1e-9);
  EXPECT_NEAR(by_davidson.figures.at("tie parameter"), 1.154701, 1e-6);
  const Ranking by_rao_kupper = rank_votes(rao_kupper(), pairs);
  EXPECT_NEAR(std::exp(by_rao_kupper.scores[0] - by_rao_kupper.scores[1]), 2.236068, 1e-6);
  EXPECT_NEAR(by_rao_kupper.figures.at("tie parameter"), 2.236068, 1e-6);
  for (const auto& [model, ranking] :
       {std::pair{TieModel::davidson, by_davidson}, {TieModel::rao_kupper, by_rao_kupper}}) {
    expect_outcome(tied_outcome(model, ranking.scores[0] - ranking.scores[1],
                                ranking.figures.at("tie parameter")),
                   1.0 / 2, 1.0 / 6, 1.0 / 3, 1e-9);
  }
}

TEST(TiedModels, AreBradleyTerryWithoutTies) {
  RandomStream random(1, "tied");
  for (int round = 0; round < 20; ++round) {
    const PairTable pairs = random_votes(5, false, random);
    const std::vector<double> expected = rank_votes(bradley_terry(), pairs).scores;
    const Ranking by_davidson = rank_votes(davidson(), pairs);
    const Ranking by_rao_kupper = rank_votes(rao_kupper(), pairs);
    EXPECT_LT(largest_difference(by_davidson.scores, expected), 1e-10);
    EXPECT_LT(largest_difference(by_rao_kupper.scores, expected), 1e-10);
    EXPECT_EQ(by_davidson.figures.at("tie parameter"), 0);
    EXPECT_EQ(by_rao_kupper.figures.at("tie parameter"), 1);
  }
}

// The fixed points of the models' MM iterations (card onebench, section 8), written as they stand
// there: a reference that shares nothing with Newton's method.
struct Reference {
  std::vector<double> weights;
  double tie = 1;
};

Reference davidson_by_mm(const PairTable& p) {
  const std::size_t n = p.systems;
  Reference fit{std::vector<double>(n, 1.0), 1.0};
  for (int iteration = 0; iteration < 20'000; ++iteration) {
    std::vector<double> next(n);
    double ties = 0;
    double expected = 0;
    for (std::size_t i = 0; i < n; ++i) {
      double won = 0;
      double rate = 0;
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const double wi = fit.weights[i];
        const double wj = fit.weights[j];
        const double z = wi + wj + fit.tie * std::sqrt(wi * wj);
        won += p.win(i, j) + p.tie(i, j) / 2;
        rate += p.votes(i, j) * (1 + fit.tie / 2 * std::sqrt(wj / wi)) / z;
        ties += p.tie(i, j) / 2;
        expected += p.votes(i, j) * std::sqrt(wi * wj) / z / 2;
      }
      next[i] = won / rate;
    }
    fit = {next, ties / expected};
  }
  return fit;
}

Reference rao_kupper_by_mm(const PairTable& p) {
  const std::size_t n = p.systems;
  Reference fit{std::vector<double>(n, 1.0), 2.0};
  const auto s = [&](std::size_t i, std::size_t j) { return p.win(i, j) + p.tie(i, j); };
  for (int iteration = 0; iteration < 20'000; ++iteration) {
    std::vector<double> next(n);
    double ties = 0;
    double sum = 0;
    const double t = fit.tie;
    for (std::size_t i = 0; i < n; ++i) {
      double won = 0;
      double rate = 0;
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const double wi = fit.weights[i];
        const double wj = fit.weights[j];
        won += s(i, j);
        rate += s(i, j) / (wi + t * wj) + t * s(j, i) / (t * wi + wj);
        ties += p.tie(i, j) / 2;
        sum += s(i, j) * wj / (wi + t * wj);
      }
      next[i] = won / rate;
    }
    const double ratio = ties / sum;
    fit = {next, ratio + std::sqrt(1 + ratio * ratio)};
  }
  return fit;
}

TEST(TiedModels, EqualTheFixedPointsOfTheirMmIterations) {
  RandomStream random(2, "tied");
  for (int round = 0; round < 5; ++round) {
    const PairTable pairs = random_votes(4, true, random);
    const Reference expected_davidson = davidson_by_mm(pairs);
    const Ranking by_davidson = rank_votes(davidson(), pairs);
    EXPECT_NEAR(by_davidson.figures.at("tie parameter"), expected_davidson.tie, 1e-8);
    const Reference expected_rao_kupper = rao_kupper_by_mm(pairs);
    const Ranking by_rao_kupper = rank_votes(rao_kupper(), pairs);
    EXPECT_NEAR(by_rao_kupper.figures.at("tie parameter"), expected_rao_kupper.tie, 1e-8);
    for (std::size_t i = 1; i < 4; ++i) {
      EXPECT_NEAR(by_davidson.scores[i] - by_davidson.scores[0],
                  std::log(expected_davidson.weights[i] / expected_davidson.weights[0]), 1e-8);
      EXPECT_NEAR(by_rao_kupper.scores[i] - by_rao_kupper.scores[0],
                  std::log(expected_rao_kupper.weights[i] / expected_rao_kupper.weights[0]), 1e-8);
    }
  }
}

TEST(TiedModels, HaveTheSlopeAndInformationOfTheirLikelihood) {
  RandomStream random(3, "tied");
  const PairTable pairs = random_votes(5, true, random);
  for (const TieModel model : {TieModel::davidson, TieModel::rao_kupper}) {
    const TiedFit tied = fit_tied(model, pairs);
    ASSERT_TRUE(tied.fit.converged);
    const auto log_likelihood = [&](const std::vector<double>& point) {
      return tied_log_likelihood(model, pairs, {point.data(), 5}, std::exp(point[5]));
    };
    std::vector<double> point = tied.fit.strengths;
    point.push_back(std::log(tied.tie));
    const std::vector<double> information = tied_information(model, pairs, tied);
    constexpr double kStep = 1e-3;
    const auto at = [&](std::size_t i, double di, std::size_t j, double dj) {
      std::vector<double> moved = point;
      moved[i] += di;
      moved[j] += dj;
      return log_likelihood(moved);
    };
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_NEAR((at(i, kStep, i, 0) - at(i, -kStep, i, 0)) / (2 * kStep), 0, 1e-4);
      for (std::size_t j = 0; j < 6; ++j) {
        const double second = (at(i, kStep, j, kStep) - at(i, kStep, j, -kStep) -
                               at(i, -kStep, j, kStep) + at(i, -kStep, j, -kStep)) /
                              (4 * kStep * kStep);
        EXPECT_NEAR(-second, information[i * 6 + j], 1e-4 * (1 + std::abs(second)));
      }
    }
  }
}

TEST(TiedModels, LetATieLinkSystemsThatNeverLost) {
  // d never lost, but tied with c; a, b and c beat each other in turn.
  const PairTable pairs = votes_of({{0, 3, 0, 0}, {0, 0, 3, 0}, {3, 0, 0, 0}, {2, 2, 0, 0}},
                                   {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 1, 0}});
  for (const RankAggregator* rule : {&davidson(), &rao_kupper()}) {
    const Ranking ranking = rank_votes(*rule, pairs);
    EXPECT_EQ(ranking.figures.at("pseudo-votes"), 0) << rule->info().name;
    EXPECT_THAT(ranking.warnings, IsEmpty());
    EXPECT_GT(ranking.scores[3], ranking.scores[2]);
  }
}

TEST(TiedModels, SayWhereTheTieParameterIsInfinite) {
  // One pair with wins of one side and ties: the likelihood rises for ever.
  const PairTable one = votes_of({{0, 5}, {0, 0}}, {{0, 1}, {1, 0}});
  EXPECT_FALSE(tie_parameter_is_finite(one));
  // a beats b beats c, and a ties with c: two units apart, and at most one.
  EXPECT_TRUE(tie_parameter_is_finite(
      votes_of({{0, 1, 0}, {0, 0, 1}, {0, 0, 0}}, {{0, 0, 1}, {0, 0, 0}, {1, 0, 0}})));
  // ... and with b instead: both can hold.
  EXPECT_FALSE(tie_parameter_is_finite(
      votes_of({{0, 1, 0}, {0, 0, 1}, {0, 0, 0}}, {{0, 1, 0}, {1, 0, 1}, {0, 1, 0}})));
  for (const RankAggregator* rule : {&davidson(), &rao_kupper()}) {
    EXPECT_THAT([&] { rank_votes(*rule, one, {"alpha=0"}); },
                ThrowsMessage<InputError>(HasSubstr("the tie parameter is infinite")));
    const Ranking ranking = rank_votes(*rule, one);
    EXPECT_EQ(ranking.figures.at("pseudo-votes"), kAutomaticPseudoVotes);
    EXPECT_THAT(ranking.warnings, ElementsAre(HasSubstr("tie parameter would be infinite")));
    EXPECT_GT(ranking.scores[0], ranking.scores[1]);
  }
}

TEST(TiedModels, RefuseTiesAlone) {
  const PairTable pairs = votes_of({{0, 0}, {0, 0}}, {{0, 3}, {3, 0}});
  for (const RankAggregator* rule : {&davidson(), &rao_kupper()}) {
    EXPECT_THAT([&] { rank_votes(*rule, pairs); },
                ThrowsMessage<InputError>(HasSubstr("every compared pair ties")));
  }
}

}  // namespace
}  // namespace amalgam::scores
