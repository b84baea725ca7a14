#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/pair_table.hpp"
#include "amalgam/scores/score_table.hpp"
#include "amalgam/scores/strength/solver.hpp"

namespace amalgam::scores {

/// Strengths of systems, other things being equal.
struct ControlledFit {
  StrengthFit fit;                   ///< of the ranked systems, in their order
  std::vector<double> coefficients;  ///< [covariates]: log-odds of the first winning, per unit
  // Robust to dependence within clusters.
  std::vector<double> strength_errors;     ///< standard errors of the strengths
  std::vector<double> coefficient_errors;  ///< [covariates]
};

/// Logistic regression of the outcomes of comparisons, a tie being half a win for each:
/// log-odds(first wins) = s_first - s_second + sum over k of coefficient_k covariate_k, the
/// covariates being differences first - second (Bradley-Terry with covariates; "style control").
/// By Newton's method, a pass over the comparisons per iteration, a fold; covariates are scaled to
/// mean square 1 on the way. `pseudo_votes` are added to every pair of `systems` in both
/// directions, with covariates of 0. InputError: a covariate that is 0 everywhere, or one that
/// follows from the others or from the systems. `errors`: whether standard errors are wanted.
ControlledFit fit_controlled(const Comparisons& comparisons, std::size_t system_count,
                             std::span<const System> systems, double pseudo_votes,
                             const Reweighting& factors, const StrengthOptions& options,
                             const Parallel& parallel, std::span<const double> start, bool errors);

}  // namespace amalgam::scores
