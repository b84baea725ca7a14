#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/labels/weak/minimise.hpp"
#include "amalgam/labels/weak/weak_learner.hpp"

namespace amalgam::labels {
namespace {

double score_of(std::span<const double> weights, std::span<const double> input) {
  double score = weights.back();
  for (std::size_t c = 0; c < input.size(); ++c) score += weights[c] * input[c];
  return score;
}

// Scores become probabilities in place; returns the logarithm of what they were divided by.
double softmax(std::span<double> scores) {
  const double most = *std::ranges::max_element(scores);
  double sum = 0;
  for (double& score : scores) {
    score = portable_exp(score - most);
    sum += score;
  }
  for (double& score : scores) score /= sum;
  return most + portable_log(sum);
}

struct Objective {
  const LabelledRows& data;
  double inverse_penalty;
  std::size_t outputs;

  std::size_t width() const { return data.features.columns + 1; }

  double operator()(std::span<const double> at, std::span<double> gradient) const {
    std::ranges::fill(gradient, 0.0);
    double loss = 0;
    std::vector<double> scores(outputs);
    for (std::size_t i = 0; i < data.features.rows; ++i) {
      const std::span<const double> input = data.features.row(i);
      for (std::size_t k = 0; k < outputs; ++k) {
        scores[k] = score_of(at.subspan(k * width(), width()), input);
      }
      loss += example_loss(scores, data.labels[i]);
      for (std::size_t k = 0; k < outputs; ++k) {
        const double residual = inverse_penalty * scores[k];
        const std::span<double> into = gradient.subspan(k * width(), width());
        for (std::size_t c = 0; c < input.size(); ++c) into[c] += residual * input[c];
        into.back() += residual;
      }
    }
    double norm = 0;
    for (std::size_t k = 0; k < outputs; ++k) {
      for (std::size_t c = 0; c + 1 < width(); ++c) {
        const double weight = at[k * width() + c];
        norm += weight * weight;
        gradient[k * width() + c] += weight;
      }
    }
    return inverse_penalty * loss + norm / 2;
  }

  // Scores become the derivatives of the loss by them.
  double example_loss(std::vector<double>& scores, Label label) const {
    if (outputs == 1) {
      const double score = scores[0];
      scores[0] = portable_logistic(score) - (label == 1 ? 1 : 0);
      return -portable_log_logistic(label == 1 ? score : -score);
    }
    const double own = scores[label];
    const double log_sum = softmax(scores);
    scores[label] -= 1;
    return log_sum - own;
  }
};

}  // namespace

void LogisticRegression::probabilities(std::span<const double> input,
                                       std::span<double> probabilities) const {
  const std::size_t width = inputs + 1;
  const std::span<const double> all(weights);
  if (classes == 2) {
    probabilities[1] = portable_logistic(score_of(all, input));
    probabilities[0] = 1 - probabilities[1];
    return;
  }
  for (std::size_t k = 0; k < classes; ++k) {
    probabilities[k] = score_of(all.subspan(k * width, width), input);
  }
  softmax(probabilities);
}

LogisticRegression fit_logistic(const LabelledRows& data, double inverse_penalty) {
  check_labelled(data, "logistic regression");
  if (!(inverse_penalty > 0) || !std::isfinite(inverse_penalty)) {
    throw InputError("logistic regression: C is {}; expected a number above 0", inverse_penalty);
  }
  const std::size_t outputs = data.classes == 2 ? 1 : data.classes;
  const Objective objective{data, inverse_penalty, outputs};
  return {.inputs = data.features.columns,
          .classes = data.classes,
          .weights = minimise(objective, std::vector<double>(outputs * objective.width(), 0.0))};
}

}  // namespace amalgam::labels
