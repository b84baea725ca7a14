#include <algorithm>
#include <cmath>

#include "amalgam/core/fold.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/acceleration.hpp"
#include "amalgam/labels/models/em.hpp"

// Sweeps over everything, until nothing changes.
namespace amalgam::labels {

// What a pass over tasks gives: the objective of the counts that it began with
// (but for their density), and what it counted.
struct IncrementalFit::Pass {
  double objective = 0;
  double largest_change = 0;  // of a posterior
  double covered = 0;         // tasks with annotations
  std::vector<double> class_sums;
  std::vector<double> counts;

  void combine(Pass&& right) {
    objective += right.objective;
    largest_change = std::max(largest_change, right.largest_change);
    covered += right.covered;
    for (std::size_t k = 0; k < class_sums.size(); ++k) class_sums[k] += right.class_sums[k];
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += right.counts[i];
  }
};

// Tables of many workers lie beyond the nearest cache: asks for what rows will
// read of them.
void IncrementalFit::prefetch_rows(std::uint64_t begin, std::uint64_t end,
                                   const double* counts) const {
  const std::size_t last = is_coin_ ? 1 : rows_.label_count() - 1;
  const std::span<const Row> rows = rows_.rows();
  for (std::uint64_t i = begin; i < std::min<std::uint64_t>(end, rows.size()); ++i) {
    const std::size_t said = place_of_logs(rows[i]);
    __builtin_prefetch(&logs_[said]);
    __builtin_prefetch(&logs_[said + last]);
    if (is_coin_) {
      __builtin_prefetch(counts + rows[i].worker, 1);
    } else {
      __builtin_prefetch(counts + said, 1);
      __builtin_prefetch(counts + said + last, 1);
    }
  }
}

// `expect`: whether posteriors are computed, else they are counted as they are.
template <int kClasses>
IncrementalFit::Pass IncrementalFit::pass_over(Task begin, Task end, bool expect) {
  const std::size_t classes = kClasses > 0 ? kClasses : rows_.label_count();
  Pass pass;
  pass.class_sums.assign(classes, 0);
  pass.counts.assign(counts_.size(), 0);
  std::vector<double> expected(classes);
  const std::span<const std::uint64_t> begins = rows_.begins();
  for (Task task = begin; task < end; ++task) {
    double* const posterior = &posterior_[std::size_t{task} * classes];
    if (task + std::size_t{1} < begins.size()) {
      prefetch_rows(begins[task] + models::kPrefetchRows,
                    begins[task + std::size_t{1}] + models::kPrefetchRows, pass.counts.data());
    }
    double weight = 0;
    if (expect) {
      std::ranges::copy(log_prior_, expected.begin());
      rows_.each_row(task, [&](const Row& row) {
        weight += row.weight;
        add_log_likelihood<kClasses>(row, expected.data());
      });
      pass.objective += models::softmax_in_place<kClasses>(expected.data(), classes);
      for (std::size_t k = 0; k < classes; ++k) {
        pass.largest_change = std::max(pass.largest_change, std::abs(expected[k] - posterior[k]));
        posterior[k] = expected[k];
      }
    } else {
      rows_.each_row(task, [&](const Row& row) { weight += row.weight; });
    }
    if (!(weight > 0)) continue;
    pass.covered += 1;
    for (std::size_t k = 0; k < classes; ++k) pass.class_sums[k] += posterior[k];
    rows_.each_row(task,
                   [&](const Row& row) { count<kClasses>(row, posterior, pass.counts.data()); });
  }
  return pass;
}

// Over all tasks, as a fold over leaves that are cut by the number of tasks and
// workers alone.
IncrementalFit::Pass IncrementalFit::pass(const Parallel& parallel, bool expect) {
  constexpr std::size_t kTasksAtATime = 4096;
  const std::size_t tasks = rows_.task_count();
  const std::size_t affordable = models::kCountsMemory / (counts_.size() * sizeof(double));
  const std::size_t leaves = std::min({models::kMostLeaves, std::max<std::size_t>(1, affordable),
                                       (tasks + kTasksAtATime - 1) / kTasksAtATime});
  return models::with_class_count(rows_.label_count(), [&]<int kClasses>() {
    return *fold(parallel, leaves, [&](std::size_t leaf, std::size_t) {
      return pass_over<kClasses>(static_cast<Task>(leaf * tasks / leaves),
                                 static_cast<Task>((leaf + 1) * tasks / leaves), expect);
    });
  });
}

void IncrementalFit::take_counts(Pass&& pass, const Parallel& parallel) {
  covered_ = pass.covered;
  class_sums_ = std::move(pass.class_sums);
  counts_ = std::move(pass.counts);
  refresh_all(parallel);
}

// What follows from counts.
void IncrementalFit::refresh_all(const Parallel& parallel) {
  constexpr std::size_t kWorkersAtATime = 64;
  const std::size_t blocks = (rows_.worker_count() + kWorkersAtATime - 1) / kWorkersAtATime;
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t) {
    const std::size_t end = std::min(rows_.worker_count(), (block + 1) * kWorkersAtATime);
    for (std::size_t w = block * kWorkersAtATime; w < end; ++w) refresh(static_cast<Worker>(w));
  });
  refresh_prior();
}

