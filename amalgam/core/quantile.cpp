#include "amalgam/core/quantile.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "amalgam/core/error.hpp"

namespace amalgam {

double quantile_of_sorted(std::span<const double> sorted, double q) {
  if (sorted.empty()) throw Error("quantile of no values");
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace amalgam
