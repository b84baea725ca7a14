#include "amalgam/labels/bags/linear_model.hpp"

#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {
namespace {

using Eigen::Index;
using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

Matrix as_matrix(const std::vector<double>& values, std::size_t side) {
  return Eigen::Map<const Matrix>(values.data(), static_cast<Index>(side),
                                  static_cast<Index>(side));
}

Vector as_vector(const std::vector<double>& values) {
  return Eigen::Map<const Vector>(values.data(), static_cast<Index>(values.size()));
}

void check_options(const LinearBagOptions& options) {
  if (!std::isfinite(options.rho) || options.rho < 0) {
    throw InputError("rho is {}; expected a finite number >= 0", options.rho);
  }
  if (!std::isfinite(options.ridge) || options.ridge < 0) {
    throw InputError("the ridge is {}; expected a finite number >= 0", options.ridge);
  }
}

// Below this share of the largest, an eigenvalue of a matrix with ones on its diagonal is zero.
double least_share(Index side) {
  return 16 * static_cast<double>(side) * std::numeric_limits<double>::epsilon();
}

// The factors that bring the diagonal of a positive semidefinite matrix to ones, so that what is
// singular does not depend on the features' units.
Vector equilibration(const Matrix& matrix) {
  return matrix.diagonal().unaryExpr([](double d) { return d > 0 ? 1 / std::sqrt(d) : 1.0; });
}

struct Solution {
  Vector theta;
  std::size_t rank = 0;
};

// Of all theta with matrix * theta = right the one of minimum norm.
Solution solve_singular(const Matrix& scaled, const Vector& scale, const Vector& right) {
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(scaled);
  const Vector& values = eigen.eigenvalues();
  const double least = least_share(values.size()) * values.maxCoeff();
  Index null = 0;
  while (null < values.size() && !(values[null] > least)) ++null;
  const Index rank = values.size() - null;
  const Matrix range = eigen.eigenvectors().rightCols(rank);
  Vector theta = scale.cwiseProduct(
      range * ((range.transpose() * scale.cwiseProduct(right)).cwiseQuotient(values.tail(rank))));
  if (null > 0) {
    const Matrix kernel = scale.asDiagonal() * eigen.eigenvectors().leftCols(null);
    theta -= kernel * kernel.householderQr().solve(theta);
  }
  return {std::move(theta), static_cast<std::size_t>(rank)};
}

Solution solve(const Matrix& matrix, const Vector& right) {
  const Vector scale = equilibration(matrix);
  const Matrix scaled = scale.asDiagonal() * matrix * scale.asDiagonal();
  const Eigen::LLT<Matrix> factor(scaled);
  if (factor.info() == Eigen::Success && factor.rcond() > least_share(matrix.rows())) {
    return {scale.cwiseProduct(factor.solve(scale.cwiseProduct(right))),
            static_cast<std::size_t>(matrix.rows())};
  }
  return solve_singular(scaled, scale, right);
}

LinearBagModel make_model(const LinearBagState& state, const LinearBagOptions& options,
                          const Solution& solution) {
  LinearBagModel model{.coefficients = {solution.theta.begin(), solution.theta.end()},
                       .intercept = 0,
                       .options = options,
                       .rank = solution.rank};
  if (options.intercept) {
    model.intercept = state.response_mean() - solution.theta.dot(as_vector(state.mean()));
  }
  return model;
}

void check_state(const LinearBagState& state) {
  if (state.bags() == 0) throw InputError("there are no bags to fit a linear model to");
}

}  // namespace

LinearBagModel fit_linear(const LinearBagState& state, const LinearBagOptions& options) {
  check_options(options);
  check_state(state);
  // The intercept's column has no scatter within bags: centring the means is the same as adding it.
  Matrix matrix = as_matrix(state.between(options.intercept), state.features()) +
                  options.rho * as_matrix(state.within(), state.features());
  matrix.diagonal().array() += options.ridge;
  return make_model(state, options, solve(matrix, as_vector(state.cross(options.intercept))));
}

