#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/labels/weak/vote_matrix.hpp"

namespace amalgam::labels {

/// Snuba's verifier: one log-odds weight per labelling function of a binary task, learnt from their
/// agreement alone (Varma and Re 2019; the naive Bayes model of Ratner et al. 2016 without
/// propensities).
struct VoteAggregator {
  std::vector<double> weights;  ///< [functions]

  /// P(class 1) of one item's votes: the logistic function of the sum of weights for 1 minus those
  /// for 0.
  double probability(std::span<const Label> votes) const;
};

/// Learns the weights from votes of two classes, starting from 1, by at most `steps` gradient steps
/// of 1e-3 towards the log-odds of each function's expected accuracy. Items with the same votes are
/// computed once. Functions that never vote keep weight 0. InputError for a vote of another class
/// or no function.
VoteAggregator fit_aggregator(const VoteMatrix& votes, std::size_t steps = 1000);

}  // namespace amalgam::labels
