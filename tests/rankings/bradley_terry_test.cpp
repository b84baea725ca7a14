#include "amalgam/scores/strength/bradley_terry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <numeric>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/aggregators/aggregators.hpp"
#include "amalgam/scores/strength/stationary.hpp"
#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using aggregators::bradley_terry;
using ::testing::AllOf;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using ::testing::ThrowsMessage;

const std::vector<std::string> kSolvers = {"newton", "mm", "lsr"};

std::vector<double> strengths_by(const std::string& solver, const PairTable& pairs,
                                 std::vector<std::string> parameters = {}) {
  parameters.push_back("solver=" + solver);
  return rank_votes(bradley_terry(), pairs, parameters).scores;
}

TEST(BradleyTerry, OfTwoSystemsIsTheLogOfTheOdds) {
  // 3 wins to 1: half of ln 3.
  for (const std::string& solver : kSolvers) {
    EXPECT_THAT(strengths_by(solver, votes_of({{0, 3}, {1, 0}})),
                ElementsAre(DoubleNear(0.549306144, 1e-9), DoubleNear(-0.549306144, 1e-9)));
  }
  EXPECT_NEAR(strengths_by("lsr", votes_of({{0, 3}, {1, 0}}), {"iterations=1"})[0], 0.549306144,
              1e-9);
}

TEST(BradleyTerry, RecoversTheStrengthsOfExactVotes) {
  // 60 votes per pair, shared as by weights 4, 2, 1; one step of spectral ranking suffices.
  const PairTable pairs = votes_of({{0, 40, 48}, {20, 0, 40}, {12, 20, 0}});
  for (const std::string& solver : kSolvers) {
    const std::vector<double> s = strengths_by(
        solver, pairs,
        solver == "lsr" ? std::vector<std::string>{"iterations=1"} : std::vector<std::string>{});
    EXPECT_NEAR(s[0] - s[2], std::log(4), 1e-9) << solver;
    EXPECT_NEAR(s[1] - s[2], std::log(2), 1e-9) << solver;
  }
}

TEST(BradleyTerry, OneSpectralStepIsNotYetTheMaximum) {
  const PairTable pairs = votes_of({{0, 2, 3}, {1, 0, 2}, {1, 2, 0}});
  for (const std::string& solver : kSolvers) {
    EXPECT_THAT(strengths_by(solver, pairs),
                Pointwise(DoubleNear(1e-6), {0.606212, -0.250193, -0.356019}))
        << solver;
  }
  EXPECT_THAT(strengths_by("lsr", pairs, {"iterations=1"}),
              Pointwise(DoubleNear(1e-6), {0.602503, -0.224176, -0.378327}));
}

TEST(BradleyTerry, AllSolversAgree) {
  RandomStream random(2, "votes");
  for (int round = 0; round < 50; ++round) {
    const PairTable pairs = random_votes(3 + random.below(12), round % 2 == 0, random);
    const std::vector<double> newton = strengths_by("newton", pairs);
    EXPECT_LT(largest_difference(newton, strengths_by("mm", pairs)), 1e-8);
    EXPECT_LT(largest_difference(newton, strengths_by("lsr", pairs)), 1e-8);
    EXPECT_NEAR(std::accumulate(newton.begin(), newton.end(), 0.0), 0, 1e-12);
  }
}

TEST(BradleyTerry, HasAZeroGradientThatIsThatOfItsLikelihood) {
  RandomStream random(3, "votes");
  for (int round = 0; round < 20; ++round) {
    const PairTable pairs = random_votes(6, true, random);
    const Preferences votes = preferences_of(pairs, TieVotes::half, all_systems(6));
    std::vector<double> s = fit_bradley_terry(votes).strengths;
    for (const double slope : bradley_terry_gradient(votes, s)) EXPECT_NEAR(slope, 0, 1e-9);
    // Elsewhere it is the slope of the likelihood, and the information that of the gradient.
    for (double& value : s) value += random.uniform();
    const std::vector<double> gradient = bradley_terry_gradient(votes, s);
    const std::vector<double> information = bradley_terry_information(votes, s);
    for (std::size_t i = 0; i < 6; ++i) {
      constexpr double kStep = 1e-5;
      std::vector<double> up = s;
      std::vector<double> down = s;
      up[i] += kStep;
      down[i] -= kStep;
      EXPECT_NEAR(
          (bradley_terry_log_likelihood(votes, up) - bradley_terry_log_likelihood(votes, down)) /
              (2 * kStep),
          gradient[i], 1e-5);
      const std::vector<double> above = bradley_terry_gradient(votes, up);
      const std::vector<double> below = bradley_terry_gradient(votes, down);
      for (std::size_t j = 0; j < 6; ++j) {
        EXPECT_NEAR((below[j] - above[j]) / (2 * kStep), information[i * 6 + j], 1e-5);
      }
    }
  }
}

