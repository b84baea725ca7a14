#include "amalgam/labels/weak/baselines.hpp"

#include <algorithm>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/affinity_models.hpp"
#include "amalgam/labels/weak/weak_learner.hpp"

namespace amalgam::labels {
namespace {

void softmax(std::span<double> scores) {
  const double most = std::ranges::max(scores);
  double sum = 0;
  for (double& score : scores) {
    score = portable_exp(score - most);
    sum += score;
  }
  for (double& score : scores) score /= sum;
}

}  // namespace

SoftLabels few_shot(const LabelledRows& labelled, const Features& rows) {
  const LogisticRegression model = fit_logistic(labelled);
  check_finite(rows, "few-shot");
  if (rows.columns != labelled.features.columns) {
    throw InputError("few-shot: rows of {} features, but the labelled ones have {}", rows.columns,
                     labelled.features.columns);
  }
  SoftLabels soft(rows.rows, labelled.classes);
  for (std::size_t i = 0; i < rows.rows; ++i) model.probabilities(rows.row(i), soft.row(i));
  return soft;
}

SoftLabels zero_shot(const Features& logits) {
  check_finite(logits, "zero-shot logits");
  SoftLabels soft(logits.rows, logits.columns);
  soft.values = logits.values;
  for (std::size_t i = 0; i < soft.items; ++i) softmax(soft.row(i));
  return soft;
}

SoftLabels nearest_prototype(const Features& prototypes, const Features& rows, double scale) {
  check_finite(prototypes, "prototypes");
  check_finite(rows, "zero-shot");
  Features logits = cosine_affinity(rows, prototypes);
  for (double& value : logits.values) value *= scale;
  return zero_shot(logits);
}

Features class_means(const LabelledRows& labelled) {
  check_labelled(labelled, "class means");
  Features means(labelled.classes, labelled.features.columns);
  std::vector<double> counts(labelled.classes);
  for (const Label label : labelled.labels) counts[label] += 1;
  for (std::size_t k = 0; k < labelled.classes; ++k) {
    if (!(counts[k] > 0)) throw InputError("class {} has no labelled row to take the mean of", k);
  }
  for (std::size_t i = 0; i < labelled.labels.size(); ++i) {
    const std::span<double> mean = means.row(labelled.labels[i]);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      mean[c] += labelled.features.at(i, c) / counts[labelled.labels[i]];
    }
  }
  return means;
}

}  // namespace amalgam::labels
