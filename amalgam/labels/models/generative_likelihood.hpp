#pragma once

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels::models {

/// The generative model with a logit of accuracy per worker and class, whose wrong votes are
/// equally likely, and votes independent given the class: gradient ascent on the log-likelihood of
/// the votes from accuracies of `precision`, with `learning_rate` and `momentum`, the gradient of
/// each worker divided by its votes. Whether a worker votes says nothing of the class, so that how
/// often it does need not be fitted. Fills everything but the prior, which it reads.
void fit_by_likelihood(const AnnotationTable& table, const FitContext& context, LabelFit& fit);

}  // namespace amalgam::labels::models