// All counts from the posteriors.
void IncrementalFit::recount(const Parallel& parallel) {
  counts_.assign(rows_.worker_count() * numbers_per_worker(), 0);
  logs_.assign(rows_.worker_count() * (is_coin_ ? 2 : numbers_per_worker()), 0);
  prior_.assign(rows_.label_count(), 0);
  take_counts(pass(parallel, false), parallel);
}

// The posteriors of all tasks, and all counts. `objective`: of the counts that
// the sweep began with.
IncrementalFit::Sweep IncrementalFit::sweep_all(const Parallel& parallel) {
  Pass all = pass(parallel, true);
  const Sweep sweep{all.objective + log_density(), all.largest_change};
  take_counts(std::move(all), parallel);
  return sweep;
}

// Of the pseudo-counts, up to a constant.
double IncrementalFit::log_density() const {
  if (is_coin_ || (diagonal_ == 0 && off_diagonal_ == 0)) return 0;
  const std::size_t classes = rows_.label_count();
  double sum = 0;
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    const bool right = i % classes == i / classes % classes;
    sum += (right ? diagonal_ : off_diagonal_) * logs_[i];
  }
  return sum;
}

std::vector<double> IncrementalFit::all_counts() const {
  std::vector<double> all = counts_;
  all.insert(all.end(), class_sums_.begin(), class_sums_.end());
  return all;
}

void IncrementalFit::set_counts(std::span<const double> all, const Parallel& parallel) {
  std::copy_n(all.begin(), counts_.size(), counts_.begin());
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(counts_.size()), class_sums_.size(),
              class_sums_.begin());
  refresh_all(parallel);
}

RefineReport IncrementalFit::refine(double tolerance, std::size_t max_sweeps,
                                    const Parallel& parallel) {
  // A leap that moved posteriors by no more than so many tolerances is followed by a plain sweep,
  // to see whether that moves any.
  constexpr double kNearly = 100;
  RefineReport report;
  models::Anderson ahead(all_counts(), parallel);
  while (report.sweeps < max_sweeps) {
    check_interrupt();
    const bool is_plain = ahead.is_plain();
    const Sweep sweep = sweep_all(parallel);
    ++report.sweeps;
    // After a leap the posteriors' change is the leap's own.
    if (is_plain) report.largest_change = sweep.largest_change;
    report.converged = is_plain && sweep.largest_change < tolerance;
    if (report.converged) break;
    if (!is_plain && sweep.largest_change < kNearly * tolerance) ahead.rest();
    ahead.take(sweep.objective, all_counts());
    if (!ahead.is_plain() && report.sweeps < max_sweeps) set_counts(ahead.counts(), parallel);
  }
  return report;
}

}  // namespace amalgam::labels
