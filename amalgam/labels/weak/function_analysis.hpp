#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/annotation_table.hpp"
#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// What one labelling function does, in shares of all tasks (Ratner et al. 2017, "Snorkel").
struct FunctionAnalysis {
  std::uint64_t votes = 0;      ///< tasks it votes on
  std::vector<Label> polarity;  ///< the labels it ever gives, increasing
  double coverage = 0;          ///< tasks it votes on
  double overlap = 0;           ///< tasks it votes on where another one votes too
  double conflict = 0;          ///< tasks it votes on where another one says something else
  std::uint64_t judged = 0;     ///< with gold: tasks it votes on that have gold
  std::uint64_t correct = 0;    ///< with gold: of these, where it says the gold label
  /// correct / judged; nothing if nothing was judged.
  std::optional<double> accuracy() const;
};

struct MatrixAnalysis {
  std::vector<FunctionAnalysis> functions;  ///< [workers]
  double coverage = 0;                      ///< share of tasks with a vote
  double overlap = 0;                       ///< share of tasks with votes of two functions or more
  double conflict = 0;                      ///< share of tasks with votes for two labels or more
};

/// One pass over the table. A function that voted more than once on a task counts once there, and
/// is right if all its votes are. `gold`: may be null.
MatrixAnalysis analyse_functions(const AnnotationTable& table, const GoldLabels* gold = nullptr,
                                 const Parallel& parallel = {});

}  // namespace amalgam::labels
