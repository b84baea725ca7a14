#include "amalgam/core/multiple_testing.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace amalgam {
namespace {

// The places of the tests that were made, by increasing p; equal ones in their own order.
std::vector<std::size_t> places_by_value(std::span<const double> p_values) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < p_values.size(); ++i) {
    if (!std::isnan(p_values[i])) places.push_back(i);
  }
  std::ranges::stable_sort(places, {}, [&](std::size_t i) { return p_values[i]; });
  return places;
}

}  // namespace

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<double> adjusted(p_values.begin(), p_values.end());
  const std::vector<std::size_t> places = places_by_value(p_values);
  double least = 0;
  for (std::size_t k = 0; k < places.size(); ++k) {
    const double counted = static_cast<double>(places.size() - k) * p_values[places[k]];
    least = std::max(least, std::min(1.0, counted));
    adjusted[places[k]] = least;
  }
  return adjusted;
}

std::vector<double> benjamini_hochberg(std::span<const double> p_values) {
  std::vector<double> adjusted(p_values.begin(), p_values.end());
  const std::vector<std::size_t> places = places_by_value(p_values);
  double most = 1;
  for (std::size_t k = places.size(); k > 0; --k) {
    const double factor = static_cast<double>(places.size()) / static_cast<double>(k);
    most = std::min(most, factor * p_values[places[k - 1]]);
    adjusted[places[k - 1]] = most;
  }
  return adjusted;
}

}  // namespace amalgam
