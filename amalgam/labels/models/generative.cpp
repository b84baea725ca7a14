#include <fmt/format.h>

#include <Eigen/Core>
#include <cmath>

#include "amalgam/core/assignment.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/random.hpp"
#include "amalgam/labels/models/class_balance.hpp"
#include "amalgam/labels/models/em.hpp"
#include "amalgam/labels/models/generative_likelihood.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels::models {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

/// How often votes come together: sums over tasks, so that parts of a table add up.
struct Overlaps {
  Matrix together;  ///< [workers x labels, workers x labels], 0 within a worker
  Vector alone;     ///< [workers x labels]

  void combine(Overlaps&& right) {
    together += right.together;
    alone += right.alone;
  }
};

Overlaps overlaps_of(const AnnotationTable& table, const Parallel& parallel) {
  const std::size_t classes = table.label_count();
  const std::size_t size = table.worker_count() * classes;
  const std::size_t leaves = leaves_for(table, size * size * sizeof(double));
  Overlaps sums = *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    const auto n = static_cast<Eigen::Index>(size);
    Overlaps part{Matrix::Zero(n, n), Vector::Zero(n)};
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    const auto place = [&](std::size_t row) {
      return static_cast<Eigen::Index>(table.workers[row] * classes + table.labels[row]);
    };
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      for (std::size_t a = first; a < last; ++a) {
        part.alone(place(a)) += table.weight(a);
        for (std::size_t b = first; b < last; ++b) {
          if (table.workers[a] == table.workers[b]) continue;
          part.together(place(b), place(a)) += table.weight(a) * table.weight(b);
        }
      }
    }
    return part;
  });
  const auto tasks = static_cast<double>(table.task_count());
  sums.together /= tasks;
  sums.alone /= tasks;
  return sums;
}

/// The objective of matrix completion, with O = overlaps and P = diag(balance):
/// |mask o (O - mu P mu')|^2 + |mu p - diag O|^2 + l2 |mu - mu_0|^2
/// + sums * (sum over workers and classes of (1 - what a worker says in all of a class)^2).
struct Completion {
  const Overlaps& overlaps;
  const Vector& balance;
  const Matrix& start;
  Eigen::Index classes;
  double l2;
  double sums;

  /// The value at `mu`, whose gradient goes to `gradient`.
  double value(const Matrix& mu, Matrix& gradient) const {
    const Matrix weighted = mu * balance.asDiagonal();
    const Matrix gram = mu.transpose() * mu;
    const Matrix inner = mu.transpose() * weighted;
    Matrix image = overlaps.together * weighted;
    double fit =
        overlaps.together.squaredNorm() - 2 * image.cwiseProduct(mu).sum() + weighted_trace(gram);
    image.noalias() -= weighted * inner;
    // What a worker's labels say of one another is not fitted.
    for (Eigen::Index j = 0; j < mu.rows(); j += classes) {
      const auto own = mu.middleRows(j, classes);
      const auto own_weighted = weighted.middleRows(j, classes);
      fit -= weighted_trace(own.transpose() * own);
      image.middleRows(j, classes).noalias() += own_weighted * (own.transpose() * own_weighted);
    }
    const Vector excess = mu * balance - overlaps.alone;
    gradient = -4 * image + 2 * excess * balance.transpose() + 2 * l2 * (mu - start);
    double penalty = 0;
    for (Eigen::Index j = 0; sums > 0 && j < mu.rows(); j += classes) {
      const Eigen::RowVectorXd over = (mu.middleRows(j, classes).colwise().sum().array() - 1);
      penalty += over.squaredNorm();
      gradient.middleRows(j, classes).rowwise() += 2 * sums * over;
    }
    return fit + excess.squaredNorm() + l2 * (mu - start).squaredNorm() + sums * penalty;
  }

 private:
  // tr(P gram P gram) for a Gram matrix of mu's columns.
  double weighted_trace(const Matrix& gram) const {
    return (balance * balance.transpose()).cwiseProduct(gram.cwiseProduct(gram)).sum();
  }
};

