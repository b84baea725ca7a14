#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/pairwise/comparisons.hpp"

namespace amalgam::labels {

/// What comparisons say of items and workers.
struct PairwiseFit {
  std::vector<double> scores;  ///< [items], sum 1: odds of winning are their ratio
  std::vector<double>
      skills;                 ///< [workers] probability of judging by the items; empty if not asked
  std::vector<double> bias;   ///< [workers] probability of preferring the left when not; or empty
  double log_likelihood = 0;  ///< of the comparisons
  std::size_t iterations = 0;
  bool converged = false;
  std::vector<std::string> warnings;
};

struct BradleyTerryOptions {
  std::size_t iterations = 100;
  double tolerance = 1e-5;  ///< ends when no score changes by more
  /// Wins and losses of each item against one of the mean score: above 0, all scores are finite.
  double prior = 0;
  /// Scores that the items start from, NaN or 0 where nothing is known; empty: all are equal. What
  /// the fit converges to does not depend on it.
  std::span<const double> start = {};
};

/// Pr(a beats b) = s_a / (s_a + s_b) by minorisation and maximisation (Bradley and Terry 1952;
/// Hunter 2004). Warns where the comparisons do not tell all scores: some items never win or never
/// lose against the others.
PairwiseFit bradley_terry(const ComparisonTable& table, const BradleyTerryOptions& options = {});

struct NoisyBradleyTerryOptions {
  std::size_t iterations = 500;
  /// Weight of the penalty: for each item a win and a loss against one of score 1 (of e^0), for
  /// each worker half the squared distance of the log-odds of skill and bias to 1 and 0.
  double regularisation = 0.1;
  double tolerance = 1e-6;  ///< of the largest entry of the gradient
};

/// Worker w judges by the items with probability skill_w, where Pr(left wins) = s_l / (s_l + s_r),
/// and else says left with probability bias_w (Chen et al. 2013; crowd-kit's NoisyBradleyTerry). By
/// the limited-memory BFGS method on log-scores and log-odds from equal items and workers.
PairwiseFit noisy_bradley_terry(const ComparisonTable& table,
                                const NoisyBradleyTerryOptions& options = {});

}  // namespace amalgam::labels