TEST(BradleyTerry, CountsTiesAsAsked) {
  // 6 wins, 2 losses, 4 ties: odds 8 : 4, 10 : 6, 6 : 2.
  const PairTable pairs = votes_of({{0, 6}, {2, 0}}, {{0, 4}, {4, 0}});
  const auto odds = [&](const std::string& tie) {
    const std::vector<double> s = rank_votes(bradley_terry(), pairs, {"tie=" + tie}).scores;
    return std::exp(s[0] - s[1]);
  };
  EXPECT_NEAR(odds("half"), 2, 1e-9);
  EXPECT_NEAR(odds("both"), 10.0 / 6, 1e-9);
  EXPECT_NEAR(odds("ignore"), 3, 1e-9);
}

TEST(BradleyTerry, AddsPseudoVotesToASystemThatAlwaysWins) {
  const PairTable pairs = votes_of({{0, 5}, {0, 0}});
  EXPECT_THAT(
      [&] { rank_votes(bradley_terry(), pairs, {"alpha=0"}); },
      ThrowsMessage<InputError>(AllOf(HasSubstr("not strongly connected"), HasSubstr("{a}, {b}"))));
  // (5 + 1) / (0 + 1).
  const std::vector<double> one = rank_votes(bradley_terry(), pairs, {"alpha=1"}).scores;
  EXPECT_NEAR(std::exp(one[0] - one[1]), 6, 1e-9);
  const Ranking automatic = rank_votes(bradley_terry(), pairs);
  EXPECT_NEAR(std::exp(automatic.scores[0] - automatic.scores[1]), 5.01 / 0.01, 1e-6);
  EXPECT_THAT(automatic.columns.at("comparison group"), ElementsAre(1, 2));
  EXPECT_THAT(automatic.warnings, ElementsAre(HasSubstr("{a}, {b}")));
  for (const std::string& solver : kSolvers) {
    EXPECT_LT(largest_difference(strengths_by(solver, pairs), automatic.scores), 1e-8) << solver;
  }
}

TEST(BradleyTerry, RefusesWhatHasNoOrder) {
  EXPECT_THAT(
      [] {
        rank_votes(bradley_terry(), votes_of({{0, 0}, {0, 0}}, {{0, 3}, {3, 0}}));
      },
      ThrowsMessage<InputError>(HasSubstr("every compared pair ties")));
  EXPECT_THAT(
      [] {
        rank_votes(bradley_terry(), votes_of({{0, 0}, {0, 0}}));
      },
      ThrowsMessage<InputError>(HasSubstr("no two systems were compared")));
  EXPECT_THAT(
      [] {
        rank_votes(bradley_terry(),
                   votes_of({{0, 2, 0, 0}, {1, 0, 0, 0}, {0, 0, 0, 3}, {0, 0, 1, 0}}));
      },
      ThrowsMessage<InputError>(HasSubstr("{a, b}, {c, d}")));
}

TEST(BradleyTerry, GivesNoScoreToWhoWasNeverCompared) {
  const Ranking ranking = rank_votes(bradley_terry(), votes_of({{0, 0, 3}, {0, 0, 0}, {1, 0, 0}}));
  EXPECT_NEAR(ranking.scores[0], 0.549306144, 1e-9);
  EXPECT_TRUE(std::isnan(ranking.scores[1]));
  EXPECT_TRUE(std::isnan(ranking.raw[1]));
  EXPECT_THAT(ranking.warnings, ElementsAre(HasSubstr("never compared with another one")));
}

