#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "amalgam/weights/learned/matching.hpp"
#include "amalgam/weights/learned/permutation.hpp"

// How a compute budget is shared out among the groups of units (PLeaS, section 3.4): which ratio of
// each group stays separate. Budgets are multiples of one network's compute, in [1, 2].
namespace amalgam::learned {

/// The largest ratio, the same for all groups, whose compute is at most `budget`. InputError unless
/// the budget is in [1, 2].
double uniform_ratio(const PermutationSpec& spec, const NamedTensors& state, double budget);

/// Merges the first groups, in the order of computation, and keeps the others apart, as in ZipIt!:
/// ratios 0, ..., 0, 1, ..., 1 with as few zeros as the budget allows. InputError unless the budget
/// is in [1, networks].
std::vector<double> zip_ratios(const PermutationSpec& spec, const NamedTensors& state,
                               double budget, std::size_t networks = 2);

/// How good partial merges are, higher being better.
struct GroupScores {
  double all_merged = 0;
  double all_separate = 0;
  std::vector<double> only_separate;  ///< by group: this one apart, all others merged
  std::vector<double> only_merged;    ///< this one merged, all others apart
};
/// Scores the 2 G + 2 partial merges (without least squares) of G groups; `heads` as
/// PleasOptions::heads. Errors as partial_merge.
GroupScores group_scores(const Network& left, const Network& right, const PermutationSpec& spec,
                         const Matching& matching, const std::array<std::string, 2>& heads,
                         const std::function<double(Network& merged)>& score);

/// How much each group gains by being apart under the budget: (2 - B) (only_separate - all_merged)
/// - (B - 1) (only_merged - all_separate), at least 1e-5. Our reading of the authors' code.
/// InputError for a budget outside [1, 2].
std::vector<double> group_weights(const GroupScores& scores, double budget);

/// Ratios in [0, 1] that make sum of weight * ratio large within the budget: a quadratic programme
/// that is not convex, solved by exchange between pairs of groups, from the uniform and the zip
/// solution, so never worse than either; a local optimum. InputError as uniform_ratio, for another
/// number of weights than groups, and weights that are not positive.
std::vector<double> allocate_budget(const PermutationSpec& spec, const NamedTensors& state,
                                    double budget, const std::vector<double>& weights);

}  // namespace amalgam::learned