double LinearBagModel::predict(std::span<const double> row) const {
  if (row.size() != coefficients.size()) {
    throw InputError("a row has {} features, but the model has {} coefficients", row.size(),
                     coefficients.size());
  }
  double sum = intercept;
  for (std::size_t j = 0; j < row.size(); ++j) sum += coefficients[j] * row[j];
  return sum;
}

std::vector<double> predict_rows(const LinearBagModel& model, const BagData& data) {
  std::vector<double> predictions(data.rows());
  for (std::size_t row = 0; row < data.rows(); ++row) {
    predictions[row] = model.predict(data.row(row));
  }
  return predictions;
}

std::string identification_warning(const LinearBagState& state, const LinearBagModel& model) {
  if (!model.minimum_norm()) return "";
  const std::string found =
      fmt::format("{} of {} coefficients are identified", model.rank, model.coefficients.size());
  if (model.options.rho > 0) {
    return found +
           ", as features depend on each other linearly: of all solutions the one of minimum norm"
           " is taken; a ridge has one solution only";
  }
  return fmt::format(
      "{} by the means of {} bags: of all solutions the one of minimum norm is taken; a rho above 0"
      " or a ridge has one solution only",
      found, state.bags());
}

BagLosses linear_losses(const LinearBagState& state, const LinearBagModel& model) {
  check_state(state);
  const Vector theta = as_vector(model.coefficients);
  if (theta.size() != static_cast<Index>(state.features())) {
    throw InputError("the model has {} coefficients, but the bags have {} features", theta.size(),
                     state.features());
  }
  const auto rows = static_cast<double>(state.rows());
  const double offset =
      state.response_mean() - model.intercept - theta.dot(as_vector(state.mean()));
  const double about_means = state.response_square(true) -
                             2 * theta.dot(as_vector(state.cross(true))) +
                             theta.dot(as_matrix(state.between(true), state.features()) * theta);
  BagLosses losses;
  losses.bag = offset * offset + std::max(0.0, about_means) / rows;
  losses.spread = theta.dot(as_matrix(state.within(), state.features()) * theta) / rows;
  losses.instance = losses.bag + losses.spread;
  return losses;
}

// A + rho B + ridge I = V^-T diag(1 + (rho - 1) mu) V^-1, where V^T (A + B + ridge I) V = I and
// V^T B V = diag(mu), 0 <= mu <= 1.
struct LinearRhoPath::Decomposition {
  LinearBagState state;
  LinearBagOptions options;
  bool usable = false;
  Vector scale;
  Vector mu;
  Matrix vectors;
  Vector projected;  // V^T c
};

LinearRhoPath::LinearRhoPath(const LinearBagState& state, double ridge, bool intercept)
    : decomposition_(
          new Decomposition{.state = state,
                            .options = {.rho = 1, .ridge = ridge, .intercept = intercept},
                            .usable = false,
                            .scale = {},
                            .mu = {},
                            .vectors = {},
                            .projected = {}}) {
  Decomposition& path = *decomposition_;
  check_options(path.options);
  check_state(state);
  const Matrix within = as_matrix(state.within(), state.features());
  Matrix total = as_matrix(state.between(intercept), state.features()) + within;
  total.diagonal().array() += ridge;
  path.scale = equilibration(total);
  const Matrix scaled = path.scale.asDiagonal() * total * path.scale.asDiagonal();
  const Eigen::LLT<Matrix> factor(scaled);
  if (factor.info() != Eigen::Success || factor.rcond() <= least_share(total.rows())) return;
  const Matrix scaled_within = path.scale.asDiagonal() * within * path.scale.asDiagonal();
  const Eigen::GeneralizedSelfAdjointEigenSolver<Matrix> eigen(scaled_within, scaled);
  if (eigen.info() != Eigen::Success) return;
  path.mu = eigen.eigenvalues().cwiseMax(0).cwiseMin(1);
  path.vectors = eigen.eigenvectors();
  path.projected =
      path.vectors.transpose() * path.scale.cwiseProduct(as_vector(state.cross(intercept)));
  path.usable = true;
}