TEST(BradleyTerry, SurvivesStrengthsThatAreFarApart) {
  // A ladder of 60 in which each beats the next a million times to one: 815 from top to bottom, and
  // e^815 is no double.
  constexpr std::size_t kSystems = 60;
  PairTable pairs(kSystems);
  for (std::size_t i = 0; i + 1 < kSystems; ++i) {
    pairs.wins[i * kSystems + i + 1] = 1e6;
    pairs.wins[(i + 1) * kSystems + i] = 1;
  }
  const double rung = std::log(1e6);
  for (const std::string solver : {"newton", "lsr"}) {
    const std::vector<double> s = strengths_by(solver, pairs);
    for (std::size_t i = 0; i + 1 < kSystems; ++i) EXPECT_NEAR(s[i] - s[i + 1], rung, 1e-6);
  }
}

TEST(BradleyTerry, StartsFromAFitThatIsNear) {
  RandomStream random(4, "votes");
  const PairTable pairs = random_votes(20, false, random);
  const Preferences votes = preferences_of(pairs, TieVotes::half, all_systems(20));
  const StrengthFit cold = fit_bradley_terry(votes);
  const StrengthFit warm = fit_bradley_terry(votes, {}, cold.strengths);
  EXPECT_EQ(warm.iterations, 1U);
  EXPECT_LT(largest_difference(cold.strengths, warm.strengths), 1e-10);
  RankContext context = rank_context(bradley_terry());
  context.start = cold.strengths;
  const auto& rule = dynamic_cast<const PairwiseRule&>(bradley_terry());
  EXPECT_EQ(rule.rank_pairs(pairs, letters(20), context).figures.at("iterations"), 1);
}

TEST(BradleyTerry, OrdersACompleteTableAsBordaDoes) {
  // Every pair has the same number of votes: the points are a sufficient statistic.
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const ScoreTable answers = simulated_answers({0.3, 0.5, 0.55, 0.6, 0.8}, 1, 40, seed);
    EXPECT_EQ(ranks_by("bradley-terry", answers), ranks_by("borda", answers));
    EXPECT_EQ(ranks_by("bradley-terry", answers), ranks_by("mean", answers));
    EXPECT_EQ(ranks_by("onebench", answers), ranks_by("mean", answers));
    const ScoreTable values = random_table(7, 11, 0, seed);
    EXPECT_EQ(ranks_by("bradley-terry", values), ranks_by("borda", values));
  }
}

// The point of neutral rules: names decide nothing.
TEST(BradleyTerry, RenamesWithTheSystems) {
  RandomStream random(5, "votes");
  for (int round = 0; round < 20; ++round) {
    const std::size_t n = 7;
    const PairTable pairs = random_votes(n, true, random);
    std::vector<std::size_t> to = {3, 5, 0, 6, 1, 4, 2};
    PairTable renamed(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        renamed.wins[to[i] * n + to[j]] = pairs.win(i, j);
        renamed.ties[to[i] * n + to[j]] = pairs.tie(i, j);
      }
    }
    for (const RankAggregator* rule :
         {&bradley_terry(), &aggregators::davidson(), &aggregators::rao_kupper(),
          &aggregators::rank_centrality()}) {
      const std::vector<double> before = rank_votes(*rule, pairs).scores;
      const std::vector<double> after = rank_votes(*rule, renamed).scores;
      for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(after[to[i]], before[i], 1e-9);
    }
  }
}

TEST(BradleyTerry, TurnsAroundWhenAllVotesDo) {
  RandomStream random(6, "votes");
  const std::size_t n = 6;
  const PairTable pairs = random_votes(n, true, random);
  PairTable reversed = pairs;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) reversed.wins[i * n + j] = pairs.win(j, i);
  }
  for (const RankAggregator* rule :
       {&bradley_terry(), &aggregators::davidson(), &aggregators::rao_kupper()}) {
    std::vector<double> before = rank_votes(*rule, pairs).scores;
    for (double& value : before) value = -value;
    EXPECT_LT(largest_difference(rank_votes(*rule, reversed).scores, before), 1e-9);
  }
}

