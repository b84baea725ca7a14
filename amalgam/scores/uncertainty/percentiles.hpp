#pragma once

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace amalgam::scores {

/// The least and the greatest that are left when as many increasing values are left out at one end
/// as at the other, so that at least `confidence`, in (0, 1), of them are within. `sorted` is not
/// empty.
template <class T>
std::pair<T, T> percentile_interval(const std::vector<T>& sorted, double confidence) {
  const auto count = static_cast<double>(sorted.size());
  // The small addition makes 0.05 / 2 * 1000 the 25 that it is on paper.
  const auto out = static_cast<std::size_t>(std::floor((1 - confidence) / 2 * count + 1e-9));
  return {sorted[out], sorted[sorted.size() - 1 - out]};
}

}  // namespace amalgam::scores
