#include <algorithm>
#include <cmath>
#include <limits>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/incremental.hpp"

// Sweeps over everything, until nothing changes.
namespace amalgam::labels {

// The posteriors of all tasks, then all counts. `objective`: of the counts that the sweep began
// with.
IncrementalFit::Sweep IncrementalFit::sweep_all(const Parallel& parallel) {
  const std::size_t classes = labels_.size();
  constexpr std::size_t kTasksAtATime = 4096;
  const std::size_t blocks = (tasks_.size() + kTasksAtATime - 1) / kTasksAtATime;
  std::vector<Sweep> of_block(blocks);
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t) {
    std::vector<double> change(classes);
    Sweep& mine = of_block[block];
    const std::size_t end = std::min(tasks_.size(), (block + 1) * kTasksAtATime);
    for (std::size_t task = block * kTasksAtATime; task < end; ++task) {
      mine.largest_change =
          std::max(mine.largest_change, expect(static_cast<Task>(task), change, &mine.objective));
      for (std::size_t k = 0; k < classes; ++k) {
        double& p = posterior_[task * classes + k];
        p = std::clamp(p + change[k], 0.0, 1.0);
      }
    }
  });
  Sweep all;
  for (const Sweep& block : of_block) {
    all.objective += block.objective;
    all.largest_change = std::max(all.largest_change, block.largest_change);
  }
  all.objective += log_density();
  recount(parallel);
  return all;
}

// Of the pseudo-counts, up to a constant.
double IncrementalFit::log_density() const {
  if (is_coin_ || (diagonal_ == 0 && off_diagonal_ == 0)) return 0;
  const std::size_t classes = labels_.size();
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
  parallel_for(parallel, workers_.size(),
               [&](std::size_t worker, std::size_t) { refresh(static_cast<Worker>(worker)); });
  refresh_prior();
}

// Two sweeps apart, `first` and `second` after `start`: how far they lead if they go on as they do.
// Counts stay counts: none is negative.
std::vector<double> IncrementalFit::extrapolated(std::span<const double> start,
                                                 std::span<const double> first,
                                                 std::span<const double> second) {
  double step = 0;
  double bend = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double r = first[i] - start[i];
    const double v = second[i] - first[i] - r;
    step += r * r;
    bend += v * v;
  }
  const double length = bend > 0 ? std::max(1.0, std::sqrt(step / bend)) : 1.0;
  std::vector<double> far(start.size());
  for (std::size_t i = 0; i < start.size(); ++i) {
    const double r = first[i] - start[i];
    const double v = second[i] - first[i] - r;
    far[i] = std::max(0.0, start[i] + 2 * length * r + length * length * v);
  }
  return far;
}

RefineReport IncrementalFit::refine(double tolerance, std::size_t max_sweeps,
                                    const Parallel& parallel) {
  RefineReport report;
  const auto sweep_once = [&] {
    check_interrupt();
    const Sweep sweep = sweep_all(parallel);
    ++report.sweeps;
    report.largest_change = sweep.largest_change;
    return sweep;
  };
  // What to go back to where a leap led downhill, and the objective that it must not fall below.
  std::vector<double> safe;
  double reached = -std::numeric_limits<double>::infinity();
  while (report.sweeps < max_sweeps) {
    const std::vector<double> start = all_counts();
    const Sweep leapt = sweep_once();
    // Near the top the objective moves by less than its rounding.
    if (!safe.empty() && leapt.objective < reached - 1e-12 * std::abs(reached)) {
      set_counts(safe, parallel);
      safe.clear();
      continue;
    }
    // After a leap the posteriors' change is the leap's own.
    report.converged = safe.empty() && leapt.largest_change < tolerance;
    if (report.converged || report.sweeps == max_sweeps) break;
    const std::vector<double> first = all_counts();
    const Sweep second = sweep_once();
    report.converged = second.largest_change < tolerance;
    if (report.converged || report.sweeps == max_sweeps) break;
    safe = all_counts();
    reached = second.objective;
    set_counts(extrapolated(start, first, safe), parallel);
  }
  return report;
}

}  // namespace amalgam::labels
