#include "amalgam/labels/weak/performance_profile.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"

namespace amalgam::labels {

PerformanceProfile performance_profile(std::span<const double> accuracies, std::size_t methods,
                                       std::span<const double> ratios) {
  if (methods == 0 || accuracies.empty() || accuracies.size() % methods != 0) {
    throw InputError(
        "performance profile: {} accuracies of {} methods; expected one for each method "
        "on each task",
        accuracies.size(), methods);
  }
  for (const double accuracy : accuracies) {
    if (!(accuracy >= 0) || !(accuracy <= 1)) {
      throw InputError("performance profile: an accuracy of {}; expected one in [0, 1]", accuracy);
    }
  }
  constexpr double kLeast = 1e-9;
  const std::size_t tasks = accuracies.size() / methods;
  PerformanceProfile profile;
  profile.ratios.assign(ratios.begin(), ratios.end());
  std::ranges::sort(profile.ratios);
  profile.shares.assign(methods, std::vector<double>(ratios.size(), 0.0));
  for (std::size_t t = 0; t < tasks; ++t) {
    const std::span<const double> row = accuracies.subspan(t * methods, methods);
    const double least = std::max(kLeast, 1 - std::ranges::max(row));
    for (std::size_t m = 0; m < methods; ++m) {
      const double ratio = std::max(kLeast, 1 - row[m]) / least;
      for (std::size_t i = 0; i < profile.ratios.size(); ++i) {
        // Errors are differences from 1: equal ones may differ in the last bits.
        if (ratio <= profile.ratios[i] * (1 + 1e-12)) {
          profile.shares[m][i] += 1 / static_cast<double>(tasks);
        }
      }
    }
  }
  return profile;
}

}  // namespace amalgam::labels
