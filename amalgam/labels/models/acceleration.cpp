#include "amalgam/labels/models/acceleration.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <utility>

namespace amalgam::labels::models {
namespace {

constexpr std::size_t kWindow = 10;
constexpr std::size_t kMemory = std::size_t{256} << 20U;
constexpr double kLeastCount = 1e-3;  // whose square over the count is told from others'
constexpr double kRidge = 1e-12;      // of the normalised products of changes
constexpr double kLeastShare = 0.1;   // of what the sweep gave
constexpr double kShrinkage = 0.25;
constexpr double kGrowth = 4;
constexpr double kShortest = 0.1;
// Near the top the objective moves by less than its rounding.
constexpr double kRounding = 1e-14;

double dot(std::span<const double> weights, std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += weights[i] * x[i] * y[i];
  return sum;
}

std::vector<double> minus(std::span<const double> x, std::span<const double> y) {
  std::vector<double> difference(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) difference[i] = x[i] - y[i];
  return difference;
}

}  // namespace

ParameterInfo acceleration_parameter() {
  return {.name = "acceleration",
          .kind = ParameterInfo::Kind::choice,
          .doc =
              "none: sweeps of expectation-maximisation; anderson: leaps between them, where they "
              "creep",
          .default_value = std::string("none"),
          .choices = {"none", "anderson"}};
}

Anderson::Anderson(std::vector<double> counts, const Parallel& parallel)
    : parallel_(parallel), current_(std::move(counts)) {
  const std::size_t bytes = 2 * sizeof(double) * std::max<std::size_t>(1, current_.size());
  window_ = std::clamp<std::size_t>(kMemory / bytes, 1, kWindow);
}

bool Anderson::take(double objective, std::vector<double> next) {
  if (has_leapt_ && objective < reached_ - kRounding * std::abs(reached_)) {
    longest_ = std::max(kShortest, kShrinkage * length_);
    current_ = safe_;
    has_leapt_ = false;
    is_plain_ = false;
    rests_ = true;
    return false;
  }
  if (has_leapt_ && was_limited_) longest_ *= kGrowth;
  reached_ = objective;
  remember(minus(next, current_), next);
  if (rests_ || changes_.empty()) {
    current_ = std::move(next);
    has_leapt_ = false;
    is_plain_ = true;
    rests_ = false;
  } else {
    leap(next);
    has_leapt_ = true;
    is_plain_ = false;
  }
  return true;
}

void Anderson::remember(std::vector<double> residual, const std::vector<double>& next) {
  if (!residual_.empty()) {
    if (changes_.size() == window_) changes_.erase(changes_.begin());
    changes_.push_back({minus(residual, residual_), minus(next, safe_)});
  }
  residual_ = std::move(residual);
  safe_ = next;
}

// Of each remembered change, how much of it makes the residual least.
std::vector<double> Anderson::combination(std::span<const double> weights) const {
  const std::size_t count = changes_.size();
  const auto size = static_cast<Eigen::Index>(count);
  Eigen::MatrixXd products(size, size);
  Eigen::VectorXd with_residual(size);
  // All pairs of changes, and each with the residual.
  parallel_for(parallel_, count * (count + 1), [&](std::size_t pair, std::size_t) {
    const std::size_t a = pair / (count + 1);
    const std::size_t b = pair % (count + 1);
    const auto i = static_cast<Eigen::Index>(a);
    if (b == count) {
      with_residual[i] = dot(weights, changes_[a].residual, residual_);
    } else if (b <= a) {
      const auto j = static_cast<Eigen::Index>(b);
      products(i, j) = dot(weights, changes_[a].residual, changes_[b].residual);
      products(j, i) = products(i, j);
    }
  });
  const Eigen::VectorXd scales =
      products.diagonal().unaryExpr([](double x) { return x > 0 ? 1 / std::sqrt(x) : 0.0; });
  Eigen::MatrixXd normal = scales.asDiagonal() * products * scales.asDiagonal();
  normal.diagonal().array() += kRidge;
  Eigen::VectorXd solution = normal.ldlt().solve(scales.cwiseProduct(with_residual));
  solution = scales.cwiseProduct(solution);
  if (!solution.allFinite()) solution.setZero();
  return {solution.begin(), solution.end()};
}

void Anderson::leap(const std::vector<double>& next) {
  std::vector<double> weights(next.size());
  for (std::size_t i = 0; i < next.size(); ++i) weights[i] = 1 / std::max(next[i], kLeastCount);
  const std::vector<double> shares = combination(weights);
  std::vector<double> step(next.size(), 0);
  for (std::size_t a = 0; a < shares.size(); ++a) {
    const std::vector<double>& result = changes_[a].result;
    for (std::size_t i = 0; i < step.size(); ++i) step[i] -= shares[a] * result[i];
  }
  const double own = std::sqrt(dot(weights, residual_, residual_));
  const double whole = std::sqrt(dot(weights, step, step));
  was_limited_ = whole > longest_ * own;
  const double scale = was_limited_ ? longest_ * own / whole : 1;
  length_ = own > 0 ? scale * whole / own : 0;
  for (std::size_t i = 0; i < next.size(); ++i) {
    current_[i] = std::max(next[i] + scale * step[i], kLeastShare * next[i]);
  }
}

}  // namespace amalgam::labels::models
