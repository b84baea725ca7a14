#include "amalgam/labels/models/glad_solver.hpp"

#include <cmath>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"

namespace amalgam::labels::models {
namespace {

/// Sums over workers of one leaf, with up to two columns and a number.
struct WorkerSums {
  std::vector<double> first;
  std::vector<double> second;
  double value = 0;

  void combine(WorkerSums&& right) {
    for (std::size_t w = 0; w < first.size(); ++w) first[w] += right.first[w];
    for (std::size_t w = 0; w < second.size(); ++w) second[w] += right.second[w];
    value += right.value;
  }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

class GladProblem {
 public:
  GladProblem(const AnnotationTable& table, const SoftLabels& posterior, const Parallel& parallel)
      : table_(table),
        posterior_(posterior),
        parallel_(parallel),
        workers_(table.worker_count()),
        residual_(table.rows()),
        curvature_(table.rows()),
        coupling_(table.rows()),
        task_gradient_(table.task_count()),
        task_curvature_(table.task_count()) {}

  /// The objective at `at`, and everything about the point that a step needs.
  double evaluate(const GladParameters& at) {
    WorkerSums sums = over_tasks(1, [&](Task task, WorkerSums& leaf) {
      const auto [first, last] = table_.rows_of(task);
      const double ease = portable_exp(at.log_easiness[task]);
      const double shift = at.log_easiness[task] - 1;
      double gradient = -shift;
      leaf.value -= 0.5 * shift * shift;
      for (std::size_t row = first; row < last; ++row) {
        const Worker worker = table_.workers[row];
        const double x = at.ability[worker] * ease;
        const double q = posterior_.values[task * posterior_.classes + table_.labels[row]];
        const LogisticPair s = logistic_pair(x);
        const double weight = table_.weight(row);
        leaf.value += weight * (s.log - (1 - q) * x);
        residual_[row] = weight * (q - s.probability);
        curvature_[row] = weight * s.probability * (1 - s.probability);
        gradient += residual_[row] * x;
        leaf.first[worker] += residual_[row] * ease;
      }
      task_gradient_[task] = gradient;
    });
    worker_gradient_ = std::move(sums.first);
    for (std::size_t w = 0; w < workers_; ++w) {
      const double shift = at.ability[w] - 1;
      worker_gradient_[w] -= shift;
      sums.value -= 0.5 * shift * shift;
    }
    return sums.value;
  }

  double gradient_norm() const {
    return std::sqrt(dot(worker_gradient_, worker_gradient_) + dot(task_gradient_, task_gradient_));
  }

  /// A direction in which the objective rises from the point evaluated last, `at`; returns its
  /// slope.
  double direction(const GladParameters& at, GladParameters& step) {
    // Beyond the range of numbers (of huge weights) neither is a direction.
    if (!solve(at, false, step) && !solve(at, true, step)) {
      step.ability = worker_gradient_;
      step.log_easiness = task_gradient_;
    }
    return dot(worker_gradient_, step.ability) + dot(task_gradient_, step.log_easiness);
  }

 private:
  template <class Body>
  WorkerSums over_tasks(std::size_t columns, const Body& body) const {
    const std::size_t leaves = leaves_for(table_, columns * workers_ * sizeof(double));
    return *fold(parallel_, leaves, [&](std::size_t leaf, std::size_t) {
      WorkerSums sums;
      sums.first.assign(workers_, 0);
      if (columns > 1) sums.second.assign(workers_, 0);
      const auto [begin, end] = leaf_range(table_, leaf, leaves);
      for (Task task = begin; task < end; ++task) body(task, sums);
      return sums;
    });
  }

  // The blocks of the negated Hessian: workers' and tasks' diagonals, and the coupling of each
  // annotation's two. Gauss and Newton's leaves out what residuals add. Also the right side after
  // the tasks' elimination and the diagonal of what remains.
  void fill_hessian(const GladParameters& at, bool gauss_newton) {
    WorkerSums sums = over_tasks(2, [&](Task task, WorkerSums& leaf) {
      const auto [first, last] = table_.rows_of(task);
      const double ease = portable_exp(at.log_easiness[task]);
      double safe = 1;
      double exact = 1;
      for (std::size_t row = first; row < last; ++row) {
        const Worker worker = table_.workers[row];
        const double x = at.ability[worker] * ease;
        const double part = curvature_[row] * x * x;
        safe += part;
        exact += part - residual_[row] * x;
        coupling_[row] = curvature_[row] * x * ease - (gauss_newton ? 0 : residual_[row] * ease);
        leaf.first[worker] += curvature_[row] * ease * ease;
      }
      const double diagonal = gauss_newton || exact < 1e-3 * safe ? safe : exact;
      task_curvature_[task] = diagonal;
      const double ratio = task_gradient_[task] / diagonal;
      for (std::size_t row = first; row < last; ++row) {
        leaf.second[table_.workers[row]] += coupling_[row] * ratio;
      }
    });
    worker_curvature_ = std::move(sums.first);
    right_side_ = worker_gradient_;
    for (std::size_t w = 0; w < workers_; ++w) {
      worker_curvature_[w] += 1;
      right_side_[w] -= sums.second[w];
    }
  }

