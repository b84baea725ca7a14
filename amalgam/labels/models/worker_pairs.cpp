#include "amalgam/labels/models/worker_pairs.hpp"

#include <algorithm>
#include <atomic>

#include "amalgam/core/error.hpp"

namespace amalgam::labels::models {
namespace {

/// Who has a common task with worker `w`, ascending. `seen` [workers] is above 0 for none before
/// and after.
std::vector<Worker> partners_of(std::size_t w, const AnnotationTable& table,
                                const WorkerRows& by_worker, std::vector<char>& seen) {
  std::vector<Worker> met;
  for (std::uint64_t i = by_worker.begins[w]; i < by_worker.begins[w + 1]; ++i) {
    const std::size_t mine = by_worker.rows[i];
    const auto [first, last] = table.rows_of(table.tasks[mine]);
    for (std::size_t row = first; row < last; ++row) {
      const Worker other = table.workers[row];
      if (seen[other] != 0 || other == w || table.weight(mine) * table.weight(row) == 0) continue;
      seen[other] = 1;
      met.push_back(other);
    }
  }
  for (const Worker other : met) seen[other] = 0;
  std::ranges::sort(met);
  return met;
}

}  // namespace

WorkerRows rows_by_worker(const AnnotationTable& table) {
  WorkerRows by_worker;
  by_worker.begins.assign(table.worker_count() + 1, 0);
  for (const Worker worker : table.workers) ++by_worker.begins[worker + 1];
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    by_worker.begins[w + 1] += by_worker.begins[w];
  }
  by_worker.rows.resize(table.rows());
  std::vector<std::uint64_t> next(by_worker.begins.begin(), by_worker.begins.end() - 1);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    by_worker.rows[next[table.workers[row]]++] = static_cast<std::uint32_t>(row);
  }
  return by_worker;
}

WorkerPairs pairs_without_values(std::string_view method, const AnnotationTable& table,
                                 const WorkerRows& by_worker, std::size_t columns,
                                 const Parallel& parallel) {
  constexpr std::uint64_t kMostNumbers = std::uint64_t{1} << 27U;
  const std::uint64_t most = kMostNumbers / (columns + 1);
  const std::size_t workers = table.worker_count();
  std::vector<std::vector<Worker>> partners(workers);
  std::vector<std::vector<char>> seen(parallel.workers());
  std::atomic<std::uint64_t> count{0};
  parallel_for(parallel, workers, [&](std::size_t w, std::size_t slot) {
    seen[slot].resize(workers);
    partners[w] = partners_of(w, table, by_worker, seen[slot]);
    if (count.fetch_add(partners[w].size()) + partners[w].size() > most) {
      throw InputError(
          "method '{}': more than {} pairs of workers have a common task; "
          "dawid-skene needs no pairs",
          method, most);
    }
  });
  WorkerPairs pairs;
  pairs.columns = columns;
  pairs.begins.push_back(0);
  pairs.others.reserve(count);
  for (std::vector<Worker>& one : partners) {
    pairs.others.insert(pairs.others.end(), one.begin(), one.end());
    pairs.begins.push_back(pairs.others.size());
    one = {};
  }
  pairs.common.assign(pairs.others.size(), 0);
  pairs.values.assign(pairs.others.size() * columns, 0);
  return pairs;
}

}  // namespace amalgam::labels::models
