#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"

// Tests of sequences of two symbols against fair and independent ones, in the forms of NIST SP
// 800-22 (2010), and the runs test of Wald and Wolfowitz (1940).
namespace amalgam::scores {

/// (2^m / n) * sum of squared counts - n, of the counts [2^m] of all patterns of m answers in a
/// sequence of n whose end is joined to its beginning; 0 for m = 0.
double psi_squared(std::span<const std::uint64_t> cyclic_counts);

/// Approximate entropy, of the cyclic counts of m and m + 1 answers.
struct ApproximateEntropy {
  double entropy = 0;    ///< nats; ln 2 at most
  double statistic = 0;  ///< 2 n (ln 2 - entropy), chi-squared with 2^m degrees of freedom
};
ApproximateEntropy approximate_entropy(std::span<const std::uint64_t> cyclic_counts,
                                       std::span<const std::uint64_t> longer_cyclic_counts);

/// The first and second difference of psi-squared at m = 2 or more answers, with 2^(m-1) and
/// 2^(m-2) degrees of freedom per sequence.
struct SerialTest {
  TestResult first;
  TestResult second;
};
SerialTest serial_test(double psi, double psi_of_one_less, double psi_of_two_less, std::size_t m,
                       std::size_t sequences = 1);

/// How often answers stand in a row, within segments, and how often they would if they were
/// independent with the share of yes among them.
struct PatternCount {
  std::string pattern;  ///< "011": no, yes, yes
  std::uint64_t count = 0;
  double expected = 0;
};
/// All patterns of two and of three answers; none of a group without answers in a row.
std::vector<PatternCount> pattern_table(const DecisionCounts& counts);

/// NIST's frequency test: the statistic is z.
TestResult frequency_test(const Proportion& found);

/// NIST's runs test of one sequence; not defined if the share of yes is farther than 2 / sqrt(n)
/// from 1/2, where it would measure that alone. The statistic is the number of runs.
TestResult nist_runs_test(const SegmentTally& sequence);

/// The runs test of Wald and Wolfowitz: whether there are as many runs as in a random order of each
/// segment's own answers, summed over segments. So a bias is no evidence of dependence. The
/// statistic is z, positive for more runs (answers that alternate).
struct RunsTest {
  double runs = 0;
  double expected = 0;
  double variance = 0;
  TestResult result;
};
RunsTest runs_test(std::span<const SegmentTally> segments);

/// The same exactly, by the distribution of the number of switches over all orders of each
/// segment's answers (Stevens 1939); two-sided. Of sequences so long that it would take more than
/// about 10^8 steps the approximation, with `exact` false.
TestResult exact_runs_test(std::span<const SegmentTally> segments);

/// P(the longest run of equal answers is at least `length` >= 1) in `size` fair, independent
/// answers: exactly, in O(size).
double longest_run_tail(std::uint64_t size, std::uint64_t length);

/// The exact test that the longest run of any segment is no longer than among fair, independent
/// answers. The statistic is the longest run.
TestResult longest_run_test(std::span<const SegmentTally> segments);

}  // namespace amalgam::scores
