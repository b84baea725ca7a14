#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

struct NextOptions {
  /// What can be bought, one at a time.
  enum class Unit {
    pairs,  ///< a comparison of two systems, or a new instance on which both are measured
    cells,  ///< a value of a system on an instance that others have and it lacks
  };

  Unit unit = Unit::pairs;
  std::size_t budget = 1000;  ///< measurements to hand out
  std::size_t rounds = 50;    ///< shares of the budget that are decided on one after the other
  double confidence = 0.95;   ///< neighbours that are told apart at it need no more measurements
  /// Comparisons that every pair is taken to have had, half of them won by each, so that what was
  /// never compared is very uncertain, but not infinitely.
  double prior = 0.1;
};

/// Something to measure. Of pairs: `first` and `second`; of cells: `first` and `task`.
struct NextMeasurement {
  System first = 0;
  System second = 0;
  Task task = 0;
  std::size_t count = 0;     ///< of the budget
  std::size_t possible = 0;  ///< of cells: how many there are to measure
  std::size_t measured = 0;  ///< how many there are already
  /// By how much the first such measurement alone reduces the sum over open neighbours of the
  /// variance of their difference (in log-odds).
  double gain = 0;
};

/// How sure the order of neighbours in rank is, in log-odds of one beating the other.
struct NeighbourError {
  /// Standard error of the difference, mean over the neighbours that are open before anything is
  /// measured (over all, if none is).
  double mean_error = 0;
  std::size_t open = 0;  ///< neighbours that are not told apart
};

struct NextPlan {
  std::vector<NextMeasurement> measurements;  ///< by count, then gain; only those with a count
  std::vector<System> order;                  ///< best to worst, by log-strength
  std::vector<double> strengths;              ///< [systems], mean 0
  NeighbourError before;
  NeighbourError after;    ///< expected, if strengths stay as they are
  std::size_t pieces = 0;  ///< groups of systems that nothing compares with each other
  std::size_t unused = 0;  ///< of the budget: nothing was left to measure
};

/// What to measure next, so that ranks become sure: every share of the budget goes to the
/// measurement with the largest expected fall of the sum, over neighbours in rank that cannot yet
/// be told apart, of the variance of their difference in strength. Variances are the inverse of
/// Fisher's information of the Bradley-Terry model of all votes, and a measurement adds
/// p (1 - p) to the information on its pair (Chaloner and Verdinelli 1995, "Bayesian experimental
/// design", A-optimality); one of a cell does so with every system that its instance has, in the
/// mean over the task's instances that lack it. Votes of one instance count as independent. If all
/// neighbours are told apart, all of them count. InputError: a budget or rounds of 0, a confidence
/// outside (0, 1), a prior that is not positive, more than 2000 systems, no votes at all, or cells
/// of a table without a gap.
NextPlan plan_measurements(const ScoreTable& table, const NextOptions& options = {},
                           const std::function<void(std::size_t)>& progress = {});

}  // namespace amalgam::scores
