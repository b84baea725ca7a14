#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/core/parallel.hpp"
#include "amalgam/core/progress.hpp"

namespace amalgam {

/// Elements that one leaf of the fold reads at once. Part of what fixes the bits of a result.
inline constexpr std::uint64_t kStatisticsLeafElements = 131'072;

/// Moments and extremes of many numbers, in float64. NaN and infinities are only counted:
/// everything else is about the finite numbers. A fold state: combine() merges moments by Chan,
/// Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample variances",
/// 1979).
struct ElementStatistics {
  std::uint64_t count = 0;  ///< finite numbers
  std::uint64_t nan_count = 0;
  std::uint64_t inf_count = 0;
  double min = std::numeric_limits<double>::infinity();   ///< infinity if count is 0
  double max = -std::numeric_limits<double>::infinity();  ///< -infinity if count is 0
  double mean = 0;
  double squared_deviations = 0;  ///< sum of (x - mean)^2
  double squares = 0;             ///< sum of x^2

  void combine(const ElementStatistics& right);
  /// With divisor n. NaN if count is 0.
  double standard_deviation() const;
  double norm() const;  ///< Euclidean
};

/// Statistics of every tensor of `source`, in the order of its tensors(). The bits do not depend on
/// `parallel`; memory is about 3 MB per thread. `progress`, if any, advances by bytes read.
/// Raises what reading raises, and Interrupted.
std::vector<ElementStatistics> tensor_statistics(const TensorSource& source,
                                                 const Parallel& parallel,
                                                 Progress* progress = nullptr);

/// How two tensors of equal shape differ, in float64; with a base c also how their differences from
/// it (task vectors) agree. A fold state. Sums are NaN or infinite where the inputs are.
struct TensorComparison {
  std::uint64_t elements = 0;
  double squared_distance = 0;  ///< sum of (a - b)^2
  double squares_a = 0;         ///< sum of a^2
  double squares_b = 0;
  bool has_base = false;
  double task_dot = 0;        ///< sum of (a - c)(b - c)
  double task_squares_a = 0;  ///< sum of (a - c)^2
  double task_squares_b = 0;
  std::uint64_t sign_conflicts = 0;  ///< a - c and b - c both nonzero and of opposite sign

  void combine(const TensorComparison& right);
  double distance() const;
  /// distance / |a|; nothing if |a| is 0.
  std::optional<double> relative_distance() const;
  /// Cosine of a - c and b - c; nothing without a base or if one of them is 0.
  std::optional<double> cosine() const;
  /// sign_conflicts / elements; nothing without a base or elements.
  std::optional<double> sign_conflict() const;
};

/// Which tensors to compare: indices into the tensors() of a, b and, if there is one, the base.
struct ComparedTensor {
  std::size_t a = 0;
  std::size_t b = 0;
  std::optional<std::size_t> base;
};

/// Compares tensor by tensor; `base` may be null if no pair names a base tensor. InputError naming
/// the files if shapes differ. Determinism, memory (about 5 MB per thread), progress and errors as
/// tensor_statistics.
std::vector<TensorComparison> compare_tensors(const TensorSource& a, const TensorSource& b,
                                              const TensorSource* base,
                                              const std::vector<ComparedTensor>& pairs,
                                              const Parallel& parallel,
                                              Progress* progress = nullptr);

}  // namespace amalgam
