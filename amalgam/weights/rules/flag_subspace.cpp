#include "amalgam/weights/rules/flag_subspace.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/averages.hpp"

namespace amalgam {
namespace {

// Keeps weights finite where a member lies in the subspace.
constexpr double kSmoothing = 1e-7;
// A Gram matrix squares condition numbers: eigenvalues below this share of the largest are
// rounding.
constexpr double kRankTolerance = 1e-10;

// A vector that should lie near the subspace: a direction, or a normalised difference
// factor_i u_i - factor_j u_j of two.
struct Column {
  std::size_t i = 0;
  std::size_t j = 0;
  double factor_i = 1;
  double factor_j = 0;
  double importance = 1;  // b
};

std::vector<Column> make_columns(const SmallMatrix& cosines, std::span<const double> norms,
                                 const FlagOptions& options) {
  const std::size_t p = cosines.size();
  std::vector<Column> columns;
  for (std::size_t i = 0; i < p; ++i) columns.push_back({.i = i, .j = i});
  if (options.lambda == 0.0) return columns;
  const double importance = 2 * options.lambda / static_cast<double>(p * (p - 1));
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = i + 1; j < p; ++j) {
      const double length_i = options.raw_pairs ? norms[i] : 1;
      const double length_j = options.raw_pairs ? norms[j] : 1;
      const double square =
          length_i * length_i + length_j * length_j - 2 * length_i * length_j * cosines(i, j);
      // Duplicates have no difference to preserve.
      if (square <= 1e-12 * (length_i * length_i + length_j * length_j)) continue;
      const double distance = std::sqrt(square);
      columns.push_back({i, j, length_i / distance, length_j / distance, importance});
    }
  }
  return columns;
}

// sum_c weight_c x_c x_c^T as a matrix over the directions.
SmallMatrix second_moment(std::span<const Column> columns, std::span<const double> weights,
                          std::size_t p) {
  SmallMatrix moment(p);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    moment(column.i, column.i) += weights[c] * column.factor_i * column.factor_i;
    if (column.i == column.j) continue;
    moment(column.j, column.j) += weights[c] * column.factor_j * column.factor_j;
    moment(column.i, column.j) -= weights[c] * column.factor_i * column.factor_j;
    moment(column.j, column.i) -= weights[c] * column.factor_i * column.factor_j;
  }
  return moment;
}

struct Subspace {
  SmallMatrix projector;
  std::vector<double> eigenvalues;
};

// The span of the m leading left singular vectors of the weighted columns. With moment = L L^T and
// L^T K L = V diag(e) V^T, an orthonormal basis is Y = G~ R, R = L V diag(e)^(-1/2).
Subspace leading_subspace(const SmallMatrix& cosines, const SmallMatrix& moment, std::size_t m) {
  const std::size_t p = cosines.size();
  const SmallMatrix lower = cholesky(moment);
  const EigenSystem eigen = eigen_system(lower.transposed() * cosines * lower);
  const SmallMatrix basis = lower * eigen.vectors;
  Subspace subspace{.projector = SmallMatrix(p), .eigenvalues = eigen.values};
  for (std::size_t c = 0; c < m; ++c) {
    const double value = eigen.values[c];
    if (!(value > kRankTolerance * eigen.values.front())) break;
    for (std::size_t i = 0; i < p; ++i) {
      for (std::size_t j = 0; j < p; ++j) {
        subspace.projector(i, j) += basis(i, c) * basis(j, c) / value;
      }
    }
  }
  return subspace;
}

struct Fit {
  Subspace subspace;
  std::vector<double> explained;  // of the columns; the first p are the members
  double objective = 0;
};

Fit explain(const SmallMatrix& cosines, std::span<const Column> columns, Subspace subspace) {
  const SmallMatrix energy = cosines * subspace.projector * cosines;
  Fit fit{.subspace = std::move(subspace), .explained = {}};
  for (const Column& column : columns) {
    double v = column.factor_i * column.factor_i * energy(column.i, column.i);
    if (column.i != column.j) {
      v += column.factor_j * column.factor_j * energy(column.j, column.j) -
           2 * column.factor_i * column.factor_j * energy(column.i, column.j);
    }
    v = std::clamp(v, 0.0, 1.0);
    fit.explained.push_back(v);
    fit.objective += column.importance * std::sqrt(1 - v + kSmoothing);
  }
  return fit;
}

