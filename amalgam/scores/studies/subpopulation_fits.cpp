#include "amalgam/scores/studies/subpopulation_fits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "amalgam/core/elementary.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/tail_probabilities.hpp"

namespace amalgam::scores {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Of a sum of squares that is a difference of sums: what rounding leaves of 0.
constexpr double kRounding = 1e-13;

// The same sums about other means, which are lower by dx and dy.
CurveMoments moved(const CurveMoments& of, double dx, double dy) {
  CurveMoments at = of;
  const double n = of.count;
  at.xx = of.xx + n * dx * dx;
  at.xxx = of.xxx + 3 * dx * of.xx + n * dx * dx * dx;
  at.xxxx = of.xxxx + 4 * dx * of.xxx + 6 * dx * dx * of.xx + n * dx * dx * dx * dx;
  at.xy = of.xy + n * dx * dy;
  at.xxy = of.xxy + 2 * dx * of.xy + dy * of.xx + n * dx * dx * dy;
  at.yy = of.yy + n * dy * dy;
  return at;
}

double without_rounding(double residual, double all) {
  return residual > kRounding * all ? residual : 0;
}

double share_explained(double residual, double all) { return all > 0 ? 1 - residual / all : kNaN; }

double adjusted(double r_squared, double count, double freedom) {
  return freedom > 0 ? 1 - (1 - r_squared) * (count - 1) / freedom : kNaN;
}

double aic_of(double residual, double count, double coefficients) {
  return residual > 0 ? count * portable_log(residual / count) + 2 * (coefficients + 1)
                      : -kInfinity;
}

LineFit line_of(const CurveMoments& m) {
  LineFit line;
  line.slope = m.xy / m.xx;
  line.intercept = m.mean_y - line.slope * m.mean_x;
  line.residual = without_rounding(m.yy - line.slope * m.xy, m.yy);
  line.r_squared = share_explained(line.residual, m.yy);
  line.adjusted_r_squared = adjusted(line.r_squared, m.count, m.count - 2);
  line.aic = aic_of(line.residual, m.count, 2);
  const double variance = m.count > 2 ? line.residual / (m.count - 2) : kNaN;
  line.slope_error = std::sqrt(variance / m.xx);
  line.intercept_error = std::sqrt(variance * (1 / m.count + m.mean_x * m.mean_x / m.xx));
  return line;
}

// In the basis 1, u, u^2 - skew u - spread, whose members are orthogonal over the points.
std::optional<ParabolaFit> parabola_of(const CurveMoments& m, const LineFit& line) {
  const double skew = m.xxx / m.xx;
  const double spread = m.xx / m.count;
  const double square = m.xxxx - m.xxx * skew - m.xx * spread;
  if (!(square > 1e-12 * m.xxxx)) return std::nullopt;
  const double product = m.xxy - skew * m.xy;
  const double a = product / square;
  const double mean = m.mean_x;
  ParabolaFit fit;
  fit.quadratic = a;
  fit.linear = line.slope - a * (skew + 2 * mean);
  fit.constant = m.mean_y - line.slope * mean + a * (mean * mean + skew * mean - spread);
  fit.residual = without_rounding(line.residual - a * product, m.yy);
  fit.r_squared = share_explained(fit.residual, m.yy);
  fit.adjusted_r_squared = adjusted(fit.r_squared, m.count, m.count - 3);
  fit.aic = aic_of(fit.residual, m.count, 3);
  const double variance = m.count > 3 ? fit.residual / (m.count - 3) : kNaN;
  const double of_mean = variance / m.count;
  const double of_slope = variance / m.xx;
  const double of_square = variance / square;
  const double by_square = mean * mean + skew * mean - spread;
  const double by_linear = skew + 2 * mean;
  fit.quadratic_error = std::sqrt(of_square);
  fit.linear_error = std::sqrt(of_slope + by_linear * by_linear * of_square);
  fit.constant_error =
      std::sqrt(of_mean + mean * mean * of_slope + by_square * by_square * of_square);
  return fit;
}

}  // namespace

void CurveMoments::absorb(double x, double y, double weight) {
  if (weight > 0) combine({.count = weight, .mean_x = x, .mean_y = y});
}

