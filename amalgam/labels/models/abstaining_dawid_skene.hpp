#pragma once

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels::models {

/// Which pairs of worker and task are abstentions.
enum class AbstentionKind {
  marked,   ///< rows of weight 0: the worker saw the task and gave no label
  missing,  ///< all pairs without a row of weight above 0: every worker saw every task
};

/// Dawid-Skene with abstaining as one more thing that workers say: for each true label a worker
/// says one of [labels] or abstains, so that an abstention makes those labels more probable on
/// which the worker abstains more. The parameters are those of dawid-skene; pseudo-counts of what
/// is wrong also go to abstaining. With `missing` a task without any row is evidence like every
/// other, and begins with equal probabilities. One iteration takes time of the order of the rows:
/// what a worker who abstains says is summed once and taken off where he speaks.
///
/// LabelFit::confusion and skills are of the annotations that are no abstentions; the column
/// "abstains:LABEL" of workers is the probability of abstaining where LABEL is true. InputError for
/// `marked` without such a row, for initial confusion matrices, and for evidence that is to be kept
/// (a new task's abstentions are not known to a LabelPredictor).
LabelFit fit_abstaining_dawid_skene(const AnnotationTable& table, AbstentionKind kind,
                                    const FitContext& context);

}  // namespace amalgam::labels::models
