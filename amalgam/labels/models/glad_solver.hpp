#pragma once

#include <vector>

#include "amalgam/core/elementary.hpp"
#include "amalgam/labels/label_model.hpp"

/// The maximisation of GLAD.
namespace amalgam::labels::models {

/// A worker is right on a task with probability logistic(ability * e^log_easiness).
struct GladParameters {
  std::vector<double> ability;       ///< [workers]
  std::vector<double> log_easiness;  ///< [tasks]
};

/// logistic(x) and its logarithm by one exponential.
struct LogisticPair {
  double probability;
  double log;
};
inline LogisticPair logistic_pair(double x) {
  const double e = portable_exp(x >= 0 ? -x : x);
  const double u = 1.0 + e;
  const double log1p = u == 1.0 ? e : portable_log(u) * (e / (u - 1.0));
  return x >= 0 ? LogisticPair{1.0 / u, -log1p} : LogisticPair{e / u, x - log1p};
}

/// What a maximisation came to.
struct GladMaximum {
  std::size_t steps = 0;
  double gradient_norm = 0;  ///< Euclidean, over abilities and easiness together
  bool solved = false;       ///< the norm is at most the tolerance
};

/// Maximises, from the given parameters on, the expected log-likelihood of the annotations plus the
/// log-densities of N(1, 1) priors of abilities and log-easiness, by Newton's method: the tasks are
/// eliminated (their block of the Hessian is diagonal), and the rest is solved by conjugate
/// gradients. Where the Hessian is not that of a maximum, the step is Gauss and Newton's. A step
/// never lowers the objective by more than its rounding. Ends once the norm of the gradient is at
/// most `tolerance`, or after `most_steps` steps.
GladMaximum maximise_glad(const AnnotationTable& table, const SoftLabels& posterior,
                          std::size_t most_steps, double tolerance, const Parallel& parallel,
                          GladParameters& parameters);

}  // namespace amalgam::labels::models
