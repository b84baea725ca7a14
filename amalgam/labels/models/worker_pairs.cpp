#include "amalgam/labels/models/worker_pairs.hpp"

#include <algorithm>
#include <atomic>

#include "amalgam/core/error.hpp"

namespace amalgam::labels::models {

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

std::vector<std::vector<Partner>> worker_pairs(std::string_view method,
                                               const AnnotationTable& table,
                                               const Parallel& parallel) {
  constexpr std::uint64_t kMostPairs = std::uint64_t{1} << 26U;
  const WorkerRows by_worker = rows_by_worker(table);
  const std::size_t workers = table.worker_count();
  struct Scratch {
    std::vector<Partner> all;
    std::vector<Worker> met;
  };
  std::vector<Scratch> scratch(parallel.workers());
  std::vector<std::vector<Partner>> pairs(workers);
  std::atomic<std::uint64_t> count{0};
  parallel_for(parallel, workers, [&](std::size_t w, std::size_t slot) {
    auto& [all, met] = scratch[slot];
    if (all.empty()) {
      for (std::size_t v = 0; v < workers; ++v) all.push_back({static_cast<Worker>(v)});
    }
    met.clear();
    for (std::uint64_t i = by_worker.begins[w]; i < by_worker.begins[w + 1]; ++i) {
      const std::size_t mine = by_worker.rows[i];
      const auto [first, last] = table.rows_of(table.tasks[mine]);
      for (std::size_t row = first; row < last; ++row) {
        const Worker other = table.workers[row];
        const double weight = table.weight(mine) * table.weight(row);
        if (other == w || weight == 0) continue;
        if (all[other].common == 0) met.push_back(other);
        all[other].common += weight;
        if (table.labels[row] == table.labels[mine]) all[other].agree += weight;
      }
    }
    if (count.fetch_add(met.size()) + met.size() > kMostPairs) {
      throw InputError(
          "method '{}': more than {} pairs of workers have a common task; "
          "dawid-skene needs no pairs",
          method, kMostPairs);
    }
    std::ranges::sort(met);
    for (const Worker other : met) {
      pairs[w].push_back(all[other]);
      all[other] = {other};
    }
  });
  return pairs;
}

}  // namespace amalgam::labels::models
