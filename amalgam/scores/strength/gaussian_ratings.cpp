#include "amalgam/scores/strength/gaussian_ratings.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::scores {
namespace {

constexpr double kRootTwoPi = 2.50662827463100050242;
constexpr double kRootTwo = 1.41421356237309504880;

double density(double x) { return portable_exp(-0.5 * x * x) / kRootTwoPi; }

// Phi(-x) / phi(x) for x >= 0: Mills' ratio.
double mills_ratio(double x) {
  if (x < 2.5) {
    // Phi(x) - 1/2 = phi(x) (x + x^3 / 3 + x^5 / (3 5) + ...).
    double term = x;
    double sum = x;
    for (int k = 3; term > 1e-18 * sum; k += 2) {
      term *= x * x / k;
      sum += term;
    }
    return 0.5 / density(x) - sum;
  }
  // Laplace's continued fraction 1 / (x + 1 / (x + 2 / (x + 3 / ...))), from its end.
  double tail = x;
  const int terms = 30 + static_cast<int>(400 / (x * x));
  for (int k = terms; k >= 1; --k) tail = x + k / tail;
  return 1 / tail;
}

// Phi^-1((1 + p) / 2) for p in [0, 1): by Newton's method from below, where the function is concave
// in x >= 0, so that it never overshoots.
double two_sided_quantile(double p) {
  double x = 0;
  for (int iteration = 0; iteration < 200; ++iteration) {
    // P(|normal| > x) = 2 phi(x) mills(x), to be 1 - p.
    const double excess = 2 * density(x) * mills_ratio(x) - (1 - p);
    const double step = excess / (2 * density(x));
    x += step;
    if (std::abs(step) <= 1e-15 * x) break;
  }
  return x;
}

struct Update {
  double v = 0;
  double w = 0;
};

Update after_win(double t, double e) {
  const double v = inverse_mills_ratio(t - e);
  return {v, std::clamp(v * (v + t - e), 0.0, 1.0)};
}

// For t >= 0; everything relative to the density at e - t, so that nothing underflows.
Update after_tie(double t, double e) {
  constexpr double kNoMargin = 1e-6;
  if (e < kNoMargin) return {-t, 1};
  const double high = e - t;
  const double low = -e - t;
  // phi(low) / phi(high) = exp((high^2 - low^2) / 2).
  const double ratio = portable_exp(-2 * e * t);
  // (Phi(high) - Phi(low)) / phi(high).
  double inside = 0;
  if (high <= 0) {
    inside = mills_ratio(-high) - ratio * mills_ratio(-low);
  } else {
    inside = 1 / density(high) - mills_ratio(high) - ratio * mills_ratio(-low);
  }
  const double v = (ratio - 1) / inside;
  const double w = v * v + (high - ratio * low) / inside;
  return {v, std::clamp(w, 0.0, 1.0)};
}

}  // namespace

double inverse_mills_ratio(double x) {
  if (x <= 0) return 1 / mills_ratio(-x);
  return 1 / (1 / density(x) - mills_ratio(x));
}

double normal_below(double x) {
  const double tail = density(x) * mills_ratio(std::abs(x));
  return x <= 0 ? tail : 1 - tail;
}

GaussianRatings::GaussianRatings(std::size_t systems, const GaussianOptions& options)
    : options_(options),
      margin_(two_sided_quantile(options.draw) * kRootTwo * options.performance),
      means_(systems, options.mean),
      variances_(systems, options.deviation * options.deviation) {}

void GaussianRatings::absorb(const Contest& contest) {
  constexpr double kMost = 1000;
  double left = contest.weight;
  if (left > kMost) {
    throw InputError(
        "a comparison has weight {:g}; expected at most {:g} for ratings that follow "
        "comparisons one after another",
        left, kMost);
  }
  for (; left >= 1; left -= 1) absorb_once(contest, 1);
  if (left > 0) absorb_once(contest, left);
}

void GaussianRatings::absorb_once(const Contest& contest, double part) {
  const bool second_won = contest.outcome < 0;
  std::size_t better = second_won ? contest.second : contest.first;
  std::size_t worse = second_won ? contest.first : contest.second;
  const bool tie = contest.outcome == 0;
  if (tie && means_[better] < means_[worse]) std::swap(better, worse);
  const double drift = options_.drift * options_.drift;
  variances_[better] += part * drift;
  variances_[worse] += part * drift;
  const double square =
      2 * options_.performance * options_.performance + variances_[better] + variances_[worse];
  const double c = std::sqrt(square);
  const double t = (means_[better] - means_[worse]) / c;
  const Update update = tie ? after_tie(t, margin_ / c) : after_win(t, margin_ / c);
  means_[better] += part * variances_[better] / c * update.v;
  means_[worse] -= part * variances_[worse] / c * update.v;
  variances_[better] *= 1 - part * variances_[better] / square * update.w;
  variances_[worse] *= 1 - part * variances_[worse] / square * update.w;
}

}  // namespace amalgam::scores
