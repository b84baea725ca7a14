#pragma once

#include <vector>

#include "amalgam/learning/gram.hpp"

namespace amalgam::learned {

using learning::GramSums;
using learning::NamedTensors;

struct RegMeanOptions {
  double off_diagonal = 0.9;   ///< a: off-diagonal entries of each Gram matrix count a-fold, [0, 1]
  std::vector<double> shares;  ///< one per member, >= 0; empty: equal
};

/// RegMean (Jin et al. 2023, arXiv 2212.09849, eq. 2): the weight W of every layer with a Gram
/// matrix minimises sum_i s_i tr((W - W_i) G_i (W - W_i)^T), G_i = a G + (1 - a) diag(G) of member
/// i's own inputs; everything else is the average by shares. Solved in double by Cholesky about
/// that average, with a ridge of 1e-9 of the mean diagonal, so directions no member has seen keep
/// the average. Names, shapes and types as the first member's. InputError naming tensor or layer
/// if members or Gram matrices do not fit each other.
NamedTensors regmean(const std::vector<const NamedTensors*>& members,
                     const std::vector<const GramSums*>& grams, const RegMeanOptions& options = {});

}  // namespace amalgam::learned