  // The workers' block after the tasks are eliminated, times `x`.
  std::vector<double> reduced_times(const std::vector<double>& x) const {
    WorkerSums sums = over_tasks(1, [&](Task task, WorkerSums& leaf) {
      const auto [first, last] = table_.rows_of(task);
      double along = 0;
      for (std::size_t row = first; row < last; ++row) {
        along += coupling_[row] * x[table_.workers[row]];
      }
      along /= task_curvature_[task];
      for (std::size_t row = first; row < last; ++row) {
        leaf.first[table_.workers[row]] += coupling_[row] * along;
      }
    });
    for (std::size_t w = 0; w < workers_; ++w) {
      sums.first[w] = worker_curvature_[w] * x[w] - sums.first[w];
    }
    return std::move(sums.first);
  }

  // Preconditioned conjugate gradients; false where the curvature is not positive.
  bool solve(const GladParameters& at, bool gauss_newton, GladParameters& step) {
    constexpr std::size_t kMostProducts = 250;
    fill_hessian(at, gauss_newton);
    const double norm = gradient_norm();
    const double accuracy = std::min(0.1, norm) * std::sqrt(dot(right_side_, right_side_));
    std::vector<double>& x = step.ability;
    x.assign(workers_, 0);
    std::vector<double> residual = right_side_;
    std::vector<double> scaled(workers_);
    const auto precondition = [&] {
      for (std::size_t w = 0; w < workers_; ++w) scaled[w] = residual[w] / worker_curvature_[w];
    };
    precondition();
    std::vector<double> along = scaled;
    double product = dot(residual, scaled);
    for (std::size_t k = 0; k < kMostProducts; ++k) {
      if (std::sqrt(dot(residual, residual)) <= accuracy) break;
      const std::vector<double> image = reduced_times(along);
      const double curvature = dot(along, image);
      if (!(curvature > 0)) return false;
      const double length = product / curvature;
      for (std::size_t w = 0; w < workers_; ++w) {
        x[w] += length * along[w];
        residual[w] -= length * image[w];
      }
      precondition();
      const double next = dot(residual, scaled);
      const double keep = next / product;
      product = next;
      for (std::size_t w = 0; w < workers_; ++w) along[w] = scaled[w] + keep * along[w];
    }
    step.log_easiness.resize(table_.task_count());
    parallel_for(parallel_, task_blocks(table_), [&](std::size_t block, std::size_t) {
      const TaskRange range = task_range(table_, block);
      for (Task task = range.begin; task < range.end; ++task) {
        const auto [first, last] = table_.rows_of(task);
        double rest = task_gradient_[task];
        for (std::size_t row = first; row < last; ++row) {
          rest -= coupling_[row] * x[table_.workers[row]];
        }
        step.log_easiness[task] = rest / task_curvature_[task];
      }
    });
    return dot(worker_gradient_, x) + dot(task_gradient_, step.log_easiness) > 0;
  }

  const AnnotationTable& table_;
  const SoftLabels& posterior_;
  const Parallel& parallel_;
  std::size_t workers_;
  std::vector<double> residual_;   // [rows] posterior of the label minus its probability
  std::vector<double> curvature_;  // [rows] probability of being right times that of being wrong
  std::vector<double> coupling_;   // [rows]
  std::vector<double> worker_gradient_;
  std::vector<double> task_gradient_;
  std::vector<double> worker_curvature_;
  std::vector<double> task_curvature_;
  std::vector<double> right_side_;
};

void move(const GladParameters& from, const GladParameters& step, double length,
          GladParameters& to) {
  for (std::size_t w = 0; w < from.ability.size(); ++w) {
    to.ability[w] = from.ability[w] + length * step.ability[w];
  }
  for (std::size_t i = 0; i < from.log_easiness.size(); ++i) {
    to.log_easiness[i] = from.log_easiness[i] + length * step.log_easiness[i];
  }
}

}  // namespace

GladMaximum maximise_glad(const AnnotationTable& table, const SoftLabels& posterior,
                          std::size_t most_steps, double tolerance, const Parallel& parallel,
                          GladParameters& parameters) {
  constexpr double kShortest = 1e-9;
  GladProblem problem(table, posterior, parallel);
  GladMaximum result;
  GladParameters step;
  GladParameters next = parameters;
  double value = problem.evaluate(parameters);
  while (true) {
    check_interrupt();
    result.gradient_norm = problem.gradient_norm();
    result.solved = result.gradient_norm <= tolerance;
    if (result.solved || result.steps == most_steps) return result;
    const double slope = problem.direction(parameters, step);
    const double rounding = 1e-13 * (1 + std::abs(value));
    double length = 1;
    double next_value = 0;
    while (true) {
      move(parameters, step, length, next);
      next_value = problem.evaluate(next);
      if (next_value >= value + 1e-4 * length * slope - rounding) break;
      length /= 2;
      if (length < kShortest) {
        problem.evaluate(parameters);
        return result;
      }
    }
    std::swap(parameters, next);
    value = next_value;
    ++result.steps;
  }
}

}  // namespace amalgam::labels::models
