#include "amalgam/core/rank_correlation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/random.hpp"

namespace amalgam {
namespace {

using Scores = std::vector<double>;

// Scores with few different values, so that all kinds of ties come up.
Scores random_scores(std::size_t count, std::uint64_t distinct, RandomStream& random) {
  Scores scores(count);
  for (double& score : scores) score = static_cast<double>(random.below(distinct)) - 3;
  return scores;
}

KendallCounts counts_pair_by_pair(const Scores& x, const Scores& y) {
  KendallCounts counts;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool tied_x = x[i] == x[j];
      const bool tied_y = y[i] == y[j];
      if (tied_x && tied_y) {
        ++counts.tied_in_both;
      } else if (tied_x) {
        ++counts.tied_in_first;
      } else if (tied_y) {
        ++counts.tied_in_second;
      } else if ((x[i] < x[j]) == (y[i] < y[j])) {
        ++counts.concordant;
      } else {
        ++counts.discordant;
      }
    }
  }
  return counts;
}

TEST(AverageRanks, TiedValuesShareTheMeanOfTheirPlaces) {
  EXPECT_EQ(average_ranks(Scores{30, 10, 20, 10}), (Scores{4, 1.5, 3, 1.5}));
  EXPECT_EQ(average_ranks(Scores{5, 5, 5}), (Scores{2, 2, 2}));
  EXPECT_EQ(average_ranks(Scores{0.0, -0.0, -INFINITY, INFINITY}), (Scores{2.5, 2.5, 1, 4}));
  EXPECT_TRUE(average_ranks(Scores{}).empty());
}

TEST(KendallCounts, EqualACountPairByPair) {
  RandomStream random(1, "kendall test");
  for (std::size_t n = 0; n < 120; ++n) {
    for (const std::uint64_t distinct : {1, 3, 20, 1000}) {
      const Scores x = random_scores(n, distinct, random);
      const Scores y = random_scores(n, n % 2 == 0 ? distinct : 7, random);
      const KendallCounts found = kendall_counts(x, y);
      const KendallCounts expected = counts_pair_by_pair(x, y);
      EXPECT_EQ(found.concordant, expected.concordant) << n;
      EXPECT_EQ(found.discordant, expected.discordant) << n;
      EXPECT_EQ(found.tied_in_first, expected.tied_in_first) << n;
      EXPECT_EQ(found.tied_in_second, expected.tied_in_second) << n;
      EXPECT_EQ(found.tied_in_both, expected.tied_in_both) << n;
      EXPECT_EQ(found.pairs(), n < 2 ? 0 : n * (n - 1) / 2);
    }
  }
}