TEST(BradleyTerry, ReportsRatingsOnTheScaleOfElo) {
  // 3 wins to 1 is 400 log10(3) points between the two.
  const Ranking ranking = rank_votes(bradley_terry(), votes_of({{0, 3}, {1, 0}}));
  EXPECT_NEAR(ranking.raw[0] - ranking.raw[1], 400 * std::log10(3), 1e-9);
  EXPECT_NEAR(ranking.raw[0] + ranking.raw[1], 2000, 1e-9);
}

TEST(BradleyTerry, SaysWhenItEndedTooEarly) {
  EXPECT_THAT(rank_votes(bradley_terry(), votes_of({{0, 9, 1}, {1, 0, 9}, {2, 1, 0}}),
                         {"solver=mm", "iterations=2"})
                  .warnings,
              ElementsAre(HasSubstr("before it had converged")));
}

TEST(StationaryDistribution, EqualsTheNullVector) {
  RandomStream random(7, "chains");
  for (int round = 0; round < 20; ++round) {
    const Eigen::Index n = 2 + static_cast<Eigen::Index>(random.below(6));
    Eigen::MatrixXd rates(n, n);
    for (double& rate : rates.reshaped()) rate = 0.01 + random.uniform();
    std::vector<double> rows;
    for (Eigen::Index i = 0; i < n; ++i) {
      for (Eigen::Index j = 0; j < n; ++j) rows.push_back(rates(i, j));
    }
    Eigen::MatrixXd balance = rates.transpose();
    for (Eigen::Index i = 0; i < n; ++i) balance(i, i) -= rates.row(i).sum();
    balance.row(n - 1).setOnes();
    Eigen::VectorXd right = Eigen::VectorXd::Zero(n);
    right(n - 1) = 1;
    const Eigen::VectorXd expected = balance.fullPivLu().solve(right);
    const std::vector<double> found =
        log_stationary_distribution(rows, static_cast<std::size_t>(n));
    for (Eigen::Index i = 0; i < n; ++i) {
      EXPECT_NEAR(std::exp(found[static_cast<std::size_t>(i)]), expected(i), 1e-12);
    }
  }
}

TEST(StationaryDistribution, RefusesAChainThatFallsApart) {
  EXPECT_THROW(log_stationary_distribution({0, 1, 0, 0, 0, 0, 0, 1, 0}, 3), Error);
}

TEST(RankCentrality, RecoversTheStrengthsOfExactShares) {
  // Shares by weights 4, 2, 1, each pair with another number of votes: detailed balance.
  const PairTable pairs = votes_of({{0, 4, 80}, {2, 0, 10}, {20, 5, 0}});
  const std::vector<double> s = rank_votes(aggregators::rank_centrality(), pairs).scores;
  EXPECT_NEAR(s[0] - s[2], std::log(4), 1e-9);
  EXPECT_NEAR(s[1] - s[2], std::log(2), 1e-9);
}

TEST(RankCentrality, AddsPseudoVotesOnlyWhereThereAreVotes) {
  // c meets b alone; pseudo-votes for a and c would be a share of one half between them.
  const PairTable pairs = votes_of({{0, 9, 0}, {0, 0, 9}, {0, 0, 0}});
  const Ranking ranking = rank_votes(aggregators::rank_centrality(), pairs, {"alpha=1"});
  // (9 + 1) : 1 on each rung of a ladder.
  EXPECT_NEAR(ranking.scores[0] - ranking.scores[1], std::log(10), 1e-9);
  EXPECT_NEAR(ranking.scores[1] - ranking.scores[2], std::log(10), 1e-9);
}

TEST(RankCentrality, CannotLinkGroupsByPseudoVotes) {
  const PairTable pairs = votes_of({{0, 2, 0, 0}, {1, 0, 0, 0}, {0, 0, 0, 3}, {0, 0, 1, 0}});
  EXPECT_THAT([&] { rank_votes(aggregators::rank_centrality(), pairs, {"alpha=1"}); },
              ThrowsMessage<InputError>(HasSubstr("{a, b}, {c, d}")));
}

}  // namespace
}  // namespace amalgam::scores