/// The smallest power of ten that is at least 1 / tasks, but no more than 0.01.
double smallest_probability(std::size_t tasks) {
  double tens = 100;
  while (tens < static_cast<double>(tasks)) tens *= 10;
  return 1 / tens;
}

/// Gives each class the column that is most like it, among classes of equal balance: their columns
/// can be exchanged without a change of the objective.
void order_columns(const Vector& balance, Eigen::Index classes, Matrix& mu) {
  Matrix likeness = Matrix::Zero(classes, classes);
  for (Eigen::Index j = 0; j < mu.rows(); j += classes) likeness += mu.middleRows(j, classes);
  const auto n = static_cast<std::size_t>(classes);
  const double never = -4.0 * static_cast<double>(mu.rows());
  std::vector<double> entries(n * n);
  for (Eigen::Index k = 0; k < classes; ++k) {
    for (Eigen::Index c = 0; c < classes; ++c) {
      const bool same = std::abs(balance(k) - balance(c)) <= kTie;
      entries[static_cast<std::size_t>(k * classes + c)] = same ? likeness(k, c) : never;
    }
  }
  const Assignment best = linear_assignment(entries, n, Goal::maximise);
  const Matrix before = mu;
  for (Eigen::Index k = 0; k < classes; ++k) {
    mu.col(k) = before.col(best.columns[static_cast<std::size_t>(k)]);
  }
}

struct ConditionalLikelihood {
  const AnnotationTable& table;
  std::size_t classes;
  std::span<const double> logs;  // [workers x labels, classes]

  template <int kClasses>
  void add(std::size_t row, double* log_likelihoods) const {
    const std::size_t count = kClasses > 0 ? kClasses : classes;
    const double* said =
        logs.data() + (std::size_t{table.workers[row]} * count + table.labels[row]) * count;
    const double weight = table.weight(row);
    for (std::size_t k = 0; k < count; ++k) log_likelihoods[k] += weight * said[k];
  }
};

class Generative final : public LabelModel {
 public:
  const LabelModelInfo& info() const override {
    static const LabelModelInfo info{
        .name = "generative",
        .summary = "Completes the matrix of how often votes come together (Snorkel, MeTaL).",
        .source = "Ratner et al. 2019; Snorkel's LabelModel",
        .parameters = {balance_parameter("uniform"),
                       {.name = "fit",
                        .kind = ParameterInfo::Kind::choice,
                        .doc = "moments: completes the matrix; likelihood: of accuracies per "
                               "worker and class",
                        .default_value = "moments",
                        .choices = {"moments", "likelihood"}},
                       {.name = "iterations",
                        .kind = ParameterInfo::Kind::integer,
                        .doc = "steps of gradient descent (Snorkel 100, MeTaL 1000)",
                        .default_value = 100.0,
                        .low = 1,
                        .high = 1e7},
                       {.name = "learning_rate",
                        .doc = "of gradient descent",
                        .default_value = 0.01,
                        .low = 0,
                        .low_open = true},
                       {.name = "momentum",
                        .doc = "of gradient descent",
                        .default_value = 0.9,
                        .low = 0,
                        .high = 1,
                        .high_open = true},
                       {.name = "l2",
                        .doc = "weight of the squared distance to the start",
                        .default_value = 0.0,
                        .low = 0},
                       {.name = "column_sums",
                        .doc = "weight of the squared distance of the probabilities of what a "
                               "worker says of a class from a sum of 1, for workers who never "
                               "abstain (Weaver 10)",
                        .default_value = 0.0,
                        .low = 0},
                       {.name = "precision",
                        .doc = "assumed share of right votes, to start from",
                        .default_value = 0.7,
                        .low = 0,
                        .high = 1,
                        .low_open = true}},
        .skill =
            "mean over classes, by their balance, of the probability of voting for the true "
            "class",
        .uses_gold = true,
        .random = true,
        .fewest_workers = 3,
    };
    return info;
  }

