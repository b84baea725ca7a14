#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "amalgam/core/parallel.hpp"
#include "amalgam/scores/studies/nearest_distances.hpp"

namespace amalgam::scores {

/// How the smallest distance between points of different classes is found.
struct SeparationOptions {
  enum class Way {
    closest,        ///< the minimum over all pairs of `sample` points
    extreme_value,  ///< extrapolated from random pairs
  };
  Way way = Way::closest;
  /// closest: how many points, drawn without replacement; 0: all.
  std::size_t sample = 30'000;
  std::size_t pairs = 4'000'000;  ///< extreme_value: random pairs of different classes
  std::size_t tail = 2'000;       ///< extreme_value: of them the nearest that the tail is made of
  /// Distances below this are not looked at, as suspected errors of labels.
  double at_least = 0;
  std::uint64_t seed = 0;
};

/// The smallest distance between points of different classes.
struct Separation {
  double distance = 0;
  ClosestPair observed;       ///< the nearest pair that was looked at
  std::size_t looked_at = 0;  ///< points (closest) or pairs (extreme_value)
  bool all_pairs = false;     ///< nothing was left out: the distance is exact
};

/// `classes` [points] are below `class_count`. InputError if all points are of one class, no pair
/// is `at_least` apart, or the nearest two of different classes are the same point (naming them by
/// their numbers, from 0).
Separation class_separation(const PointRows& points, std::span<const std::uint32_t> classes,
                            const SeparationOptions& options, const Parallel& parallel = {},
                            const OnQueries& done = {});

/// The extreme value estimate of the smallest distance from the `tail` + 1 smallest `distances`
/// (increasing, above 0) of `sampled` random pairs, of `all` pairs there are: the moment estimator
/// of Dekkers, Einmahl and de Haan (1989) on inverse distances z, as the authors of the measure
/// coded it: with M_r the mean of (ln z_(i) - ln z_(tail+1))^r, g = M_1 + 1 - 1/2 / (1 - M_1^2 /
/// M_2) and a = tail * all / sampled, the inverse is z_(tail+1) (1 + M_1 (a^g - 1) / g). Never
/// above the smallest distance seen. (The usual quantile would have another factor.)
double extreme_value_distance(std::span<const double> distances, double sampled, double all);

}  // namespace amalgam::scores
