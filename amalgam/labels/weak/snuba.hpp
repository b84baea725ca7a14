#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/labels/weak/labelling_function.hpp"

namespace amalgam::labels {

/// How labelling functions are made from a few labelled rows (Varma and Re 2019, "Snuba: automating
/// weak supervision to label training data", in the form of AutoWS-Bench-101).
struct SnubaOptions {
  std::size_t rounds = 23;    ///< at most
  std::size_t first = 3;      ///< functions that the first round commits
  std::size_t per_round = 1;  ///< functions that each later round commits
  CandidateOptions candidates;
  /// false: one-vs-rest, functions that vote for one class or abstain. true: functions of all
  /// classes, verified by the label model `generative`.
  bool multipolar = false;
  double multipolar_base = 0.1;  ///< multipolar functions vote at this plus the margin
};

/// What a round did, for one class of a unipolar run.
struct SnubaRound {
  Label target = kNoLabel;    ///< kNoLabel: multipolar
  std::size_t examples = 0;   ///< labelled rows the candidates were fitted to
  std::size_t committed = 0;  ///< functions so far
  double score = 0;           ///< the best candidate's
};

struct SnubaResult {
  std::vector<LabellingFunction> functions;  ///< in the order in which they were committed
  std::vector<SnubaRound> rounds;
};

/// Rounds of: fit candidates to the labelled rows that the committed functions are not sure of;
/// commit those with the highest (share of labelled rows they are right on, abstentions wrong, plus
/// Jaccard distance to what is covered already) / 2, the first of equal ones; aggregate the
/// committed functions' votes on the unlabelled rows; go on with labelled rows whose probability is
/// within gamma of undecided. Ends early if there are none, or of one class. Candidates that
/// abstain on all unlabelled rows are dropped; in a unipolar run, also those that never vote for
/// their class there, and classes without a labelled row get no function.
///
/// InputError for features that are not finite, labels that do not fit, features with other
/// columns, and if no function is found at all.
SnubaResult snuba(const LabelledRows& labelled, const Features& unlabelled,
                  const SnubaOptions& options = {});

/// 1/2 - functions^(-3/2): how far from undecided a row may be and still count as not sure.
double snuba_gamma(std::size_t functions);

/// 1 - sum_i min(a_i, b_i) / sum_i max(a_i, b_i); 1 if all are 0.
double jaccard_distance(std::span<const double> a, std::span<const double> b);

}  // namespace amalgam::labels