LinearRhoPath::~LinearRhoPath() = default;
LinearRhoPath::LinearRhoPath(LinearRhoPath&&) noexcept = default;
LinearRhoPath& LinearRhoPath::operator=(LinearRhoPath&&) noexcept = default;

LinearBagModel LinearRhoPath::at(double rho) const {
  const Decomposition& path = *decomposition_;
  LinearBagOptions options = path.options;
  options.rho = rho;
  check_options(options);
  if (!path.usable) return fit_linear(path.state, options);
  const Vector denominators = (1 + (rho - 1) * path.mu.array()).matrix();
  // What is left of A where the scatter is nearly all within bags has no correct digits.
  if (denominators.minCoeff() < 1e-8) return fit_linear(path.state, options);
  Solution solution{
      .theta = path.scale.cwiseProduct(path.vectors * path.projected.cwiseQuotient(denominators)),
      .rank = path.state.features()};
  return make_model(path.state, options, solution);
}

std::vector<double> standard_rho_grid() {
  return {0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 5};
}

LinearBagChoice choose_linear(std::span<const LinearBagState> folds,
                              std::vector<LinearBagOptions> candidates) {
  if (candidates.empty()) throw InputError("cross-validation needs at least one candidate");
  const auto filled =
      std::ranges::count_if(folds, [](const LinearBagState& one) { return one.bags() > 0; });
  if (filled < 2) {
    throw InputError("cross-validation on whole bags needs at least 2 parts with bags, not {}",
                     filled);
  }
  LinearBagChoice choice{.candidates = std::move(candidates), .scores = {}, .best = 0, .model = {}};
  choice.scores.assign(choice.candidates.size(), 0);
  const auto fit_all = [&](const LinearBagState& state, const auto& use) {
    std::unique_ptr<LinearRhoPath> path;
    for (std::size_t i = 0; i < choice.candidates.size(); ++i) {
      const LinearBagOptions& one = choice.candidates[i];
      const bool same = path && choice.candidates[i - 1].ridge == one.ridge &&
                        choice.candidates[i - 1].intercept == one.intercept;
      if (!same) path = std::make_unique<LinearRhoPath>(state, one.ridge, one.intercept);
      use(i, path->at(one.rho));
    }
  };
  double rows = 0;
  for (std::size_t held_out = 0; held_out < folds.size(); ++held_out) {
    if (folds[held_out].bags() == 0) continue;
    LinearBagState others(folds[held_out].features());
    for (std::size_t i = 0; i < folds.size(); ++i) {
      if (i != held_out) others.combine(LinearBagState(folds[i]));
    }
    const auto weight = static_cast<double>(folds[held_out].rows());
    rows += weight;
    fit_all(others, [&](std::size_t i, const LinearBagModel& model) {
      choice.scores[i] += weight * linear_losses(folds[held_out], model).bag;
    });
  }
  for (double& score : choice.scores) score /= rows;
  choice.best =
      static_cast<std::size_t>(std::ranges::min_element(choice.scores) - choice.scores.begin());
  LinearBagState all(folds.front().features());
  for (const LinearBagState& one : folds) all.combine(LinearBagState(one));
  choice.model = fit_linear(all, choice.candidates[choice.best]);
  return choice;
}

std::vector<LinearBagState> fold_states(const BagData& data, std::size_t folds,
                                        std::uint64_t seed) {
  check_bag_data(data);
  std::vector<LinearBagState> states;
  for (const auto& bags : bag_folds(data.bags.count(), folds, seed)) {
    states.push_back(state_of_bags(data, bags));
  }
  return states;
}

}  // namespace amalgam::labels