// 100,000 items in reversed orders: 100,000 * 99,999 / 2 discordant pairs.
TEST(KendallCounts, CountsMorePairsThan32BitsHold) {
  Scores x(100'000);
  Scores y(100'000);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<double>(i * 7 % x.size());
    y[i] = -x[i];
  }
  EXPECT_EQ(kendall_counts(x, y).discordant, 4'999'950'000U);
  EXPECT_EQ(kendall_tau_b(x, y), -1.0);
}

// (1,2,3,4) and (1,3,2,4): one of six pairs is discordant, (5 - 1) / 6.
TEST(KendallTau, WorkedByHandWithoutTies) {
  EXPECT_DOUBLE_EQ(kendall_tau_b(Scores{1, 2, 3, 4}, Scores{1, 3, 2, 4}), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(kendall_tau_a(Scores{1, 2, 3, 4}, Scores{1, 3, 2, 4}), 2.0 / 3.0);
  EXPECT_EQ(kendall_distance(Scores{1, 2, 3, 4}, Scores{1, 3, 2, 4}), 1.0);
}

// (1,1,2,3) and (1,2,2,3): one pair tied in each, four concordant; 4 / 6 and 4 / sqrt(5 * 5).
TEST(KendallTau, WorkedByHandWithTies) {
  EXPECT_DOUBLE_EQ(kendall_tau_a(Scores{1, 1, 2, 3}, Scores{1, 2, 2, 3}), 4.0 / 6.0);
  EXPECT_DOUBLE_EQ(kendall_tau_b(Scores{1, 1, 2, 3}, Scores{1, 2, 2, 3}), 0.8);
  EXPECT_EQ(kendall_distance(Scores{1, 1, 2, 3}, Scores{1, 2, 2, 3}), 1.0);
  // (1,1,2) and (3,2,1): a pair tied in the first only, two discordant; -2 / sqrt(2 * 3).
  EXPECT_DOUBLE_EQ(kendall_tau_b(Scores{1, 1, 2}, Scores{3, 2, 1}), -2 / std::sqrt(6.0));
  EXPECT_EQ(kendall_distance(Scores{1, 1, 2}, Scores{3, 2, 1}), 2.5);
}

TEST(KendallTau, IsExactlyOneForEqualOrdersWithTiesAndMinusOneForReversedOnes) {
  RandomStream random(2, "kendall test");
  const Scores x = random_scores(1000, 50, random);
  Scores transformed(x.size());
  Scores reversed(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    transformed[i] = std::exp(x[i]);
    reversed[i] = 7 - x[i];
  }
  EXPECT_EQ(kendall_tau_b(x, transformed), 1.0);
  EXPECT_EQ(kendall_tau_b(x, reversed), -1.0);
  EXPECT_EQ(kendall_distance(x, transformed), 0.0);
  EXPECT_EQ(spearman(x, transformed), 1.0);
  EXPECT_EQ(spearman(x, reversed), -1.0);
  EXPECT_DOUBLE_EQ(rank_biased_overlap(x, transformed), 1.0);
}

TEST(KendallTau, TakesZerosAsEqualAndInfinitiesAsTheEnds) {
  EXPECT_EQ(kendall_tau_b(Scores{-INFINITY, -1e-300, -0.0, 0.0, 5e-324, INFINITY},
                          Scores{1, 2, 3, 3, 4, 5}),
            1.0);
  EXPECT_EQ(kendall_counts(Scores{-2, -1, -0.0, 0.0}, Scores{4, 3, 2, 1}).discordant, 5U);
}

TEST(KendallTau, IsNotANumberWhereItIsNotDefined) {
  EXPECT_TRUE(std::isnan(kendall_tau_b(Scores{1, 1, 1}, Scores{1, 2, 3})));
  EXPECT_TRUE(std::isnan(kendall_tau_b(Scores{1}, Scores{1})));
  EXPECT_TRUE(std::isnan(kendall_tau_a(Scores{}, Scores{})));
  EXPECT_EQ(kendall_tau_a(Scores{1, 1, 1}, Scores{1, 2, 3}), 0.0);
}

// Squared differences of ranks 1 + 1 + 1 + 1: 1 - 6 * 4 / (5 * 24).
TEST(Spearman, WorkedByHand) {
  EXPECT_DOUBLE_EQ(spearman(Scores{1, 2, 3, 4, 5}, Scores{2, 1, 4, 3, 5}), 0.8);
  // Ranks (1.5, 1.5, 3) and (3, 2, 1) around 2: -1.5 / sqrt(1.5 * 2).
  EXPECT_DOUBLE_EQ(spearman(Scores{1, 1, 2}, Scores{3, 2, 1}), -1.5 / std::sqrt(3.0));
  EXPECT_TRUE(std::isnan(spearman(Scores{4, 4}, Scores{1, 2})));
  EXPECT_TRUE(std::isnan(spearman(Scores{4}, Scores{1})));
}

// Best to worst: a b c d e and b a d c e.
TEST(TopOverlap, IsTheShareOfCommonItemsWithoutTies) {
  const Scores x = {5, 4, 3, 2, 1};
  const Scores y = {4, 5, 2, 3, 1};
  EXPECT_EQ(top_overlap(x, y, 1), 0.0);
  EXPECT_EQ(top_overlap(x, y, 2), 1.0);
  EXPECT_DOUBLE_EQ(top_overlap(x, y, 3), 2.0 / 3.0);
  EXPECT_EQ(top_overlap(x, y, 5), 1.0);
}

TEST(TopOverlap, TakesAllItemsThatAreTiedAtTheBorder) {
  // The best one of x, and three tied ones of y: 2 * 1 / (1 + 3).
  EXPECT_DOUBLE_EQ(top_overlap(Scores{3, 2, 1, 0}, Scores{1, 1, 1, 0}, 1), 0.5);
  EXPECT_EQ(top_overlap(Scores{1, 1, 1, 0}, Scores{2, 2, 2, 0}, 2), 1.0);
}

// Agreements 0, 1, 2/3, 1, 1 at depths 1 to 5, and 1 beyond.
TEST(RankBiasedOverlap, WorkedByHand) {
  const double p = 0.5;
  const double expected =
      0.5 * (0 + 1 * 0.5 + 2.0 / 3.0 * 0.25 + 1 * 0.125 + 1 * 0.0625) + 1 * 0.03125;
  EXPECT_DOUBLE_EQ(rank_biased_overlap(Scores{5, 4, 3, 2, 1}, Scores{4, 5, 2, 3, 1}, p), expected);
  // Two items the other way round: nothing at depth 1, all from there on.
  EXPECT_DOUBLE_EQ(rank_biased_overlap(Scores{1, 2}, Scores{2, 1}, 0.9), 0.9);
}

// At depth 1 one item of x and both tied ones of y: 2 / 3; from depth 2 on all.
TEST(RankBiasedOverlap, WorkedByHandWithTies) {
  EXPECT_DOUBLE_EQ(rank_biased_overlap(Scores{2, 1}, Scores{1, 1}, 0.8), 0.2 * 2 / 3 + 0.8);
}

TEST(RankBiasedOverlap, WeighsTheTopMore) {
  Scores x(20);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = -static_cast<double>(i);
  Scores top = x;
  std::swap(top[0], top[1]);
  Scores bottom = x;
  std::swap(bottom[18], bottom[19]);
  EXPECT_EQ(kendall_tau_b(x, top), kendall_tau_b(x, bottom));
  EXPECT_LT(rank_biased_overlap(x, top), rank_biased_overlap(x, bottom) - 0.05);
}

TEST(RankCorrelation, RefusesWhatIsNoOrder) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(average_ranks(Scores{1, nan}), InputError);
  EXPECT_THROW(kendall_tau_a(Scores{1, nan}, Scores{1, 2}), InputError);
  EXPECT_THROW(kendall_tau_b(Scores{1, 2}, Scores{1, nan}), InputError);
  EXPECT_THROW(spearman(Scores{1, nan}, Scores{1, 2}), InputError);
  EXPECT_THROW(top_overlap(Scores{1, nan}, Scores{1, 2}, 1), InputError);
  EXPECT_THROW(rank_biased_overlap(Scores{1, nan}, Scores{1, 2}), InputError);
  EXPECT_THROW(kendall_tau_b(Scores{1, 2}, Scores{1}), InputError);
  EXPECT_THROW(top_overlap(Scores{1, 2}, Scores{1, 2}, 0), InputError);
  EXPECT_THROW(top_overlap(Scores{1, 2}, Scores{1, 2}, 3), InputError);
  EXPECT_THROW(rank_biased_overlap(Scores{1, 2}, Scores{1, 2}, 1), InputError);
  EXPECT_THROW(rank_biased_overlap(Scores{}, Scores{}), InputError);
}

}  // namespace
}  // namespace amalgam
