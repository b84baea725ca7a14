#include "amalgam/core/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/error.hpp"

namespace amalgam {
namespace {

constexpr std::size_t kFree = static_cast<std::size_t>(-1);
constexpr double kFar = std::numeric_limits<double>::infinity();

// Rows are added one by one. At all times cost(i, j) - row_price[i] - column_price[j] >= 0, with
// equality where i and j are matched, so the matching is the best one of the rows so far.
class AugmentingPaths {
 public:
  AugmentingPaths(std::span<const double> entries, std::size_t n, Goal goal)
      : entries_(entries),
        n_(n),
        sign_(goal == Goal::maximise ? -1 : 1),
        row_price_(n, 0.0),
        column_price_(n, 0.0),
        row_of_(n, kFree),
        column_of_(n, kFree) {}

  void add(std::size_t row) {
    // Dijkstra from `row` over the columns; reduced costs are the lengths.
    std::vector<double> distance(n_, kFar);
    std::vector<std::size_t> from(n_, row);
    std::vector<std::size_t> reached;  // columns whose distance is final
    std::vector<bool> done(n_, false);
    double least = 0;
    std::size_t at = row;
    std::size_t end = kFree;
    while (end == kFree) {
      std::size_t nearest = kFree;
      const std::span<const double> line = entries_.subspan(at * n_, n_);
      for (std::size_t j = 0; j < n_; ++j) {
        if (done[j]) continue;
        const double through = least + sign_ * line[j] - row_price_[at] - column_price_[j];
        if (through < distance[j]) {
          distance[j] = through;
          from[j] = at;
        }
        if (nearest == kFree || distance[j] < distance[nearest]) nearest = j;
      }
      least = distance[nearest];
      done[nearest] = true;
      reached.push_back(nearest);
      if (row_of_[nearest] == kFree) {
        end = nearest;
      } else {
        at = row_of_[nearest];
      }
    }
    row_price_[row] += least;
    for (const std::size_t j : reached) {
      const double slack = least - distance[j];
      if (row_of_[j] != kFree) row_price_[row_of_[j]] += slack;
      column_price_[j] -= slack;
    }
    // Matched and free edges change places along the path back to `row`.
    for (std::size_t column = end; column != kFree;) {
      const std::size_t owner = from[column];
      row_of_[column] = owner;
      std::swap(column, column_of_[owner]);
    }
  }

  const std::vector<std::size_t>& columns() const { return column_of_; }

 private:
  std::span<const double> entries_;
  std::size_t n_;
  double sign_;
  std::vector<double> row_price_;
  std::vector<double> column_price_;
  std::vector<std::size_t> row_of_;     // of a column
  std::vector<std::size_t> column_of_;  // of a row
};

}  // namespace

Assignment linear_assignment(std::span<const double> entries, std::size_t n, Goal goal) {
  if (entries.size() != n * n) {
    throw InputError("assignment: {} entries; expected {} x {}", entries.size(), n, n);
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!std::isfinite(entries[i])) {
      throw InputError("assignment: entry ({}, {}) is {}; expected a finite number", i / n, i % n,
                       entries[i]);
    }
  }
  AugmentingPaths paths(entries, n, goal);
  for (std::size_t row = 0; row < n; ++row) paths.add(row);
  Assignment result;
  result.columns.reserve(n);
  for (std::size_t row = 0; row < n; ++row) {
    const std::size_t column = paths.columns()[row];
    result.columns.push_back(static_cast<std::int64_t>(column));
    result.value += entries[row * n + column];
  }
  return result;
}

}  // namespace amalgam
