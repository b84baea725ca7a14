#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "amalgam/core/statistics.hpp"

namespace amalgam::scores {

/// What two systems did on the same things: the difference (first - second, higher is better) on
/// each that both were measured on.
struct PairedSample {
  std::vector<double> differences;
  /// [differences]: the task of each. The difference of the systems is the mean over tasks of the
  /// means of each task.
  std::vector<std::uint32_t> tasks;
  /// [differences]: what belongs together (questions on one text, votes of one person); empty: each
  /// stands alone.
  std::vector<std::uint32_t> clusters;

  std::size_t size() const { return differences.size(); }
};

enum class PairedTest {
  mcnemar,      ///< exact, of right or wrong answers: as the sign test
  mcnemar_chi,  ///< by chi-squared with continuity correction (Edwards 1948)
  sign,         ///< exact, of wins and losses; ties do not count
  mean,         ///< Student's t of the mean difference, by clusters where there are some
  bootstrap,    ///< of the mean difference, of clusters where there are some
};
std::string_view paired_test_name(PairedTest test);
/// InputError listing the names otherwise.
PairedTest paired_test_of_name(std::string_view name);

/// McNemar's exact test of `wins` and `losses` (discordant pairs): the p-value, 1 without any.
double mcnemar_exact(std::uint64_t wins, std::uint64_t losses);
/// (|wins - losses| - 1)^2 / (wins + losses), chi-squared with one degree of freedom.
struct ChiSquared {
  double statistic = 0;
  double p = 1;
};
ChiSquared mcnemar_chi_squared(std::uint64_t wins, std::uint64_t losses);

/// The mean over tasks of the means of differences, and its standard error: differences within a
/// cluster may depend on each other in any way (Liang and Zeger 1986; Miller 2024, "Adding error
/// bars to evals", section 3). If some task has a single difference, tasks are what was drawn at
/// random: the error is that of the mean of the tasks' means.
struct ClusteredMean {
  double mean = 0;
  double error = 0;       ///< NaN for fewer than two units
  double degrees = 0;     ///< of freedom: clusters - tasks, at least 1
  std::size_t units = 0;  ///< clusters, differences that stand alone, or tasks
};
ClusteredMean clustered_mean(const PairedSample& sample);

struct PairedTestOptions {
  PairedTest test = PairedTest::mean;
  double confidence = 0.95;      ///< of the interval; 1 - confidence is the level of power
  double power = 0.8;            ///< for the effect that could be seen, in (0, 1)
  std::size_t resamples = 2000;  ///< of the bootstrap
  std::uint64_t seed = 0;
};

/// The comparison of two systems.
struct PairedResult {
  std::size_t pairs = 0;   ///< differences
  std::size_t units = 0;   ///< as in ClusteredMean
  std::uint64_t wins = 0;  ///< of the first system
  std::uint64_t losses = 0;
  std::uint64_t ties = 0;
  /// Of the means, or, by the sign test, (wins - losses) / pairs; NaN without any.
  double difference = 0;
  /// By Student's t, the bootstrap's percentiles, or, of tests of signs, by Bonett and Price 2012,
  /// "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
  /// data".
  Interval interval = {};
  double p = 1;  ///< two-sided; NaN where the test cannot be made (fewer than two units)
  /// The smallest difference that a test like this one sees with the asked power, and the number of
  /// pairs with which it would see the difference that was found; NaN or infinite where there is
  /// none.
  double detectable = 0;
  double pairs_needed = 0;
};

/// Tests whether the systems differ. The bootstrap draws differences of each task for itself (with
/// clusters: clusters), from the stream "paired bootstrap" of the seed; its p-value is the share of
/// resamples whose mean is at least as far from the sample's as that is from 0, with one added.
/// InputError for a confidence or power outside (0, 1), or no resamples.
PairedResult compare_pair(const PairedSample& sample, const PairedTestOptions& options);

}  // namespace amalgam::scores
