#pragma once

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Adds to `fit.warnings` what any method's fit should say: workers and labels with too few
/// annotations to be judged by, all tasks given one label although the votes have several, and a
/// mean diagonal of the confusion matrices below chance (labels may be switched). Also fills
/// `fit.mean_diagonal`.
void add_warnings(const AnnotationTable& table, LabelFit& fit);

}  // namespace amalgam::labels
