#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace amalgam::scores {

/// All that a least-squares line and parabola through points (x, y) need to know of them: counts,
/// means and sums of products of deviations from the means. States of parts of the points combine
/// to that of all, up to rounding; a plain sum of x^4 would lose the digits that close x differ in.
struct CurveMoments {
  double count = 0;
  double mean_x = 0;
  double mean_y = 0;
  double xx = 0;    ///< sum of u^2, u = x - mean_x
  double xxx = 0;   ///< of u^3
  double xxxx = 0;  ///< of u^4
  double xy = 0;    ///< of u v, v = y - mean_y
  double xxy = 0;   ///< of u^2 v
  double yy = 0;    ///< of v^2

  /// Takes in a point, as often as `weight` >= 0 says.
  void absorb(double x, double y, double weight = 1);
  void combine(const CurveMoments& other);
};

/// y = intercept + slope x by least squares. Standard errors are those of independent errors with
/// one variance; NaN where no freedom is left.
struct LineFit {
  double intercept = 0;
  double slope = 0;
  double intercept_error = 0;
  double slope_error = 0;
  double residual = 0;            ///< sum of squares; exactly 0 for points on the curve
  double r_squared = 0;           ///< NaN if all y are equal
  double adjusted_r_squared = 0;  ///< NaN also without freedom
  double aic = 0;  ///< n ln(residual / n) + 2 (coefficients + 1); -infinity: no residual

  double at(double x) const { return intercept + slope * x; }
};

/// y = constant + linear x + quadratic x^2, as above.
struct ParabolaFit {
  double constant = 0;
  double linear = 0;
  double quadratic = 0;
  double constant_error = 0;
  double linear_error = 0;
  double quadratic_error = 0;
  double residual = 0;
  double r_squared = 0;
  double adjusted_r_squared = 0;
  double aic = 0;

  double at(double x) const { return constant + x * (linear + x * quadratic); }
  /// Where it is lowest; nothing unless it is curved upwards.
  std::optional<double> lowest() const;
};

/// A line and a parabola through the same points, and whether the parabola says more.
struct CurveFits {
  double count = 0;
  double pearson = 0;                   ///< NaN if all y are equal
  std::optional<LineFit> line;          ///< nothing if all x are equal
  std::optional<ParabolaFit> parabola;  ///< nothing for fewer than three different x
  /// F(1, n - 3) of the parabola against the line, and its p-value. NaN with fewer than four points
  /// or without a parabola, and where the points lie on a line; infinity and 0 where they lie on a
  /// parabola.
  double f = std::numeric_limits<double>::quiet_NaN();
  double p = std::numeric_limits<double>::quiet_NaN();
  /// AIC of the line - AIC of the parabola: above 0, the parabola is chosen. NaN as above.
  double aic_gain = std::numeric_limits<double>::quiet_NaN();

  bool chooses_parabola() const { return aic_gain > 0; }
};

CurveFits fit_curves(const CurveMoments& moments);

/// How far the chord of a parabola over [low, high] is above it at most; 0 where the parabola lies
/// above its chord.
double moon_index(const ParabolaFit& parabola, double low, double high);

/// The increasing function that is nearest to the points (pool adjacent violators): its values at
/// each x, [count]. Points with equal x get one value.
std::vector<double> monotone_fit(std::span<const double> x, std::span<const double> y);

/// 1 - sum of (y - fitted)^2 / sum of (y - mean)^2; NaN if all y are equal.
double r_squared(std::span<const double> y, std::span<const double> fitted);

}  // namespace amalgam::scores
