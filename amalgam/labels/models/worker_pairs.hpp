#pragma once

#include <vector>

#include "amalgam/labels/label_model.hpp"

/// What methods of moments start from: which workers met on tasks, and how they agreed.
namespace amalgam::labels::models {

/// The rows of each worker, in the order of tasks.
struct WorkerRows {
  std::vector<std::uint64_t> begins;  ///< [workers + 1]
  std::vector<std::uint32_t> rows;    ///< of the table
};
WorkerRows rows_by_worker(const AnnotationTable& table);

/// The tasks that a worker shares with another.
struct Partner {
  Worker worker;
  double common = 0;  ///< pairs of annotations of the same task, each by its weights' product
  double agree = 0;   ///< those with the same label
};

/// Of each worker, all others with whom it has a common task, in their order. InputError beyond
/// 2^26 pairs.
std::vector<std::vector<Partner>> worker_pairs(std::string_view method,
                                               const AnnotationTable& table,
                                               const Parallel& parallel);

}  // namespace amalgam::labels::models
