#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "amalgam/scores/studies/nearest_distances.hpp"

/// How many directions data vary in, by three ways that look at different things.
namespace amalgam::scores {

/// The maximum likelihood estimate of Levina and Bickel (2004) from distances to k >= 2 nearest
/// points, with inverses averaged as MacKay and Ghahramani (2005) say: 1 / mean over queries and j
/// < k of ln(T_k / T_j). (The mean of each query's own estimate is too large.) Infinity if all
/// neighbours of every query are equally far. InputError if a nearest distance is 0 (points must be
/// distinct) or there are fewer than k other points.
double likelihood_dimension(const NearestDistances& nearest);

/// The two-nearest-neighbours estimate of Facco, d'Errico, Rodriguez and Laio (2017): the slope
/// through the origin of -ln(1 - F(x)) over ln x, x = T_2 / T_1, leaving out the `discard` in [0,
/// 1) largest ratios. InputError as above, and if nothing is left.
double two_nearest_dimension(const NearestDistances& nearest, double discard = 0.1);

/// The eigenvalues of the data's covariance.
struct PrincipalSpectrum {
  std::vector<double> variances;  ///< decreasing, >= 0; divisor: the number of rows
  std::size_t rows = 0;           ///< they are of

  /// (sum of variances)^2 / sum of their squares; 0 if nothing varies.
  double participation_ratio() const;
  /// How many of the largest variances make up this share (0 to 1) of all.
  std::size_t components(double share) const;
};

/// Of the rows themselves, or of kMostPrincipalRows evenly spaced ones, if there are more rows and
/// columns than that. O(rows * columns * min(rows, columns)).
inline constexpr std::size_t kMostPrincipalRows = 2048;
PrincipalSpectrum principal_spectrum(const PointRows& points);

/// The numbers of the rows that differ from all rows before them, in order.
std::vector<std::size_t> distinct_rows(const PointRows& points);

}  // namespace amalgam::scores
