#include "amalgam/labels/models/verifiers.hpp"

#include <cmath>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/models/em.hpp"

namespace amalgam::labels::models {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

struct YesCounts {
  Matrix common;  ///< both voted
  Matrix yes;     ///< both voted, and the row's worker yes
  Matrix both;    ///< both yes

  void combine(YesCounts&& right) {
    common += right.common;
    yes += right.yes;
    both += right.both;
  }
};

YesCounts count_yes(const AnnotationTable& table, const Parallel& parallel) {
  const auto workers = static_cast<Eigen::Index>(table.worker_count());
  const std::size_t leaves =
      leaves_for(table, 3 * table.worker_count() * table.worker_count() * sizeof(double));
  return *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    YesCounts counts{Matrix::Zero(workers, workers), Matrix::Zero(workers, workers),
                     Matrix::Zero(workers, workers)};
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      for (std::size_t a = first; a < last; ++a) {
        for (std::size_t b = first; b < last; ++b) {
          const Worker v = table.workers[b];
          const Worker w = table.workers[a];
          if (v == w) continue;
          const double weight = table.weight(a) * table.weight(b);
          counts.common(v, w) += weight;
          if (table.labels[b] == 0) continue;
          counts.yes(v, w) += weight;
          if (table.labels[a] != 0) counts.both(v, w) += weight;
        }
      }
    }
    return counts;
  });
}

// The leading eigenvector, times the root of its eigenvalue, by power iterations, its sum not
// negative. Entries near 0, as those of workers who share no task with the leading ones, are
// lifted to the root of the mean size of the matrix's: from 0 nothing starts.
Vector start_of(const Matrix& matrix) {
  constexpr int kIterations = 500;
  const double shift = matrix.cwiseAbs().rowwise().sum().maxCoeff();
  Vector x = matrix.rowwise().sum();
  x.array() += shift / static_cast<double>(matrix.rows());
  for (int i = 0; i < kIterations && x.norm() > 0; ++i) {
    x /= x.norm();
    x = matrix * x + shift * x;
  }
  const double length = x.norm();
  const double value = length > 0 ? x.dot(matrix * x) / (length * length) : 0;
  x *= value > 0 ? std::sqrt(value) / length : 0;
  if (x.sum() < 0) x = -x;
  const double typical = std::sqrt(matrix.cwiseAbs().mean());
  for (double& entry : x) {
    if (std::abs(entry) < typical / 10) entry = entry < 0 ? -typical : typical;
  }
  return x;
}

// The workers reached from `first` over common tasks, in two sides if there is no odd cycle among
// them.
struct Component {
  std::vector<Eigen::Index> sides[2];
  bool has_odd_cycle = false;
};
Component component_of(const Matrix& common, Eigen::Index first, std::vector<int>& side) {
  Component component;
  std::vector<Eigen::Index> open{first};
  side[static_cast<std::size_t>(first)] = 0;
  while (!open.empty()) {
    const Eigen::Index v = open.back();
    open.pop_back();
    const int mine = side[static_cast<std::size_t>(v)];
    component.sides[mine].push_back(v);
    for (Eigen::Index w = 0; w < common.rows(); ++w) {
      if (!(common(w, v) > 0)) continue;
      int& other = side[static_cast<std::size_t>(w)];
      component.has_odd_cycle = component.has_odd_cycle || other == mine;
      if (other >= 0) continue;
      other = 1 - mine;
      open.push_back(w);
    }
  }
  return component;
}

// Workers without a common task are told apart from no product: the sign of each component is the
// one with which its sum is not negative. Where only products of two sides are known, both get the
// same norm.
void settle_components(const Matrix& common, Vector& u) {
  std::vector<int> side(static_cast<std::size_t>(u.size()), -1);
  for (Eigen::Index v = 0; v < u.size(); ++v) {
    if (side[static_cast<std::size_t>(v)] >= 0) continue;
    const Component component = component_of(common, v, side);
    double squares[2] = {0, 0};
    double sum = 0;
    for (int s = 0; s < 2; ++s) {
      for (const Eigen::Index w : component.sides[s]) squares[s] += u(w) * u(w);
    }
    const bool free = !component.has_odd_cycle && squares[0] > 0 && squares[1] > 0;
    const double scale = free ? std::sqrt(std::sqrt(squares[1] / squares[0])) : 1;
    for (int s = 0; s < 2; ++s) {
      for (const Eigen::Index w : component.sides[s]) {
        u(w) *= s == 0 ? scale : 1 / scale;
        sum += u(w);
      }
    }
    if (sum >= 0) continue;
    for (const auto& one : component.sides) {
      for (const Eigen::Index w : one) u(w) = -u(w);
    }
  }
}

