#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/weak/vote_matrix.hpp"
#include "amalgam/labels/weak/weak_learner.hpp"

namespace amalgam::labels {

/// The margins of confidence that are tried: ten from .25 to .45, evenly.
std::array<double, 10> abstain_margins();

/// The vote of probabilities [classes]: the most probable class (the lowest of equal ones) if its
/// probability is at least `level`, else kNoLabel. Of two classes with level 1/2 + margin: class 1
/// if P(1) >= 1/2 + margin, class 0 if P(1) <= 1/2 - margin.
Label confident_vote(std::span<const double> probabilities, double level);

/// The votes of rows of probabilities [rows, classes].
std::vector<Label> confident_votes(std::span<const double> probabilities, std::size_t classes,
                                   double level);

/// The mean over classes, weighted by their number of `labels`, of F1 = 2 tp / (2 tp + fp + fn),
/// where an abstention is a label of its own that is always wrong. Votes and labels are as many.
double weighted_f1(std::span<const Label> votes, std::span<const Label> labels,
                   std::size_t classes);

/// The margin (added to `base`) with the largest weighted F1 on rows whose labels are known; of
/// equal ones the largest margin.
double choose_margin(std::span<const double> probabilities, std::span<const Label> labels,
                     std::size_t classes, double base);

/// A weak learner that abstains where it is not sure.
struct LabellingFunction {
  WeakLearner learner;
  double level = 0.75;  ///< the least probability that it votes with, see confident_vote
  /// Unipolar: its learner tells this class (1) from all others (0), and it votes for the class or
  /// abstains. Nothing: it votes for what its learner says.
  std::optional<Label> target;

  Label vote(std::span<const double> row) const;
  /// The vote of the learner itself: 0 is a vote against a unipolar function's class.
  Label signed_vote(std::span<const double> row) const;
};

/// What a unipolar function for `target` makes of its learner's vote: 1 becomes the class, 0 and
/// kNoLabel abstain.
Label unipolar_vote(Label vote, Label target);

VoteMatrix votes_of(std::span<const LabellingFunction> functions, const Features& features,
                    const Parallel& parallel = {});

/// "tree on column 3 for class 2": for people. `class_names` may be empty: numbers.
std::string describe(const LabellingFunction& function);

}  // namespace amalgam::labels
