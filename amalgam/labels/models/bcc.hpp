#pragma once

#include "amalgam/labels/label_model.hpp"

/// The two ways in which bcc finds its posterior. Both give posterior, prior and confusion.
namespace amalgam::labels::models {

/// Gibbs sampling: true labels and parameters are drawn in turn, the first from the shares of
/// votes; the posterior is the share of draws after `burn_in` sweeps.
LabelFit bcc_by_sampling(const AnnotationTable& table, const FitContext& context);

/// Variational inference: Dawid-Skene with the expected logarithms of Dirichlet probabilities. The
/// objective is the evidence lower bound.
LabelFit bcc_variationally(const AnnotationTable& table, const FitContext& context);

}  // namespace amalgam::labels::models
