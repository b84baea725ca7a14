#include "amalgam/scores/uncertainty/resampled_pairs.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "tests/rankings/votes.hpp"
#include "tests/scores/simulated_scores.hpp"

namespace amalgam::scores {
namespace {

double total_votes(const PairTable& pairs) {
  double total = 0;
  for (std::size_t i = 0; i < pairs.systems; ++i) {
    for (std::size_t j = i + 1; j < pairs.systems; ++j) total += pairs.votes(i, j);
  }
  return total;
}

ScoreTable battles_with_ties() {
  ScoreTable table = simulated_battles({0.7, 0, -0.3}, 600, 1);
  for (std::size_t row = 0; row < table.comparisons.size(); row += 5) {
    table.comparisons.outcomes[row] = 0;
  }
  return table;
}

TEST(PairResampler, DrawsAsManyComparisonsAsThereAre) {
  const ScoreTable table = battles_with_ties();
  const PairResampler resampler(table);
  for (std::size_t replicate = 0; replicate < 20; ++replicate) {
    EXPECT_EQ(total_votes(resampler.resample(1, replicate)), 600);
  }
}

// Of n comparisons, a cell with the share p has n p in the mean and n p (1 - p) in variance, and
// two cells covary by -n p q.
TEST(PairResampler, HasTheMomentsOfDrawingWithReplacement) {
  const ScoreTable table = battles_with_ties();
  const PairTable all = count_pairs(table, Missing::observed);
  const PairResampler resampler(table);
  constexpr std::size_t kReplicates = 4'000;
  double win = 0;
  double win_squares = 0;
  double tie = 0;
  double products = 0;
  for (std::size_t replicate = 0; replicate < kReplicates; ++replicate) {
    const PairTable pairs = resampler.resample(2, replicate);
    win += pairs.win(0, 1) / kReplicates;
    win_squares += pairs.win(0, 1) * pairs.win(0, 1) / kReplicates;
    tie += pairs.tie(1, 2) / kReplicates;
    products += pairs.win(0, 1) * pairs.tie(2, 1) / kReplicates;
  }
  const double p = all.win(0, 1) / 600;
  const double q = all.tie(1, 2) / 600;
  const double deviation = std::sqrt(600 * p * (1 - p));
  EXPECT_NEAR(win, 600 * p, 4 * deviation / std::sqrt(kReplicates));
  EXPECT_NEAR((win_squares - win * win) / (600 * p * (1 - p)), 1, 0.1);
  EXPECT_NEAR(tie, 600 * q, 4 * std::sqrt(600 * q / kReplicates));
  EXPECT_NEAR(products - win * tie, -600 * p * q, 4 * deviation * std::sqrt(600 * q / kReplicates));
}

TEST(PairResampler, KeepsWeightsApart) {
  // Weight 2 for the wins of 0, 1 for others: no resample has a half of the sum by accident.
  ScoreTable table = battles_with_ties();
  for (std::size_t row = 0; row < 600; ++row) {
    table.comparisons.weights.push_back(row % 3 == 0 ? 1000.0F : 1.0F);
  }
  const PairTable pairs = PairResampler(table).resample(3, 0);
  // Sums of at most 600 thousands and ones have few ones.
  double thousands = 0;
  double ones = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = i + 1; j < 3; ++j) {
      for (const double votes : {pairs.win(i, j), pairs.win(j, i), pairs.tie(i, j)}) {
        thousands += std::floor(votes / 1000);
        ones += std::fmod(votes, 1000.0);
      }
    }
  }
  EXPECT_EQ(thousands + ones, 600);
  EXPECT_NEAR(thousands, 200, 5 * std::sqrt(600 * 2.0 / 9));
}

TEST(PairResampler, IsAFunctionOfSeedAndReplicate) {
  const ScoreTable table = battles_with_ties();
  const PairResampler one(table);
  const PairResampler other(table);
  EXPECT_EQ(one.resample(1, 7).wins, other.resample(1, 7).wins);
  EXPECT_NE(one.resample(1, 7).wins, one.resample(1, 8).wins);
  EXPECT_NE(one.resample(1, 7).wins, one.resample(2, 7).wins);
}

TEST(PairResampler, DrawsClustersWhole) {
  ScoreTable table = battles_with_ties();
  for (std::uint32_t row = 0; row < 600; ++row) {
    table.comparisons.clusters.push_back(row / 6 * 3);  // numbers with gaps
  }
  const ResampleCounts drawn = draw_resample(table, ResampleUnit::instances, 4, 0);
  std::map<std::uint32_t, double> counts;
  for (std::size_t row = 0; row < 600; ++row) {
    const auto [place, fresh] =
        counts.emplace(table.comparisons.clusters[row], drawn.comparisons[row]);
    if (!fresh) EXPECT_EQ(place->second, drawn.comparisons[row]);
  }
  double total = 0;
  for (const auto& [cluster, count] : counts) total += count;
  EXPECT_EQ(total, 100);
  EXPECT_EQ(PairResampler(table).resample(4, 0).wins,
            count_pairs(table, Missing::observed, drawn.factors()).wins);
}

TEST(PairResampler, DrawsBallotsWithinTheirTaskOrWholeTasks) {
  const ScoreTable table = simulated_answers({0.4, 0.6}, 3, 20, 1);
  const ResampleCounts instances = draw_resample(table, ResampleUnit::instances, 1, 0);
  ASSERT_EQ(instances.ballots.size(), 60U);
  for (std::size_t task = 0; task < 3; ++task) {
    const auto begin = instances.ballots.begin() + static_cast<std::ptrdiff_t>(task * 20);
    EXPECT_EQ(std::accumulate(begin, begin + 20, 0.0), 20);
  }
  EXPECT_TRUE(instances.tasks.empty());
  const ResampleCounts tasks = draw_resample(table, ResampleUnit::tasks, 1, 0);
  EXPECT_TRUE(tasks.ballots.empty());
  EXPECT_EQ(std::accumulate(tasks.tasks.begin(), tasks.tasks.end(), 0.0), 3);
  EXPECT_EQ(
      total_votes(PairResampler(table, Missing::observed, ResampleUnit::tasks).resample(1, 0)), 60);
}

}  // namespace
}  // namespace amalgam::scores
