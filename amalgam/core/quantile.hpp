#pragma once

#include <span>

namespace amalgam {

/// The q-quantile, q in [0, 1], of increasing values, at least one: between neighbours by their
/// distance (type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", 1996). Error
/// without values.
double quantile_of_sorted(std::span<const double> sorted, double q);

}  // namespace amalgam
