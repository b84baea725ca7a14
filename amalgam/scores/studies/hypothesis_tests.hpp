#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace amalgam::scores {

/// What a test found: small p speaks against its hypothesis. All are NaN where the test is not
/// defined, such as for data without any variation.
struct TestResult {
  double statistic = 0;
  double degrees = 0;  ///< of freedom, of a chi-squared statistic; 0: not one
  double p = 1;
  bool exact = false;  ///< p is not an approximation for large counts

  bool defined() const { return p == p; }
};
/// A test that cannot be made.
TestResult undefined_test();

/// Successes among trials.
struct Proportion {
  std::uint64_t successes = 0;
  std::uint64_t trials = 0;

  double share() const { return static_cast<double>(successes) / static_cast<double>(trials); }
};

/// The test of equal chances by the pooled estimate; the statistic is z. Not defined if all trials
/// of both came out the same.
TestResult two_proportion_test(const Proportion& first, const Proportion& second);

/// Fisher's exact test of equal chances, two-sided: the sum of the probabilities of all tables with
/// the same margins that are no more probable than this one.
double fisher_exact_test(const Proportion& first, const Proportion& second);

/// Pearson's chi-squared test that several groups have one chance; groups - 1 degrees of freedom.
/// Also the test of spread across series beyond the binomial. Groups without trials do not count.
TestResult homogeneity_test(std::span<const Proportion> groups);

/// The test of a linear trend of chances over the scores 1, 2, ... (Cochran 1954, Armitage 1955),
/// summed over strata that may differ in chance; the statistic is z, positive for a rise.
/// `strata`: [strata, scores].
TestResult trend_test(std::span<const Proportion> strata, std::size_t scores);

}  // namespace amalgam::scores
