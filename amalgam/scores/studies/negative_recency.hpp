#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"
#include "amalgam/scores/studies/randomness_tests.hpp"

namespace amalgam::scores {

/// The share of switches of people who are asked for random sequences (Falk and Konold 1997).
inline constexpr double kHumanSwitchRate = 0.6;

/// How often independent answers of which a share `yes` is yes switch: 2 p (1 - p).
double independent_switch_rate(double yes);

/// The autocorrelation of neighbouring answers that switch so often: 1 - s / (2 p (1 - p)). NaN for
/// p = 0 or 1.
double autocorrelation(double switch_rate, double yes);

/// Whether a source avoids repeating itself, as people do who want to look random.
struct NegativeRecency {
  std::uint64_t transitions = 0;
  double switch_rate = 0;
  double independent_rate = 0;  ///< what its own share of yes would give, not 1/2
  double lag1 = 0;              ///< autocorrelation; negative for answers that alternate
  Interval lag1_interval;       ///< 95 %, for independent answers: 1.96 / sqrt(transitions)
  RunsTest runs;
  TestResult exact_runs;
  /// P(the same again) after exactly 1 to 5 equal answers, of no [0] and yes [1].
  std::array<std::array<Proportion, 5>, 2> repeats = {};
  TestResult trend;     ///< of these over the length of the run, both answers being strata
  TestResult vs_human;  ///< of the switch rate against `human_rate`; the statistic is z
};
/// All but the counts is NaN or not defined without transitions or variation.
NegativeRecency negative_recency(const DecisionCounts& counts,
                                 double human_rate = kHumanSwitchRate);

/// The autocorrelation of answers 1 to 6 apart, pooled over segments.
std::array<double, kHighestOrder> autocorrelations(const DecisionCounts& counts);

/// As how many independent answers n answers of one series count when they are averaged or voted
/// with: n / (1 + 2 sum (1 - l/n) r_l) over the lags l = 1, 2, ... of `autocorrelations` (those
/// beyond are 0), within [1, 10 n]. NaN if one is NaN.
double effective_votes(std::uint64_t n, std::span<const double> autocorrelations);

}  // namespace amalgam::scores
