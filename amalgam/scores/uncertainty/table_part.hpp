#pragma once

#include <span>
#include <vector>

#include "amalgam/scores/score_table.hpp"

namespace amalgam::scores {

/// A table as if some of its measurements had never been made.
struct TablePart {
  ScoreTable table;             ///< of the systems and tasks that something is left of
  std::vector<System> systems;  ///< [systems of `table`]: their numbers in the whole
};

/// The part of a table with the values and comparisons whose flag is not 0; `rows` is [rows],
/// `comparisons` [comparisons]. Names keep their order; clusters and covariates are left out.
TablePart part_of_table(const ScoreTable& whole, std::span<const char> rows,
                        std::span<const char> comparisons);

}  // namespace amalgam::scores