// Majorise and minimise: sqrt is concave, so weighing each column by the slope of its term gives a
// quadratic above the objective, which the leading subspace minimises exactly.
Fit fit_subspace(const SmallMatrix& cosines, std::span<const double> norms, std::size_t m,
                 const FlagOptions& options, std::vector<double>& trace) {
  const std::vector<Column> columns = make_columns(cosines, norms, options);
  std::vector<double> weights;
  for (const Column& column : columns) weights.push_back(column.importance);
  Fit best;
  for (std::size_t iteration = 0; iteration < std::max<std::size_t>(1, options.iterations);
       ++iteration) {
    const SmallMatrix moment = second_moment(columns, weights, cosines.size());
    Fit fit = explain(cosines, columns, leading_subspace(cosines, moment, m));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      weights[c] = columns[c].importance / std::sqrt(1 - fit.explained[c] + kSmoothing);
    }
    const double before = trace.empty() ? std::numeric_limits<double>::infinity() : best.objective;
    trace.push_back(fit.objective);
    const double gain = before - fit.objective;
    if (gain > 0) best = std::move(fit);
    if (gain < 1e-10) break;
  }
  return best;
}

}  // namespace

FlagResult flag_aggregate(const SmallMatrix& products, const FlagOptions& options) {
  const std::size_t all = products.size();
  FlagResult result;
  result.weights.assign(all, 0.0);
  result.explained.assign(all, 0.0);
  result.projector = SmallMatrix(all);
  std::vector<double> lengths;        // of all finite members
  std::vector<std::size_t> directed;  // those of them that are not zero
  std::vector<double> norms;          // of these
  for (std::size_t i = 0; i < all; ++i) {
    const double norm = std::sqrt(products(i, i));
    if (!std::isfinite(norm)) {
      result.excluded.push_back(i);
      continue;
    }
    lengths.push_back(norm);
    if (norm > 0) {
      directed.push_back(i);
      norms.push_back(norm);
    }
  }
  if (directed.empty()) return result;

  const std::size_t p = directed.size();
  SmallMatrix cosines(p);
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = 0; j < p; ++j) {
      cosines(i, j) = i == j ? 1.0 : products(directed[i], directed[j]) / (norms[i] * norms[j]);
    }
  }
  const std::size_t m = options.subspace == 0 ? (lengths.size() + 2) / 2 : options.subspace;
  const Fit fit = fit_subspace(cosines, norms, std::min(m, p), options, result.objective);

  // Y Y^T sum_i s_i u_i = G~ P K s.
  std::vector<double> scales(p, 1.0);
  if (options.scaling == FlagScaling::raw) scales = norms;
  const std::vector<double> projected = fit.subspace.projector * (cosines * scales);
  double factor = 1 / static_cast<double>(lengths.size());
  if (options.scaling == FlagScaling::unit) factor *= median_of(lengths);
  if (options.scaling == FlagScaling::unit_m) factor = 1 / static_cast<double>(m);
  for (std::size_t i = 0; i < p; ++i) {
    result.weights[directed[i]] = factor * projected[i] / norms[i];
    result.explained[directed[i]] = fit.explained[i];
    for (std::size_t j = 0; j < p; ++j) {
      result.projector(directed[i], directed[j]) = fit.subspace.projector(i, j);
    }
  }
  for (const double value : fit.subspace.eigenvalues) {
    result.singular_values.push_back(std::sqrt(std::max(0.0, value)));
  }
  return result;
}

double beta_log_likelihood(std::span<const double> explained, double alpha, double beta) {
  int sign = 0;
  const double log_beta =
      lgamma_r(alpha, &sign) + lgamma_r(beta, &sign) - lgamma_r(alpha + beta, &sign);
  double sum = 0;
  for (const double v : explained) {
    // A factor of exponent zero is 1 even where its logarithm is infinite.
    if (alpha != 1.0) sum += (alpha - 1) * std::log(v);
    if (beta != 1.0) sum += (beta - 1) * std::log1p(-v);
    sum -= log_beta;
  }
  return sum;
}

}  // namespace amalgam
