#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace amalgam {

enum class Goal { minimise, maximise };

/// Every row matched with a column of its own.
struct Assignment {
  std::vector<std::int64_t> columns;  ///< of row i
  double value = 0;                   ///< sum of the chosen entries
};

/// The best assignment of the rows of an n x n matrix (row by row) to its columns, exactly:
/// shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(n^3). Deterministic:
/// where several columns are equally near, the lowest is taken. InputError unless `entries` has
/// n * n finite values.
Assignment linear_assignment(std::span<const double> entries, std::size_t n, Goal goal);

}  // namespace amalgam
