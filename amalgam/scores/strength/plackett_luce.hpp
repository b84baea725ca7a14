#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/strength/choices.hpp"
#include "amalgam/scores/strength/solver.hpp"

namespace amalgam::scores {

/// The maximum of the likelihood of choices, each Pr(i of A) = w_i / sum over A of w (Luce 1959;
/// Plackett 1975): of full and partial rankings, from what was measured alone. The graph of the
/// choices must be strongly connected. Every iteration is one pass over the ballots, a fold whose
/// bits do not depend on the threads: O(values) for mm, O(sum over ballots of their size squared)
/// for the others, to which newton and lsr add O(systems^3). `start`: log-strengths [systems], or
/// empty. InputError if strengths are beyond a factor of e^600 apart.
StrengthFit fit_plackett_luce(const Choices& choices, const StrengthOptions& options = {},
                              const Parallel& parallel = {}, std::span<const double> start = {});

/// The likelihood's logarithm at `strengths`.
double plackett_luce_log_likelihood(const Choices& choices, std::span<const double> strengths);

/// The likelihood's derivatives by the strengths, [systems]: all 0 at the fit.
std::vector<double> plackett_luce_gradient(const Choices& choices,
                                           std::span<const double> strengths);

/// Minus its second derivatives, [systems, systems].
std::vector<double> plackett_luce_information(const Choices& choices,
                                              std::span<const double> strengths,
                                              const Parallel& parallel = {});

/// What one ballot adds to the gradient: how much more often each of its systems was chosen than
/// expected, in the ballot's order, times its weight.
void ballot_gradient(const Choices& choices, std::size_t ballot, std::span<const double> weights,
                     std::vector<double>& gradient);

/// e^(s - largest s). InputError if they are too far apart for a double.
std::vector<double> relative_weights(std::span<const double> strengths);

/// One pass of mm: for each system the sum over the choices that it could have been of
/// 1 / sum of the weights to choose from. The time of this pass is that of the method.
std::vector<double> choice_exposure(const Choices& choices, std::span<const double> weights,
                                    const Parallel& parallel = {});

}  // namespace amalgam::scores