  LabelFit fit(const AnnotationTable& table, const FitContext& context) const override {
    constexpr std::size_t kMostRows = 4096;
    const std::size_t classes = table.label_count();
    LabelFit fit;
    fit.prior = class_balance("generative", context.parameters.text("balance"), table, context);
    if (context.parameters.text("fit") == "likelihood") {
      fit_by_likelihood(table, context, fit);
      return fit;
    }
    if (table.worker_count() * classes > kMostRows) {
      throw InputError(
          "method 'generative': {} workers with {} labels each are a matrix of {} rows; expected "
          "at most {} (dawid-skene has no such limit)",
          table.worker_count(), classes, table.worker_count() * classes, kMostRows);
    }
    const Matrix mu = complete(table, context, fit);
    const std::vector<double> logs = logs_of(mu);
    fit.posterior = SoftLabels(table.task_count(), classes);
    em_pass(
        table, log_of(fit.prior), ConditionalLikelihood{table, classes, logs},
        [] { return NoCounts{}; }, 0, context, fit.posterior);
    fit.skills.assign(table.worker_count(), 0);
    for (std::size_t w = 0; w < fit.skills.size(); ++w) {
      for (std::size_t k = 0; k < classes; ++k) {
        fit.skills[w] += fit.prior[k] * mu(static_cast<Eigen::Index>(w * classes + k),
                                           static_cast<Eigen::Index>(k));
      }
    }
    if (context.keep_evidence) {
      fit.evidence = {VoteEvidence::Form::tables, log_of(fit.prior), logs};
    }
    return fit;
  }

 private:
  static Matrix complete(const AnnotationTable& table, const FitContext& context, LabelFit& fit) {
    const Parameters& parameters = context.parameters;
    const auto classes = static_cast<Eigen::Index>(table.label_count());
    const Overlaps overlaps = overlaps_of(table, context.parallel);
    const Vector balance = Eigen::Map<const Vector>(fit.prior.data(), classes);
    Matrix start = Matrix::Zero(overlaps.alone.size(), classes);
    for (Eigen::Index i = 0; i < start.rows(); ++i) {
      const Eigen::Index k = i % classes;
      start(i, k) =
          std::clamp(overlaps.alone(i) * parameters.number("precision") / balance(k), 0.0, 1.0);
    }
    start *= RandomStream(context.seed, "generative start").uniform();
    const Completion objective{overlaps,
                               balance,
                               start,
                               classes,
                               parameters.number("l2"),
                               parameters.number("column_sums")};
    const auto iterations = static_cast<std::size_t>(parameters.number("iterations"));
    const double rate = parameters.number("learning_rate");
    const double momentum = parameters.number("momentum");
    Matrix mu = start;
    Matrix velocity = Matrix::Zero(mu.rows(), mu.cols());
    Matrix gradient;
    for (std::size_t t = 1; t <= iterations; ++t) {
      check_interrupt();
      const double value = objective.value(mu, gradient);
      if (!std::isfinite(value)) {
        throw InputError(
            "method 'generative': gradient descent diverged in step {}; expected a lower "
            "-p learning_rate than {}",
            t, rate);
      }
      fit.trace.push_back(value);
      fit.iterations = t;
      if (context.on_iteration) context.on_iteration(t, value);
      velocity = momentum * velocity + gradient;
      mu -= rate * velocity;
    }
    const double least = smallest_probability(table.task_count());
    mu = mu.cwiseMax(least).cwiseMin(1 - least);
    order_columns(balance, classes, mu);
    return mu;
  }

  static std::vector<double> logs_of(const Matrix& mu) {
    std::vector<double> logs;
    logs.reserve(static_cast<std::size_t>(mu.size()));
    for (Eigen::Index i = 0; i < mu.rows(); ++i) {
      for (Eigen::Index k = 0; k < mu.cols(); ++k) logs.push_back(portable_log(mu(i, k)));
    }
    return logs;
  }
};

}  // namespace

const LabelModel& generative() {
  static const Generative model;
  return model;
}

}  // namespace amalgam::labels::models
