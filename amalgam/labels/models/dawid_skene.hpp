#pragma once

#include <span>
#include <vector>

#include "amalgam/labels/models/em.hpp"

/// The parts of Dawid-Skene that its relatives use: tables of what each worker says when the truth
/// is k.
namespace amalgam::labels::models {

/// log Pr(worker says l | truth k), [workers, l, k]: one annotation reads one row of k.
struct ConfusionLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const double> logs;

  void prefetch(std::size_t row) const {
    const double* said =
        logs.data() + (std::size_t{table.workers[row]} * classes + table.labels[row]) * classes;
    __builtin_prefetch(said);
    __builtin_prefetch(said + classes - 1);
  }

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const double* said =
        logs.data() + (std::size_t{table.workers[row]} * count + table.labels[row]) * count;
    if (table.weights.empty()) {
      for (std::size_t k = 0; k < count; ++k) log_likelihoods[k] += said[k];
    } else {
      const double weight = table.weights[row];
      for (std::size_t k = 0; k < count; ++k) log_likelihoods[k] += weight * said[k];
    }
  }
};

/// Expected numbers of times each worker said l while the truth was k, [workers, l, k].
struct ConfusionCounts {
  const AnnotationTable* table = nullptr;
  std::size_t classes = 0;
  std::vector<double> sums;

  void prefetch(std::size_t row) const {
    const double* said =
        sums.data() + (std::size_t{table->workers[row]} * classes + table->labels[row]) * classes;
    __builtin_prefetch(said, 1);
    __builtin_prefetch(said + classes - 1, 1);
  }

  template <int kClasses>
  void absorb(std::size_t row, const double* posterior) {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    double* said =
        sums.data() + (std::size_t{table->workers[row]} * count + table->labels[row]) * count;
    if (table->weights.empty()) {
      for (std::size_t k = 0; k < count; ++k) said[k] += posterior[k];
    } else {
      const double weight = table->weights[row];
      for (std::size_t k = 0; k < count; ++k) said[k] += weight * posterior[k];
    }
  }
  template <class Visit>
  void visit_numbers(Visit visit) {
    visit(std::span(sums));
  }
  void combine(ConfusionCounts&& right) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += right.sums[i];
  }
};

/// The pseudo-counts of the maximisation: Dirichlet priors of each column of each worker's table.
struct ConfusionPrior {
  double diagonal = 0;      ///< added where the worker is right
  double off_diagonal = 0;  ///< elsewhere
};

/// The parameters that are such a prior.
ParameterInfo diagonal_parameter();
ParameterInfo off_diagonal_parameter();

/// From counts [workers, l, k] to log-probabilities of the same shape: adds the prior, floors at
/// kFloor, and normalises over l for each k, in place. A worker of whom nothing is known says each
/// label equally often.
void normalise_confusion(std::vector<double>& counts, std::size_t classes,
                         const ConfusionPrior& prior, const Parallel& parallel);

/// The same of one worker's table [l, k]; `symbols`: how many different l there are, if workers
/// also say something that is no class.
void normalise_worker(double* table, std::size_t classes, const ConfusionPrior& prior,
                      std::size_t symbols = 0);

/// [workers, l, k] log-probabilities as LabelFit::confusion [workers, k, l].
std::vector<double> confusion_of(std::span<const double> logs, std::size_t classes);

/// The inverse, with probabilities floored at kFloor.
std::vector<double> logs_of_confusion(std::span<const double> confusion, std::size_t classes);

/// The mean over true classes, weighted by the class prior, of the probability that the worker is
/// right. [workers]
std::vector<double> skills_of(std::span<const double> logs, std::span<const double> prior);

/// InputError if tables [workers, classes, classes] would be beyond what fits (2^28 numbers).
void check_confusion_size(const AnnotationTable& table);

}  // namespace amalgam::labels::models
