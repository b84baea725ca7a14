#include "amalgam/core/distributions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace amalgam {
namespace {

constexpr int kDraws = 20'000;

TEST(GammaDraw, HasTheMomentsOfItsDistribution) {
  // Mean and variance of Gamma(a, 1) are both a.
  for (const double shape : {0.3, 1.0, 4.5}) {
    RandomStream random(1, "gamma");
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double draw = std::exp(log_gamma_draw(shape, random));
      sum += draw;
      squares += draw * draw;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, shape, 6 * std::sqrt(shape / kDraws));
    EXPECT_NEAR(squares / kDraws - mean * mean, shape, 0.1 * shape + 0.02);
  }
}

TEST(BetaDraw, HasTheMomentsOfItsDistribution) {
  // Mean 1/2, variance 1 / (4 (2 a + 1)).
  for (const double a : {0.01, 0.2, 1.0, 20.0}) {
    RandomStream random(2, "beta");
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double draw = beta_draw(a, random);
      ASSERT_GE(draw, 0);
      ASSERT_LE(draw, 1);
      sum += draw - 0.5;
      squares += (draw - 0.5) * (draw - 0.5);
    }
    EXPECT_NEAR(sum / kDraws, 0, 0.02);
    EXPECT_NEAR(squares / kDraws, 1 / (4 * (2 * a + 1)), 0.01);
  }
}

TEST(DirichletDraw, IsSharesOfOneWhateverAlpha) {
  for (const double alpha : {1e-12, 1e-3, 1.0, 1e8}) {
    RandomStream random(3, "dirichlet");
    const std::vector<double> shares = dirichlet_draw(alpha, 7, random);
    ASSERT_EQ(shares.size(), 7U);
    EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-12);
    for (const double share : shares) EXPECT_GE(share, 0);
    if (alpha < 1e-6) EXPECT_NEAR(*std::max_element(shares.begin(), shares.end()), 1, 1e-9);
    if (alpha > 1e6) EXPECT_NEAR(shares[0], 1.0 / 7, 1e-3);
  }
}

TEST(BinomialDraw, HasTheProbabilitiesOfItsDistribution) {
  // A chi-squared statistic of k values with expectations >= 5 has mean k - 1 and variance
  // 2 (k - 1): both ways of drawing, and probabilities above 1/2.
  struct Case {
    std::uint64_t trials;
    double probability;
  };
  for (const auto& [trials, probability] :
       {Case{7, 0.3}, Case{1'000, 0.004}, Case{30, 0.4}, Case{200, 0.9}, Case{100'000, 0.0006}}) {
    RandomStream random(4, "binomial");
    std::vector<double> seen(trials + 1);
    for (int i = 0; i < kDraws; ++i) seen.at(binomial_draw(trials, probability, random)) += 1;
    double statistic = 0;
    double cells = 0;
    const auto n = static_cast<double>(trials);
    for (std::size_t k = 0; k <= trials; ++k) {
      const auto successes = static_cast<double>(k);
      const double expected =
          kDraws * std::exp(std::lgamma(n + 1) - std::lgamma(successes + 1) -
                            std::lgamma(n - successes + 1) + successes * std::log(probability) +
                            (n - successes) * std::log1p(-probability));
      if (expected < 5) continue;
      statistic += (seen[k] - expected) * (seen[k] - expected) / expected;
      ++cells;
    }
    EXPECT_GT(cells, 4);
    EXPECT_LT(statistic, cells + 5 * std::sqrt(2 * cells)) << trials << ' ' << probability;
  }
}

TEST(BinomialDraw, TakesAsLongForManyTrialsAndKnowsItsEnds) {
  RandomStream random(5, "binomial");
  EXPECT_EQ(binomial_draw(0, 0.5, random), 0U);
  EXPECT_EQ(binomial_draw(9, 0, random), 0U);
  EXPECT_EQ(binomial_draw(9, 1, random), 9U);
  const std::uint64_t trials = 1'000'000'000'000;
  const double deviation = std::sqrt(0.25 * static_cast<double>(trials));
  for (int i = 0; i < 100; ++i) {
    const auto draw = static_cast<double>(binomial_draw(trials, 0.5, random));
    EXPECT_NEAR(draw, 0.5 * static_cast<double>(trials), 6 * deviation);
  }
}

}  // namespace
}  // namespace amalgam
