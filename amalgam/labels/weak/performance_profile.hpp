#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace amalgam::labels {

/// How often each method is nearly the best over many tasks (Dolan and More 2002).
struct PerformanceProfile {
  std::vector<double> ratios;               ///< tau, increasing
  std::vector<std::vector<double>> shares;  ///< [methods][ratios]
};

/// `accuracies` [tasks, methods] in [0, 1]. The ratio of a method on a task is its error (1 -
/// accuracy) divided by the least error of any method there (errors below 1e-9 count as 1e-9); its
/// share at tau is the share of tasks whose ratio is at most tau. InputError for no tasks, another
/// number of values, or one that is not in [0, 1].
PerformanceProfile performance_profile(std::span<const double> accuracies, std::size_t methods,
                                       std::span<const double> ratios);

}  // namespace amalgam::labels
