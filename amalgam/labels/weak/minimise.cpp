#include "amalgam/labels/weak/minimise.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

namespace amalgam::labels {
namespace {

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(std::vector<double>& to, double scale, std::span<const double> what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += scale * what[i];
}

double largest(std::span<const double> values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

struct Pair {
  std::vector<double> step;
  std::vector<double> change;  // of the gradient
  double curvature;            // step . change > 0
};

// Minus the approximate inverse Hessian times the gradient, by the two-loop recursion.
std::vector<double> direction(const std::deque<Pair>& pairs, const std::vector<double>& gradient) {
  std::vector<double> d = gradient;
  std::vector<double> shares(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    shares[i] = dot(pairs[i].step, d) / pairs[i].curvature;
    add_scaled(d, -shares[i], pairs[i].change);
  }
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    const double scale = last.curvature / dot(last.change, last.change);
    for (double& value : d) value *= scale;
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    add_scaled(d, shares[i] - dot(pairs[i].change, d) / pairs[i].curvature, pairs[i].step);
  }
  for (double& value : d) value = -value;
  return d;
}

// Whether the step from a value to the next is a descent, by a little of what the slope promises.
// Near the minimum values differ by less than the rounding of their sums: then the slopes tell
// (Hager and Zhang 2005, approximate Wolfe conditions).
bool descends(double value, double next, double slope, double next_slope, double length) {
  constexpr double kShare = 1e-4;
  constexpr double kRounding = 1e-11;
  if (next <= value + kShare * length * slope) return true;
  return next <= value + kRounding * std::abs(value) &&
         std::abs(next_slope) <= (1 - 2 * kShare) * -slope;
}

}  // namespace

std::vector<double> minimise(
    const std::function<double(std::span<const double> at, std::span<double> gradient)>& objective,
    std::vector<double> start, const MinimiseOptions& options) {
  std::vector<double> at = std::move(start);
  std::vector<double> gradient(at.size());
  double value = objective(at, gradient);
  std::deque<Pair> pairs;
  std::vector<double> next(at.size());
  std::vector<double> next_gradient(at.size());
  for (std::size_t iteration = 0; iteration < options.iterations; ++iteration) {
    if (largest(gradient) <= options.gradient_tolerance) break;
    const std::vector<double> d = direction(pairs, gradient);
    const double slope = dot(d, gradient);
    // The first step has no scale yet.
    double length = pairs.empty() ? std::min(1.0, 1.0 / std::sqrt(dot(gradient, gradient))) : 1.0;
    double next_value = value;
    constexpr int kHalvings = 50;
    int halvings = 0;
    for (; halvings < kHalvings; ++halvings, length /= 2) {
      next = at;
      add_scaled(next, length, d);
      next_value = objective(next, next_gradient);
      if (descends(value, next_value, slope, dot(d, next_gradient), length)) break;
    }
    if (halvings == kHalvings) break;  // no descent in reach of double precision
    Pair pair{next, next_gradient, 0};
    add_scaled(pair.step, -1, at);
    add_scaled(pair.change, -1, gradient);
    pair.curvature = dot(pair.step, pair.change);
    if (pair.curvature > 0) pairs.push_back(std::move(pair));
    if (pairs.size() > options.memory) pairs.pop_front();
    at.swap(next);
    gradient.swap(next_gradient);
    value = next_value;
  }
  return at;
}

}  // namespace amalgam::labels
