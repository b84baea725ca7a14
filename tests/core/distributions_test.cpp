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

}  // namespace
}  // namespace amalgam
