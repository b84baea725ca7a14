#pragma once

#include <cstdint>
#include <filesystem>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Confusion matrices of a file, for the workers and labels of a table.
struct ConfusionFile {
  InitialConfusion confusion;
  std::uint64_t used = 0;       ///< rows of the file that the table has worker and labels for
  std::uint64_t elsewhere = 0;  ///< rows that it has not, which say nothing
};

/// Reads what write_confusion wrote (comma-separated values with columns worker, true, observed and
/// probability, in any order; or tabs if the name ends in .tsv or .tab), or counts in a column
/// `count` instead of `probability`, for a fit of `table` to start from.
///
/// `weight` 0: the matrices stand in place of those of the first maximisation; each worker of the
/// table must then have all cells for its labels. `weight` > 0: they are added to its counts, times
/// `weight` (with probabilities: as so many annotations of tasks of each true label), and what is
/// not there counts 0.
///
/// InputError naming file, line and byte: a column that is missing, a value that is negative or not
/// finite, a cell that is there twice; naming the worker and labels of a cell that is missing; if
/// no row is about the table; and if the table's matrices would be too large (as dawid-skene).
ConfusionFile read_confusion(const std::filesystem::path& path, const AnnotationTable& table,
                             double weight = 0);

}  // namespace amalgam::labels
