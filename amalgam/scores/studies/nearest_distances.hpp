#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "amalgam/core/parallel.hpp"

namespace amalgam::scores {

/// Points as rows of numbers, which someone else owns.
struct PointRows {
  std::span<const double> values;  ///< [count, width], finite
  std::size_t width = 1;           ///< >= 1

  std::size_t count() const { return values.size() / width; }
  const double* row(std::size_t index) const { return values.data() + index * width; }
};

/// How far the nearest points are from each of several queries.
struct NearestDistances {
  std::size_t neighbours = 0;
  std::vector<double> distances;  ///< [queries, neighbours], increasing; infinity: no such point

  std::size_t queries() const { return neighbours == 0 ? 0 : distances.size() / neighbours; }
  std::span<const double> of(std::size_t query) const {
    return std::span(distances).subspan(query * neighbours, neighbours);
  }
  /// Takes in the distances from the same queries to other points: data may lie in several places.
  void combine(const NearestDistances& other);
};

/// Called with a number of queries that are done, from any thread.
using OnQueries = std::function<void(std::size_t)>;

/// A query that is not among the points.
inline constexpr std::size_t kNoPoint = std::numeric_limits<std::size_t>::max();

/// Euclidean distances from each query to its nearest points. `own` [queries] names the point that
/// a query is itself, which does not count, or kNoPoint. All pairs are screened by products of
/// blocks in single precision, with bounds of their errors; the distances of what may be nearest
/// are computed in double from differences of coordinates. So they are exact to rounding however
/// far from 0 the points lie, and the same bits for any number of threads. O(queries * points *
/// width). Interrupted on a signal.
NearestDistances nearest_distances(const PointRows& queries, const PointRows& points,
                                   std::span<const std::size_t> own, std::size_t neighbours,
                                   const Parallel& parallel = {}, const OnQueries& done = {});

/// The same from the points numbered `queries` to the others.
NearestDistances nearest_distances(const PointRows& points, std::span<const std::size_t> queries,
                                   std::size_t neighbours, const Parallel& parallel = {},
                                   const OnQueries& done = {});

/// The two points of different classes that are nearest to each other.
struct ClosestPair {
  double distance = std::numeric_limits<double>::infinity();  ///< infinity: there are none
  std::size_t first = 0;                                      ///< below `second`
  std::size_t second = 0;

  void combine(ClosestPair&& other);
};

/// Among all pairs of points of different `classes` [points] that are `at_least` apart; of several
/// such pairs the first one by its numbers. Exact and the same bits as above.
ClosestPair closest_of_different_classes(const PointRows& points,
                                         std::span<const std::uint32_t> classes,
                                         double at_least = 0, const Parallel& parallel = {},
                                         const OnQueries& done = {});

/// The square of the Euclidean distance of two rows of `width` numbers.
double squared_distance(const double* a, const double* b, std::size_t width);

}  // namespace amalgam::scores
