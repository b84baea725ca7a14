#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

namespace amalgam {

/// Probabilities of classes by the names of tasks, as `amalgam label` writes them.
struct SoftTable {
  std::string source;
  std::vector<std::string> class_names;                ///< in the order of the columns
  std::unordered_map<std::string, std::size_t> tasks;  ///< the number of each task
  std::vector<float> values;                           ///< [tasks, classes], rows sum to 1
};

/// Reads a table with a column `task` and one column of probabilities per class. Spaces around
/// cells do not count. InputError naming the place: no such column, fewer than two classes, a task
/// without a name or there twice, a cell that is no number in [0, 1], or a row whose sum is further
/// than 1e-3 from 1 (nearer ones are scaled to 1).
SoftTable read_soft_table(const std::filesystem::path& path);

}  // namespace amalgam
