#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"
#include "amalgam/labels/weak/features.hpp"

/// What weak supervision has to beat with the same few labels.
namespace amalgam::labels {

/// Logistic regression on the labelled rows (C = 1), applied to `rows`.
SoftLabels few_shot(const LabelledRows& labelled, const Features& rows);

/// The widths of the kernel that are tried.
std::vector<double> propagation_gammas();

struct PropagationOptions {
  /// gamma of exp(-gamma |x - y|^2); nothing: of propagation_gammas(), the one with which most
  /// labelled rows get their label when it is hidden (of equal ones the smaller).
  std::optional<double> gamma;
  std::size_t most_rows = 5000;  ///< of the graph: its matrix has the square of that
};

struct Propagation {
  SoftLabels soft;  ///< [rows]
  double gamma = 0;
  double leave_one_out = 0;            ///< share of labelled rows right when hidden
  std::vector<double> tried;           ///< gammas
  std::vector<double> tried_accuracy;  ///< leave-one-out accuracy of each
};

/// Label propagation (Zhu and Ghahramani 2002) over the graph of labelled and unlabelled rows with
/// edges exp(-gamma |x - y|^2), run to its limit: the harmonic function whose values at labelled
/// rows are their labels. Other `rows` get the mean of the graph's values, weighted by the same
/// kernel. Rows that are connected with no labelled one get equal probabilities. The leave-one-out
/// values are exact, from one factorisation per gamma.
///
/// InputError as check_labelled, for other columns, a gamma that is not above 0, or more rows in
/// the graph than `most_rows`.
Propagation propagate_labels(const LabelledRows& labelled, const Features& unlabelled,
                             const Features& rows, const PropagationOptions& options = {});

/// Zero-shot: the class with the largest of the given logits [rows, classes]; softmax of them.
SoftLabels zero_shot(const Features& logits);

/// The class whose prototype (one row per class: a text's or a mean's embedding) has the largest
/// cosine with the row; softmax of the cosines times `scale` (CLIP's 100). InputError for other
/// columns.
SoftLabels nearest_prototype(const Features& prototypes, const Features& rows, double scale = 100);

/// The mean of the labelled rows of each class. InputError for a class without one.
Features class_means(const LabelledRows& labelled);

}  // namespace amalgam::labels
