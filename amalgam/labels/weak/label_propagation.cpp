#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/weak/baselines.hpp"

namespace amalgam::labels {
namespace {

using Matrix = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> as_matrix(const Features& features) {
  return {features.values.data(), static_cast<Eigen::Index>(features.rows),
          static_cast<Eigen::Index>(features.columns)};
}

Matrix squared_distances(const Features& a, const Features& b) {
  const auto left = as_matrix(a);
  const auto right = as_matrix(b);
  Matrix distances = -2 * left * right.transpose();
  distances.colwise() += left.rowwise().squaredNorm();
  distances.rowwise() += right.rowwise().squaredNorm().transpose();
  return distances.cwiseMax(0);
}

Matrix kernel(const Matrix& distances, double gamma) {
  return distances.unaryExpr([&](double d) { return portable_exp(-gamma * d); });
}

// The graph of labelled rows (first) and unlabelled ones.
class Graph {
 public:
  Graph(const LabelledRows& labelled, const Features& unlabelled)
      : labelled_(labelled),
        known_(static_cast<Eigen::Index>(labelled.features.rows)),
        among_known_(squared_distances(labelled.features, labelled.features)),
        between_(squared_distances(unlabelled, labelled.features)),
        among_unknown_(squared_distances(unlabelled, unlabelled)),
        targets_(Matrix::Zero(known_, static_cast<Eigen::Index>(labelled.classes))) {
    for (Eigen::Index i = 0; i < known_; ++i) {
      targets_(i, labelled.labels[static_cast<std::size_t>(i)]) = 1;
    }
  }

  struct Solution {
    Matrix values;  // [labelled + unlabelled, classes]
    double leave_one_out = 0;
  };

  // With D the degrees and W the edges (no loops), (D - W) F = 0 at unknown rows. Both sides are
  // scaled by D^{-1/2}; a little is added to the diagonal, so that rows without a way to a labelled
  // one get the uniform values that are added to the right.
  Solution solve(double gamma) const {
    constexpr double kLittle = 1e-9;
    const auto classes = static_cast<Eigen::Index>(labelled_.classes);
    const Matrix to_known = kernel(between_, gamma);
    Matrix system = kernel(among_unknown_, gamma);
    system.diagonal().setZero();
    const Eigen::VectorXd degrees = system.rowwise().sum() + to_known.rowwise().sum();
    constexpr double kLeast = 1e-280;
    const Eigen::VectorXd scale = degrees.cwiseMax(kLeast).cwiseSqrt().cwiseInverse();
    system = -(scale.asDiagonal() * system * scale.asDiagonal());
    system.diagonal().array() += 1 + kLittle;
    const Eigen::LLT<Matrix> factor(system);
    const Matrix scaled = scale.asDiagonal() * to_known;
    const Eigen::VectorXd uniform =
        Eigen::VectorXd::Constant(degrees.size(), kLittle / static_cast<double>(classes))
            .cwiseQuotient(scale);
    const Matrix through = factor.solve(scaled);
    const Eigen::VectorXd free = factor.solve(uniform);

    Solution solution;
    solution.values.resize(known_ + degrees.size(), classes);
    solution.values.topRows(known_) = targets_;
    Matrix unknown = through * targets_;
    unknown.colwise() += free;
    unknown = scale.asDiagonal() * unknown;
    const Eigen::VectorXd sums = unknown.rowwise().sum();
    solution.values.bottomRows(degrees.size()) = sums.cwiseInverse().asDiagonal() * unknown;
    solution.leave_one_out = leave_one_out(kernel(among_known_, gamma), scaled, through);
    return solution;
  }

 private:
  // Eliminating the unknown rows leaves edges between the known ones only: W + W_LU M W_UL with M
  // the inverse of the system. A hidden row's values are the others' mean by these edges.
  double leave_one_out(Matrix edges, const Matrix& scaled, const Matrix& through) const {
    edges += scaled.transpose() * through;
    double right = 0;
    for (Eigen::Index i = 0; i < known_; ++i) {
      Eigen::RowVectorXd row = edges.row(i);
      row(i) = 0;
      const Eigen::RowVectorXd votes = row * targets_;
      Eigen::Index guess = 0;
      if (votes.maxCoeff(&guess) <= 0) continue;  // connected with nothing
      right += guess == labelled_.labels[static_cast<std::size_t>(i)] ? 1 : 0;
    }
    return right / static_cast<double>(known_);
  }

  const LabelledRows& labelled_;
  Eigen::Index known_;
  Matrix among_known_;
  Matrix between_;  // [unlabelled, labelled]
  Matrix among_unknown_;
  Matrix targets_;
};

Features joined(const Features& above, const Features& below) {
  Features all = above;
  all.rows += below.rows;
  all.values.insert(all.values.end(), below.values.begin(), below.values.end());
  return all;
}

SoftLabels spread_to(const Features& rows, const Features& graph, const Matrix& values,
                     double gamma) {
  SoftLabels soft(rows.rows, static_cast<std::size_t>(values.cols()));
  constexpr std::size_t kBlock = 512;
  for (std::size_t begin = 0; begin < rows.rows; begin += kBlock) {
    check_interrupt();
    const std::size_t count = std::min(kBlock, rows.rows - begin);
    Features some(count, rows.columns);
    std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(begin * rows.columns),
                count * rows.columns, some.values.begin());
    Matrix distances = squared_distances(some, graph);
    // The nearest row gets weight 1, however far it is.
    distances.colwise() -= Eigen::VectorXd(distances.rowwise().minCoeff());
    const Matrix sums = kernel(distances, gamma) * values;
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      const double total = sums.row(at).sum();
      for (std::size_t k = 0; k < soft.classes; ++k) {
        soft.row(begin + i)[k] = sums(at, static_cast<Eigen::Index>(k)) / total;
      }
    }
  }
  return soft;
}

}  // namespace

std::vector<double> propagation_gammas() { return {.01, .1, .5, 1, 5, 10, 20}; }

Propagation propagate_labels(const LabelledRows& labelled, const Features& unlabelled,
                             const Features& rows, const PropagationOptions& options) {
  check_labelled(labelled, "label propagation");
  check_finite(unlabelled, "label propagation");
  check_finite(rows, "label propagation");
  if (unlabelled.columns != labelled.features.columns || rows.columns != unlabelled.columns) {
    throw InputError(
        "label propagation: {}, {} and {} features of labelled, unlabelled and other "
        "rows; expected as many of each",
        labelled.features.columns, unlabelled.columns, rows.columns);
  }
  if (labelled.features.rows + unlabelled.rows > options.most_rows) {
    throw InputError("label propagation: a graph of {} rows; expected at most {}",
                     labelled.features.rows + unlabelled.rows, options.most_rows);
  }
  const Graph graph(labelled, unlabelled);
  Propagation result;
  result.tried = options.gamma ? std::vector<double>{*options.gamma} : propagation_gammas();
  Graph::Solution best;
  for (const double gamma : result.tried) {
    check_interrupt();
    if (!(gamma > 0) || !std::isfinite(gamma)) {
      throw InputError("label propagation: gamma is {}; expected a number above 0", gamma);
    }
    Graph::Solution one = graph.solve(gamma);
    result.tried_accuracy.push_back(one.leave_one_out);
    if (result.gamma > 0 && one.leave_one_out <= best.leave_one_out) continue;
    result.gamma = gamma;
    best = std::move(one);
  }
  result.leave_one_out = best.leave_one_out;
  result.soft = spread_to(rows, joined(labelled.features, unlabelled), best.values, result.gamma);
  return result;
}

}  // namespace amalgam::labels
