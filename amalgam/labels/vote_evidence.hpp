#pragma once

#include <vector>

namespace amalgam::labels {

/// What a fit learned of its workers, in the form in which it labels tasks: each label's score
/// begins at `start`, and every annotation of a task adds a number to every score, times its
/// weight.
struct VoteEvidence {
  enum class Form {
    none,     ///< the method does not label tasks in this way, or was not asked for it
    tables,   ///< `values` are [workers, observed label, label]
    sides,    ///< [workers, 2, labels]: what is added to the observed label, and to any other
    weights,  ///< [workers], >= 0: probabilities are the shares of votes that weigh so much
  };
  Form form = Form::none;
  std::vector<double> start;  ///< [labels]; zeros if `form` is weights
  std::vector<double> values;
  /// Scores are log-odds of each label against the others, whose probabilities are the logits of
  /// the labels; else scores are the logits.
  bool one_against_rest = false;
};

}  // namespace amalgam::labels
