#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/scores/strength/elo.hpp"
#include "amalgam/scores/strength/gaussian_ratings.hpp"
#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"
#include "tests/scores/toy_scores.hpp"

namespace amalgam::scores {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ScoreTable battles(const std::vector<std::array<int, 3>>& rows, std::size_t systems) {
  ScoreBuilder builder;
  for (std::size_t i = 0; i < systems; ++i) builder.system(std::to_string(i));
  for (const auto& [first, second, outcome] : rows) {
    builder.comparisons().first.push_back(static_cast<System>(first));
    builder.comparisons().second.push_back(static_cast<System>(second));
    builder.comparisons().outcomes.push_back(static_cast<std::int8_t>(outcome));
  }
  return builder.finish("battles");
}

std::vector<double> elo(const ScoreTable& table, const std::vector<std::string>& parameters = {},
                        std::uint64_t seed = 0) {
  RankContext context;
  context.seed = seed;
  return rank_systems("elo", table, parameters, std::nullopt, context).scores;
}

TEST(Elo, MovesByHowSurprisingAResultIs) {
  // Equals: half of k. A gap of 400 is an expected score of 10/11.
  EXPECT_THAT(elo(battles({{0, 1, 1}}, 2)), ElementsAre(1002, 998));
  EXPECT_THAT(elo(battles({{0, 1, 0}}, 2)), ElementsAre(1000, 1000));
  EloRatings ratings(2, {.k = 800, .start = 0, .scale = 400});
  ratings.absorb({0, 1, 0.5F, 1});
  EXPECT_EQ(ratings.ratings()[0] - ratings.ratings()[1], 400);
  EXPECT_NEAR(ratings.expected(0, 1), 10.0 / 11, 1e-12);
}

TEST(Elo, FollowsTheOrderOfComparisonsUnlessShuffled) {
  const std::vector<std::array<int, 3>> rows = {{0, 1, 1}, {0, 1, 1},  {1, 2, 1},
                                                {2, 0, 1}, {0, 1, -1}, {1, 2, 0}};
  std::vector<std::array<int, 3>> reversed(rows.rbegin(), rows.rend());
  EXPECT_NE(elo(battles(rows, 3)), elo(battles(reversed, 3)));
  // By hand, the first two rows: 1002 and 998, then an expected score of 1/(1+10^(-4/400)).
  const double second = 4 * (1 - 1 / (1 + std::pow(10, -4.0 / 400)));
  EXPECT_NEAR(elo(battles({rows[0], rows[1]}, 2))[0], 1002 + second, 1e-10);
  // The mean over many orders forgets the order of the file, and keeps the sum of points.
  const std::vector<std::string> many = {"shuffles=4000"};
  const std::vector<double> forth = elo(battles(rows, 3), many, 1);
  const std::vector<double> back = elo(battles(reversed, 3), many, 2);
  EXPECT_LT(largest_difference(forth, back), 0.01);
  EXPECT_NEAR(forth[0] + forth[1] + forth[2], 3000, 1e-9);
  EXPECT_EQ(elo(battles(rows, 3), many, 1), forth);
}

TEST(Elo, IsTheSameForAnyNumberOfThreads) {
  const ScoreTable table = simulated_battles({1, 0, -1}, 500, 1);
  const EloOptions options;
  const std::vector<Contest> contests = contests_of(table, {});
  EXPECT_EQ(elo_over_orders(contests, 3, options, 9, 7, {1, Runner::sequential}).ratings,
            elo_over_orders(contests, 3, options, 9, 7, {4, Runner::std_thread}).ratings);
}

TEST(Elo, GoesThroughThePairsOfBallots) {
  // Task 0: 0 beats 1, 0 beats 2, 1 ties with 2; in this order.
  EloRatings expected(3, {});
  expected.absorb({0, 1, 1, 1});
  expected.absorb({0, 2, 1, 1});
  expected.absorb({1, 2, 1, 0});
  EXPECT_EQ(elo(table_of({{2}, {1}, {1}})), expected.ratings());
}

TEST(Elo, GivesNoRatingToWhoNeverPlayed) {
  const Ranking ranking = rank_systems("elo", battles({{0, 2, 1}}, 3));
  EXPECT_TRUE(std::isnan(ranking.scores[1]));
  EXPECT_THAT(ranking.warnings, ElementsAre(HasSubstr("never compared")));
}

TEST(NormalDistribution, EqualsBoostInBothTails) {
  const boost::math::normal normal;
  for (double x = -30; x <= 8; x += 0.0937) {
    const double below = boost::math::cdf(normal, x);
    EXPECT_NEAR(normal_below(x) / below, 1, 1e-12) << x;
    EXPECT_NEAR(inverse_mills_ratio(x) / (boost::math::pdf(normal, x) / below), 1, 1e-12) << x;
  }
  EXPECT_NEAR(inverse_mills_ratio(-1e6), 1e6, 1e-3);
  EXPECT_EQ(inverse_mills_ratio(50), 0);
}

Ranking trueskill(const ScoreTable& table, const std::vector<std::string>& parameters = {}) {
  return rank_systems("trueskill", table, parameters);
}

// The published example of two new players (25, 25/3), as every implementation gives it.
TEST(TrueSkill, RatesTwoNewPlayers) {
  const Ranking win = trueskill(battles({{0, 1, 1}}, 2));
  EXPECT_NEAR(win.scores[0], 29.396, 5e-4);
  EXPECT_NEAR(win.scores[1], 20.604, 5e-4);
  EXPECT_NEAR(win.columns.at("standard deviation")[0], 7.171, 5e-4);
  EXPECT_NEAR(win.columns.at("standard deviation")[1], 7.171, 5e-4);
  EXPECT_NEAR(win.raw[0], win.scores[0] - 3 * 7.1714757, 1e-5);
  const Ranking tie = trueskill(battles({{0, 1, 0}}, 2));
  EXPECT_NEAR(tie.scores[0], 25, 1e-12);
  EXPECT_NEAR(tie.columns.at("standard deviation")[1], 6.458, 5e-4);
}

// The updates are the first two moments of the posterior: against integration on a grid.
TEST(TrueSkill, MatchesTheMomentsOfThePosterior) {
  const boost::math::normal normal;
  const GaussianOptions options{
      .mean = 0, .deviation = 1.5, .performance = 1, .drift = 0, .draw = 0.3};
  for (const int outcome : {1, 0}) {
    GaussianRatings ratings(2, options);
    ratings.absorb({0, 1, 1, 1});  // so that the two differ
    const std::array<double, 2> mean = {ratings.means()[0], ratings.means()[1]};
    const std::array<double, 2> variance = {ratings.variances()[0], ratings.variances()[1]};
    ratings.absorb({1, 0, 1, static_cast<std::int8_t>(outcome)});
    double total = 0;
    double first = 0;
    double second = 0;
    constexpr double kStep = 0.05;
    for (double a = -8; a <= 8; a += kStep) {
      for (double b = -8; b <= 8; b += kStep) {
        const double margin = ratings.margin();
        const double ahead = (b - a) / std::sqrt(2.0);  // of the second, in performances
        const double width = margin / std::sqrt(2.0);
        const double likelihood = outcome > 0 ? boost::math::cdf(normal, ahead - width)
                                              : boost::math::cdf(normal, width - ahead) -
                                                    boost::math::cdf(normal, -width - ahead);
        const double density = std::exp(-(a - mean[0]) * (a - mean[0]) / (2 * variance[0]) -
                                        (b - mean[1]) * (b - mean[1]) / (2 * variance[1])) *
                               likelihood;
        total += density;
        first += density * b;
        second += density * b * b;
      }
    }
    EXPECT_NEAR(ratings.means()[1], first / total, 1e-6);
    EXPECT_NEAR(ratings.variances()[1], second / total - first * first / (total * total), 1e-6);
  }
}

TEST(TrueSkill, StaysFiniteAtExtremes) {
  // A favourite by far loses, and ties; without a margin for ties as well.
  for (const std::string draw : {"draw=0", "draw=0.1", "draw=0.999999"}) {
    std::vector<std::array<int, 3>> rows(400, {0, 1, 1});
    for (int i = 0; i < 50; ++i) rows.push_back({0, 1, i % 2 == 0 ? 0 : -1});
    const Ranking ranking = trueskill(battles(rows, 2), {draw, "performance=0.01"});
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(std::isfinite(ranking.scores[i])) << draw;
      EXPECT_GT(ranking.columns.at("standard deviation")[i], 0) << draw;
    }
  }
}

TEST(TrueSkill, CountsAWeightAsSoManyComparisons) {
  ScoreTable weighted = battles({{0, 1, 1}, {1, 0, 1}}, 2);
  weighted.comparisons.weights = {3, 1};
  EXPECT_EQ(trueskill(weighted).scores,
            trueskill(battles({{0, 1, 1}, {0, 1, 1}, {0, 1, 1}, {1, 0, 1}}, 2)).scores);
  weighted.comparisons.weights = {0.5F, 1};
  EXPECT_LT(trueskill(weighted).scores[0], trueskill(battles({{0, 1, 1}, {1, 0, 1}}, 2)).scores[0]);
  weighted.comparisons.weights = {1e9F, 1};
  EXPECT_THAT([&] { trueskill(weighted); },
              ThrowsMessage<InputError>(HasSubstr("expected at most 1000")));
}

}  // namespace
}  // namespace amalgam::scores
