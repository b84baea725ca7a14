#pragma once

#include <string_view>
#include <vector>

#include "amalgam/core/parallel.hpp"
#include "amalgam/labels/label_model.hpp"

/// What methods of moments start from: which workers met on tasks, and how they agreed.
namespace amalgam::labels::models {

/// The rows of each worker, in the order of tasks.
struct WorkerRows {
  std::vector<std::uint64_t> begins;  ///< [workers + 1]
  std::vector<std::uint32_t> rows;    ///< of the table
};
WorkerRows rows_by_worker(const AnnotationTable& table);

/// Numbers of the pairs of workers who have a common task: a matrix of workers by workers, of which
/// only those entries are there (in both orders; never a worker with himself).
struct WorkerPairs {
  std::vector<std::uint64_t> begins;  ///< [workers + 1], where each worker's pairs begin
  std::vector<Worker> others;         ///< [pairs], ascending within a worker
  /// [pairs], above 0: pairs of annotations of the same task, each counting as its weights' product
  std::vector<double> common;
  std::size_t columns = 1;     ///< numbers of a pair
  std::vector<double> values;  ///< [pairs, columns]

  std::size_t workers() const { return begins.size() - 1; }
};

/// The pairs, without numbers. InputError if `columns` numbers of each, and `common`, would be more
/// than 2^27.
WorkerPairs pairs_without_values(std::string_view method, const AnnotationTable& table,
                                 const WorkerRows& by_worker, std::size_t columns,
                                 const Parallel& parallel);

/// The pairs with sums over their common tasks: `add(mine, other, weight, values)` adds what a
/// worker's label and that of the other say, to numbers that are 0 before. In the order of tasks,
/// so that the bits do not depend on the threads.
template <class Add>
WorkerPairs worker_pairs(std::string_view method, const AnnotationTable& table, std::size_t columns,
                         const Parallel& parallel, const Add& add) {
  const WorkerRows by_worker = rows_by_worker(table);
  WorkerPairs pairs = pairs_without_values(method, table, by_worker, columns, parallel);
  std::vector<std::vector<std::uint64_t>> places(parallel.workers());
  parallel_for(parallel, pairs.workers(), [&](std::size_t w, std::size_t slot) {
    std::vector<std::uint64_t>& place = places[slot];
    place.resize(pairs.workers());
    for (std::uint64_t i = pairs.begins[w]; i < pairs.begins[w + 1]; ++i)
      place[pairs.others[i]] = i;
    for (std::uint64_t i = by_worker.begins[w]; i < by_worker.begins[w + 1]; ++i) {
      const std::size_t mine = by_worker.rows[i];
      const auto [first, last] = table.rows_of(table.tasks[mine]);
      for (std::size_t row = first; row < last; ++row) {
        const double weight = table.weight(mine) * table.weight(row);
        if (table.workers[row] == w || weight == 0) continue;
        const std::uint64_t pair = place[table.workers[row]];
        pairs.common[pair] += weight;
        add(table.labels[mine], table.labels[row], weight, pairs.values.data() + pair * columns);
      }
    }
  });
  return pairs;
}

}  // namespace amalgam::labels::models
