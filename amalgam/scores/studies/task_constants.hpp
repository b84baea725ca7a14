#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/studies/class_separation.hpp"
#include "amalgam/scores/studies/difficulty.hpp"
#include "amalgam/scores/studies/labelled_points.hpp"

namespace amalgam::scores {

struct TaskConstantsOptions {
  std::size_t neighbours = 5;    ///< for the dimension, >= 2
  std::size_t queries = 10'000;  ///< points whose neighbours are looked for, at random; >= 1
  double variance_share = 0.95;  ///< for the count of principal components
  /// Null: not looked at, because the resolution is given.
  const SeparationOptions* separation = nullptr;
  std::uint64_t seed = 0;
};

/// What the difficulty of a classification task is computed from, as found in data.
struct TaskConstants {
  std::size_t examples = 0;
  std::size_t distinct = 0;  ///< points, among which neighbours are looked for
  std::size_t classes = 0;
  double radius = 0;                ///< the largest norm
  double likelihood_dimension = 0;  ///< see intrinsic_dimension.hpp
  double two_nearest_dimension = 0;
  double participation_ratio = 0;
  std::size_t principal_components = 0;  ///< that make up variance_share
  std::size_t queries = 0;               ///< points whose neighbours were looked for
  Separation separation;                 ///< 0 where it was not looked at
};

/// What measuring is doing, for progress: "neighbours" or "separation", and how many points of how
/// many are done.
using OnMeasuring = std::function<void(const char* what, std::size_t done, std::size_t all)>;

/// InputError naming the source: one class, all points the same, fewer distinct points than
/// neighbours + 1, two equal points of different classes (unless the separation ignores them).
TaskConstants measure_task(const LabelledPoints& points, const TaskConstantsOptions& options,
                           const Parallel& parallel = {}, const OnMeasuring& measuring = {});

}  // namespace amalgam::scores
