#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/statistics.hpp"
#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/decision_files.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"
#include "amalgam/scores/studies/markov_order.hpp"
#include "amalgam/scores/studies/negative_recency.hpp"
#include "amalgam/scores/studies/order_permutation.hpp"
#include "amalgam/scores/studies/temperature_response.hpp"

// Decision bias of a source of yes-or-no answers (Vidler and Walsh, "Evaluating Binary Decision
// Biases in Large Language Models", 2025).
namespace amalgam::scores {

enum class Verdict { yes, no, undecided };
std::string_view verdict_name(Verdict verdict);

struct DecisionOptions {
  double level = 0.05;  ///< of significance, after Holm's correction over the whole report
  /// How far from 1/2 a share of yes may be (and a switch rate from what independent answers give)
  /// and still be called good enough; without it, few answers would make every source look fair.
  double margin = 0.1;
  double human_rate = kHumanSwitchRate;
  /// Of the tests of order 2 and 3 where there are too few answers for chi-squared (an expected
  /// count below 5, or fewer than 40 in all). 0: such tests are rough.
  PermutationOptions permutation;
};

/// A test of a report, with its p-value adjusted for all tests of the report.
struct NamedTest {
  std::string name;
  TestResult test;
  /// The approximation does not hold (an expected count below 5) and there are too many answers, or
  /// no wish, for permutations: not corrected for, nor judged by.
  bool rough = false;
  double adjusted_p = 1;  ///< NaN where not defined or rough

  bool rejects(double level) const { return adjusted_p < level; }
};

/// How far the share of yes of a group is from 1/2.
struct Uniformity {
  Proportion yes;
  Interval interval;           ///< Wilson's, 95 %
  double z = 0;                ///< (k - n/2) / sqrt(n/4); its square is chi-squared
  double total_variation = 0;  ///< |share - 1/2|
  double entropy = 0;          ///< bits; 1 - entropy is the divergence from uniform
};
Uniformity uniformity(const Proportion& yes);

/// What was found of one group.
struct DecisionFindings {
  std::string name;
  std::optional<double> temperature;
  DecisionCounts counts;
  std::uint64_t missing = 0;        ///< of the invalid answers
  std::uint64_t short_series = 0;   ///< fewer answers than were asked for
  std::uint64_t asking_series = 0;  ///< that say how many were asked for
  Uniformity share;
  Proportion first_answers;  ///< of every series whose first answer is valid
  TransitionMatrix transitions;
  OrderChoice order;
  NegativeRecency recency;
  std::vector<double> autocorrelations;  ///< of lags 1, 2, ... with at least 30 pairs
  std::uint64_t votes = 0;               ///< answers of one series on average, rounded
  double effective_votes = 0;            ///< as how many independent ones these count
  std::vector<NamedTest> tests;
  Verdict uniform = Verdict::undecided;
  Verdict memoryless = Verdict::undecided;
  Verdict negative_recency = Verdict::undecided;
  std::vector<std::string> notes;

  /// The test of this name; null if it was not made.
  const NamedTest* find(std::string_view test) const;
};

/// Two groups, or all of them.
struct DecisionComparison {
  std::vector<std::string> groups;
  std::vector<NamedTest> tests;
};

/// The response of a setting to temperature, over its groups.
struct TemperatureFinding {
  std::string setting;
  std::vector<TemperaturePoint> points;
  TemperatureFit fit;
  NamedTest offset;  ///< whether it is other than that of a softmax
  NamedTest misfit;  ///< of logit = slope / T
};

struct DecisionReport {
  std::vector<DecisionFindings> groups;
  std::vector<DecisionComparison> comparisons;
  std::vector<TemperatureFinding> temperatures;
  std::size_t tests = 0;  ///< that were corrected for
  std::vector<std::string> warnings;
};

/// Counts a group's series.
DecisionCounts count_decisions(const DecisionGroup& group);

/// Analyses answers: each group by itself, all pairs of up to 6 groups by their shares (Fisher's
/// exact test; the statistic is z) and transitions (of more, each with the first), and the
/// temperature response of settings with two or more temperatures above 0. `corpus`: a share of yes
/// to compare each group with, such as corpus_frequency(). InputError for options that are not
/// possible and as DecisionCounts::add_series.
DecisionReport study_decisions(const DecisionData& data, const DecisionOptions& options = {},
                               const std::optional<Proportion>& corpus = std::nullopt);

}  // namespace amalgam::scores