// The sum over triples of the product of three, from power sums.
double third_symmetric(double one, double two, double three) {
  return (one * one * one - 3 * one * two + 2 * three) / 6;
}

struct SkewSums {
  double above = 0;
  double below = 0;

  void combine(SkewSums&& right) {
    above += right.above;
    below += right.below;
  }
};

}  // namespace

VerifierMoments verifier_moments(const AnnotationTable& table, const Parallel& parallel) {
  VerifierMoments moments;
  moments.means.assign(table.worker_count(), 0);
  const std::vector<double> all = annotation_weights(table);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.labels[row] != 0) moments.means[table.workers[row]] += table.weight(row);
  }
  for (std::size_t w = 0; w < all.size(); ++w) {
    moments.means[w] = all[w] > 0 ? moments.means[w] / all[w] : 0.5;
  }
  YesCounts counts = count_yes(table, parallel);
  Matrix covariance = Matrix::Zero(counts.common.rows(), counts.common.cols());
  for (Eigen::Index w = 0; w < covariance.cols(); ++w) {
    for (Eigen::Index v = 0; v < covariance.rows(); ++v) {
      const double n = counts.common(v, w);
      if (!(n > 0)) continue;
      covariance(v, w) = counts.both(v, w) / n - counts.yes(v, w) / n * (counts.yes(w, v) / n);
    }
  }
  moments.covariance = {std::move(covariance), std::move(counts.common)};
  return moments;
}

std::vector<double> rank_one_fit(const PairMoments& covariance) {
  constexpr int kMostSweeps = 10'000;
  constexpr double kSmall = 1e-14;
  const Matrix weighted = covariance.common.cwiseProduct(covariance.values);
  Vector u = start_of(covariance.values);
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    check_interrupt();
    double change = 0;
    for (Eigen::Index v = 0; v < u.size(); ++v) {
      // The diagonals of both matrices are 0.
      const double below = covariance.common.col(v).dot(u.cwiseProduct(u));
      const double next = below > 0 ? weighted.col(v).dot(u) / below : 0;
      change = std::max(change, std::abs(next - u(v)));
      u(v) = next;
    }
    if (change <= kSmall) break;
  }
  settle_components(covariance.common, u);
  return {u.data(), u.data() + u.size()};
}

std::optional<double> estimated_skew(const AnnotationTable& table, std::span<const double> means,
                                     std::span<const double> u, const Parallel& parallel) {
  const std::size_t leaves = leaves_for(table, sizeof(SkewSums));
  // Weighting the triples by the tasks that they share makes both sums ones over tasks.
  const SkewSums sums = *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
    SkewSums part;
    const auto [begin, end] = leaf_range(table, leaf, leaves);
    for (Task task = begin; task < end; ++task) {
      const auto [first, last] = table.rows_of(task);
      double x[3] = {0, 0, 0};
      double squares[3] = {0, 0, 0};
      for (std::size_t row = first; row < last; ++row) {
        const Worker worker = table.workers[row];
        const double scaled = u[worker] * ((table.labels[row] != 0 ? 1 : 0) - means[worker]);
        const double square = u[worker] * u[worker];
        x[0] += scaled;
        x[1] += scaled * scaled;
        x[2] += scaled * scaled * scaled;
        squares[0] += square;
        squares[1] += square * square;
        squares[2] += square * square * square;
      }
      part.above += third_symmetric(x[0], x[1], x[2]);
      part.below += third_symmetric(squares[0], squares[1], squares[2]);
    }
    return part;
  });
  if (!(sums.below > 1e-30)) return std::nullopt;
  return sums.above / sums.below;
}

double share_of_skew(double skew) { return (1 - skew / std::sqrt(4 + skew * skew)) / 2; }

}  // namespace amalgam::labels::models
