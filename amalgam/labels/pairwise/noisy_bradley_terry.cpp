#include <algorithm>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/pairwise/bradley_terry.hpp"
#include "amalgam/labels/weak/minimise.hpp"

namespace amalgam::labels {
namespace {

/// Minus the penalised log-likelihood, of log-scores, then log-odds of skill, then of bias.
class NoisyObjective {
 public:
  NoisyObjective(const ComparisonTable& table, double regularisation)
      : table_(table),
        items_(table.item_names.size()),
        workers_(table.worker_names.size()),
        regularisation_(regularisation) {}

  std::vector<double> start() const {
    std::vector<double> at(items_ + 2 * workers_, 0);
    std::fill_n(at.begin() + static_cast<std::ptrdiff_t>(items_), workers_, 1.0);
    return at;
  }

  double value(std::span<const double> at, std::span<double> gradient) {
    check_interrupt();
    std::ranges::fill(gradient, 0.0);
    double sum = 0;
    for (const Comparison& row : table_.rows) {
      const std::size_t skill_at = items_ + row.worker;
      const std::size_t bias_at = skill_at + workers_;
      const double skill = portable_logistic(at[skill_at]);
      const double bias = portable_logistic(at[bias_at]);
      const double left = portable_logistic(at[row.left] - at[row.right]);
      const double judged = row.left_won ? left : 1 - left;
      const double guessed = row.left_won ? bias : 1 - bias;
      const double probability = std::max(skill * judged + (1 - skill) * guessed, 1e-300);
      sum -= portable_log(probability);
      const double sign = row.left_won ? 1 : -1;
      const double by_item = sign * skill * left * (1 - left) / probability;
      gradient[row.left] -= by_item;
      gradient[row.right] += by_item;
      gradient[skill_at] -= skill * (1 - skill) * (judged - guessed) / probability;
      gradient[bias_at] -= sign * (1 - skill) * bias * (1 - bias) / probability;
    }
    log_likelihood_ = -sum;
    return sum + penalty(at, gradient);
  }

  /// At the point evaluated last.
  double log_likelihood() const { return log_likelihood_; }

 private:
  double penalty(std::span<const double> at, std::span<double> gradient) const {
    double sum = 0;
    for (std::size_t i = 0; i < items_; ++i) {
      const double win = portable_logistic(at[i]);
      sum -= portable_log_logistic(at[i]) + portable_log_logistic(-at[i]);
      gradient[i] += regularisation_ * (2 * win - 1);
    }
    for (std::size_t w = 0; w < workers_; ++w) {
      const double skill = at[items_ + w] - 1;
      const double bias = at[items_ + workers_ + w];
      sum += 0.5 * (skill * skill + bias * bias);
      gradient[items_ + w] += regularisation_ * skill;
      gradient[items_ + workers_ + w] += regularisation_ * bias;
    }
    return regularisation_ * sum;
  }

  const ComparisonTable& table_;
  std::size_t items_;
  std::size_t workers_;
  double regularisation_;
  double log_likelihood_ = 0;
};

}  // namespace

PairwiseFit noisy_bradley_terry(const ComparisonTable& table,
                                const NoisyBradleyTerryOptions& options) {
  const std::size_t items = table.item_names.size();
  const std::size_t workers = table.worker_names.size();
  NoisyObjective objective(table, options.regularisation);
  std::size_t evaluations = 0;
  const auto value = [&](std::span<const double> at, std::span<double> gradient) {
    ++evaluations;
    return objective.value(at, gradient);
  };
  const std::vector<double> at =
      minimise(value, objective.start(),
               {.iterations = options.iterations, .gradient_tolerance = options.tolerance});
  PairwiseFit fit;
  fit.iterations = evaluations;
  std::vector<double> gradient(at.size());
  objective.value(at, gradient);
  fit.log_likelihood = objective.log_likelihood();
  double steepest = 0;
  for (const double slope : gradient) steepest = std::max(steepest, slope < 0 ? -slope : slope);
  fit.converged = steepest <= options.tolerance;
  const double most =
      *std::max_element(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(items));
  double sum = 0;
  for (std::size_t i = 0; i < items; ++i) {
    fit.scores.push_back(portable_exp(at[i] - most));
    sum += fit.scores.back();
  }
  for (double& score : fit.scores) score /= sum;
  for (std::size_t w = 0; w < workers; ++w) {
    fit.skills.push_back(portable_logistic(at[items + w]));
    fit.bias.push_back(portable_logistic(at[items + workers + w]));
  }
  return fit;
}

}  // namespace amalgam::labels