void CurveMoments::combine(const CurveMoments& other) {
  const double all = count + other.count;
  if (!(all > 0)) return;
  const double x = mean_x + (other.mean_x - mean_x) * (other.count / all);
  const double y = mean_y + (other.mean_y - mean_y) * (other.count / all);
  const CurveMoments mine = moved(*this, mean_x - x, mean_y - y);
  const CurveMoments theirs = moved(other, other.mean_x - x, other.mean_y - y);
  *this = {.count = all,
           .mean_x = x,
           .mean_y = y,
           .xx = mine.xx + theirs.xx,
           .xxx = mine.xxx + theirs.xxx,
           .xxxx = mine.xxxx + theirs.xxxx,
           .xy = mine.xy + theirs.xy,
           .xxy = mine.xxy + theirs.xxy,
           .yy = mine.yy + theirs.yy};
}

std::optional<double> ParabolaFit::lowest() const {
  if (!(quadratic > 0)) return std::nullopt;
  return -linear / (2 * quadratic);
}

CurveFits fit_curves(const CurveMoments& moments) {
  CurveFits fits{.count = moments.count, .pearson = kNaN, .line = {}, .parabola = {}};
  CurveMoments m = moments;
  const double tiny_x = 1e-12 * std::max(1.0, std::abs(m.mean_x));
  const double tiny_y = 1e-14 * std::max(1.0, std::abs(m.mean_y));
  if (!(m.count > 0) || m.xx <= m.count * tiny_x * tiny_x) return fits;
  if (m.yy <= m.count * tiny_y * tiny_y) {  // all y are equal, but for rounding
    m.yy = 0;
    m.xy = 0;
    m.xxy = 0;
  } else {
    fits.pearson = std::clamp(m.xy / std::sqrt(m.xx * m.yy), -1.0, 1.0);
  }
  fits.line = line_of(m);
  fits.parabola = parabola_of(m, *fits.line);
  if (!fits.parabola) return fits;
  const double freedom = m.count - 3;
  const double gained = fits.line->residual - fits.parabola->residual;
  if (!(freedom > 0) || fits.line->residual == 0) return fits;
  if (fits.parabola->residual == 0) {
    fits.f = kInfinity;
    fits.p = 0;
  } else {
    fits.f = gained / (fits.parabola->residual / freedom);
    fits.p = student_two_sided(std::sqrt(std::max(0.0, fits.f)), freedom);
  }
  fits.aic_gain = fits.line->aic - fits.parabola->aic;
  return fits;
}

double moon_index(const ParabolaFit& parabola, double low, double high) {
  // The chord is above by quadratic (x - low) (high - x), the most in the middle.
  return std::max(0.0, parabola.quadratic * (high - low) * (high - low) / 4);
}

std::vector<double> monotone_fit(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw Error("monotone fit: {} x and {} y", x.size(), y.size());
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return x[i]; });
  struct Pool {
    double sum = 0;
    std::size_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool same_x = i > 0 && x[order[i]] == x[order[i - 1]];
    if (!same_x) pools.emplace_back();
    pools.back().sum += y[order[i]];
    ++pools.back().count;
    const bool complete = i + 1 == order.size() || x[order[i + 1]] != x[order[i]];
    while (complete && pools.size() > 1 && pools[pools.size() - 2].mean() >= pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back().sum += last.sum;
      pools.back().count += last.count;
    }
  }
  std::vector<double> fitted(x.size());
  std::size_t at = 0;
  for (const Pool& pool : pools) {
    for (std::size_t i = 0; i < pool.count; ++i) fitted[order[at++]] = pool.mean();
  }
  return fitted;
}

double r_squared(std::span<const double> y, std::span<const double> fitted) {
  const double mean = std::accumulate(y.begin(), y.end(), 0.0) /
                      static_cast<double>(std::max<std::size_t>(1, y.size()));
  double residual = 0;
  double all = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    residual += (y[i] - fitted[i]) * (y[i] - fitted[i]);
    all += (y[i] - mean) * (y[i] - mean);
  }
  return all > 1e-28 * static_cast<double>(y.size()) ? 1 - residual / all : kNaN;
}

}  // namespace amalgam::scores
