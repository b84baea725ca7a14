#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "amalgam/scores/studies/decision_counts.hpp"
#include "amalgam/scores/studies/hypothesis_tests.hpp"

// How many of the previous answers an answer depends on (Bartlett 1951; Anderson and Goodman 1957;
// Katz 1981 for the choice by BIC).
namespace amalgam::scores {

/// Whether an answer depends on the one `order` places before, given those between: G-squared (the
/// likelihood ratio) and Pearson's statistic, both with 2^(order-1) degrees of freedom. Order 1 is
/// the test of independence.
struct OrderTest {
  std::size_t order = 1;
  TestResult g_squared;
  TestResult pearson;
  double least_expected = 0;  ///< the smallest expected count; the p of both is rough below 5
};
/// `counts`: [2^(order+1)], of patterns of order + 1 answers (SegmentCounts::count). Not defined
/// where all answers are the same.
OrderTest order_test(std::span<const std::uint64_t> counts);
/// `order`: 1 to 6.
OrderTest order_test(const DecisionCounts& counts, std::size_t order);

/// P(next | context) of a chain of order 1.
struct TransitionMatrix {
  std::uint64_t counts[2][2] = {};  ///< [from][to]
  /// NaN if `from` never occurred.
  double chance(std::size_t from, std::size_t to) const;
};
TransitionMatrix transition_matrix(const DecisionCounts& counts);

/// The order whose BIC = -2 ln L + 2^order ln N is least, of orders 0 to the highest for which
/// there are 8 answers per context, 4 at most. All are judged on the same answers, those with as
/// many answers before them as the highest order needs.
struct OrderChoice {
  std::size_t order = 0;
  std::vector<double> bic;      ///< of orders 0, 1, ...; empty if there are too few answers
  std::uint64_t positions = 0;  ///< N
};
OrderChoice choose_order(const DecisionCounts& counts);

/// Whether two groups have the same transition matrix: G-squared of separate against pooled ones, 2
/// degrees of freedom (fewer where a group never was in a state).
TestResult same_transitions_test(const TransitionMatrix& first, const TransitionMatrix& second);

}  // namespace amalgam::scores
