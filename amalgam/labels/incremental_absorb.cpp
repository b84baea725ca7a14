#include <algorithm>
#include <cmath>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

// Taking in annotations: updates of the tasks that they bear on.
namespace amalgam::labels {

/// An update in progress. While it sweeps, only the tables of active workers change: what the
/// others say of a task is summed once, and their counts get the sum of what its posterior did at
/// the end. So a sweep reads a few hundred bytes of each task in the order of memory instead of
/// tables of all its annotators.
class IncrementalFit::Update {
 public:
  Update(IncrementalFit& fit, const AbsorbOptions& options) : fit_(fit), options_(options) {}

  AbsorbReport run(const AnnotationTable& added);

 private:
  void add_annotations(const AnnotationTable& added);
  void add_task(Task task, std::span<const Row> rows);
  void activate(Worker worker);
  void prefetch_task(std::size_t position) const;
  void gather_rows();
  template <int kClasses>
  void hear_idle_workers();
  template <int kClasses>
  void settle();
  template <int kClasses>
  double sweep(std::span<const std::size_t> positions);
  template <int kClasses>
  void carry_on();
  bool join_workers();
  void finish();

  IncrementalFit& fit_;
  const AbsorbOptions& options_;
  AbsorbReport report_;
  std::vector<Worker> active_;   // whose tasks are updated
  std::vector<char> is_active_;  // [workers]
  std::vector<double> pending_;  // [workers], changes that their tables do not show yet
  std::vector<Task> tasks_;      // all that are updated; increasing once gathered

  // Of the gathered tasks, by their position in tasks_:
  std::vector<double> others_;     // [tasks, labels], log-likelihood of idle workers' rows
  std::vector<double> posterior_;  // [tasks, labels]
  struct Rows {
    std::vector<std::uint64_t> begins;  // [tasks + 1]
    std::vector<Row> rows;
    std::span<const Row> of(std::size_t position) const {
      return {rows.data() + begins[position], begins[position + 1] - begins[position]};
    }
    // Whether a row that belongs to no position yet counts; nearly always the first one does.
    bool ends_with_weight() const {
      return std::any_of(rows.begin() + static_cast<std::ptrdiff_t>(begins.back()), rows.end(),
                         [](const Row& row) { return row.weight > 0; });
    }
  };
  Rows active_rows_;                   // of active workers,
  Rows idle_rows_;                     // and of all others
  std::vector<std::size_t> all_;       // positions of all tasks,
  std::vector<std::size_t> restless_;  // and of those that moved noticeably last time
};

void IncrementalFit::Update::add_annotations(const AnnotationTable& added) {
  const std::vector<KeptRows::Grown> grown = fit_.rows_.add(added, report_);
  const std::size_t worker_count = fit_.rows_.worker_count();
  fit_.posterior_.resize(fit_.rows_.task_count() * fit_.rows_.label_count(), 0);
  fit_.counts_.resize(worker_count * fit_.numbers_per_worker(), 0);
  fit_.logs_.resize(worker_count * (fit_.is_coin_ ? 2 : fit_.numbers_per_worker()), 0);
  fit_.weights_.resize(worker_count, 0);
  is_active_.assign(worker_count, 0);
  pending_.assign(worker_count, 0);

  for (const auto& [task, rows] : grown) add_task(task, rows);
}

// New rows of a task, which it has already, counted with its posterior.
void IncrementalFit::Update::add_task(Task task, std::span<const Row> rows) {
  const std::size_t classes = fit_.rows_.label_count();
  std::vector<double> votes(classes, 0);
  double weight = 0;
  std::size_t earlier = 0;  // rows of some weight
  fit_.rows_.each_row(task, [&](const Row& row) { earlier += row.weight > 0 ? 1 : 0; });
  for (const Row& row : rows) {
    votes[row.label] += row.weight;
    weight += row.weight;
    earlier -= row.weight > 0 ? 1 : 0;
  }
  double* const posterior = &fit_.posterior_[std::size_t{task} * classes];
  if (earlier == 0 && weight > 0) {
    // A task without annotations until now begins with its votes.
    for (std::size_t k = 0; k < classes; ++k) {
      posterior[k] = votes[k] / weight;
      fit_.class_sums_[k] += posterior[k];
    }
    fit_.covered_ += 1;
  } else if (earlier == 0) {
    std::ranges::copy(fit_.prior_, posterior);
  }
  for (const Row& row : rows) {
    fit_.more_worker_rows_[row.worker].push_back({task, row.label, row.weight});
    fit_.count(row, posterior, fit_.counts_.data());
    fit_.weights_[row.worker] += row.weight;
    activate(row.worker);
  }
  tasks_.push_back(task);
}

void IncrementalFit::Update::activate(Worker worker) {
  if (is_active_[worker] != 0) return;
  is_active_[worker] = 1;
  active_.push_back(worker);
}

// Asks for what gather_rows() will read of tasks further on, which lie anywhere in memory: where a
// task's rows are, then the rows.
void IncrementalFit::Update::prefetch_task(std::size_t position) const {
  constexpr std::size_t kPlaces = 32;
  constexpr std::size_t kRows = 16;
  const std::span<const std::uint64_t> begins = fit_.rows_.begins();
  const auto is_base = [&](std::size_t i) {
    return i < tasks_.size() && tasks_[i] + std::size_t{1} < begins.size();
  };
  if (is_base(position + kPlaces)) {
    const Task task = tasks_[position + kPlaces];
    __builtin_prefetch(&begins[task]);
    __builtin_prefetch(&fit_.posterior_[std::size_t{task} * fit_.rows_.label_count()]);
  }
  if (is_base(position + kRows)) {
    const Task task = tasks_[position + kRows];
    constexpr std::uint64_t kRowsOfCacheLine = 64 / sizeof(Row);
    for (std::uint64_t i = begins[task]; i < begins[task + 1]; i += kRowsOfCacheLine) {
      __builtin_prefetch(&fit_.rows_.rows()[i]);
    }
  }
}

// Copies the rows and posteriors of all tasks of the update, but for those of whom nobody says
// anything: they are no part of the class prior.
void IncrementalFit::Update::gather_rows() {
  std::ranges::sort(tasks_);
  const auto rest = std::ranges::unique(tasks_);
  tasks_.erase(rest.begin(), rest.end());
  const std::size_t classes = fit_.rows_.label_count();
  posterior_.resize(tasks_.size() * classes);
  active_rows_ = {{0}, {}};
  idle_rows_ = {{0}, {}};
  all_.clear();
  idle_rows_.rows.reserve(tasks_.size() * (fit_.rows_.annotations() / fit_.rows_.task_count() + 1));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    prefetch_task(i);
    fit_.rows_.each_row(tasks_[i], [&](const Row& row) {
      (is_active_[row.worker] != 0 ? active_rows_ : idle_rows_).rows.push_back(row);
    });
    if (!active_rows_.ends_with_weight() && !idle_rows_.ends_with_weight()) {
      active_rows_.rows.resize(active_rows_.begins.back());
      idle_rows_.rows.resize(idle_rows_.begins.back());
      continue;
    }
    active_rows_.begins.push_back(active_rows_.rows.size());
    idle_rows_.begins.push_back(idle_rows_.rows.size());
    std::ranges::copy(fit_.posterior(tasks_[i]), &posterior_[kept * classes]);
    all_.push_back(kept);
    tasks_[kept++] = tasks_[i];
  }
  tasks_.resize(kept);
  posterior_.resize(kept * classes);
}

// Sums what idle workers say of each task, once.
template <int kClasses>
void IncrementalFit::Update::hear_idle_workers() {
  const std::size_t classes = kClasses > 0 ? kClasses : fit_.rows_.label_count();
  const std::size_t last = fit_.is_coin_ ? 1 : classes - 1;
  const std::vector<Row>& rows = idle_rows_.rows;
  others_.assign(tasks_.size() * classes, 0);
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    for (std::uint64_t r = idle_rows_.begins[i]; r < idle_rows_.begins[i + 1]; ++r) {
      const std::size_t soon = std::min(r + models::kPrefetchRows, rows.size() - 1);
      const double* const said = fit_.logs_.data() + fit_.place_of_logs(rows[soon]);
      __builtin_prefetch(said);
      __builtin_prefetch(said + last);
      fit_.add_log_likelihood<kClasses>(rows[r], &others_[i * classes]);
    }
  }
}

// Looks at the tasks once, and then at the tables of active workers. Returns the largest change.
template <int kClasses>
double IncrementalFit::Update::sweep(std::span<const std::size_t> positions) {
  const std::size_t classes = kClasses > 0 ? kClasses : fit_.rows_.label_count();
  const double noticeable = options_.tolerance / 10;
  const double negligible = options_.tolerance / 100;
  std::vector<double> change(classes);
  std::vector<std::size_t> restless;
  double largest = 0;
  for (const std::size_t i : positions) {
    const std::span<const Row> rows = active_rows_.of(i);
    double* const posterior = &posterior_[i * classes];
    for (std::size_t k = 0; k < classes; ++k) {
      change[k] = fit_.log_prior_[k] + others_[i * classes + k];
    }
    for (const Row& row : rows) fit_.add_log_likelihood<kClasses>(row, change.data());
    models::softmax_in_place<kClasses>(change.data(), classes);
    double moved = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      change[k] -= posterior[k];
      moved = std::max(moved, std::abs(change[k]));
    }
    largest = std::max(largest, moved);
    if (moved < negligible) continue;
    if (moved >= noticeable) restless.push_back(i);
    for (std::size_t k = 0; k < classes; ++k) {
      posterior[k] = std::clamp(posterior[k] + change[k], 0.0, 1.0);
      fit_.class_sums_[k] += change[k];
    }
    for (const Row& row : rows) fit_.count<kClasses>(row, change.data(), fit_.counts_.data());
  }
  restless_.swap(restless);
  for (const Worker worker : active_) fit_.refresh(worker);
  fit_.refresh_prior();
  return largest;
}

// Between sweeps over all tasks of the update, only those that still move are looked at.
template <int kClasses>
void IncrementalFit::Update::settle() {
  bool everywhere = true;
  report_.converged = false;
  while (!report_.converged && report_.sweeps < options_.max_sweeps) {
    check_interrupt();
    const std::vector<std::size_t> restless = restless_;
    report_.largest_change = sweep<kClasses>(everywhere ? all_ : restless);
    ++report_.sweeps;
    const bool settled = report_.largest_change < options_.tolerance;
    report_.converged = everywhere && settled;
    everywhere = settled;
  }
}

// What the sweeps did to posteriors goes to the state, and into the counts of idle workers.
template <int kClasses>
void IncrementalFit::Update::carry_on() {
  const std::size_t classes = kClasses > 0 ? kClasses : fit_.rows_.label_count();
  constexpr std::size_t kTasks = 8;
  std::vector<double> change(classes);
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const std::size_t soon = std::min(i + kTasks, tasks_.size() - 1);
    __builtin_prefetch(&fit_.posterior_[std::size_t{tasks_[soon]} * classes], 1);
    double* const posterior = &fit_.posterior_[std::size_t{tasks_[i]} * classes];
    double moved = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      change[k] = posterior_[i * classes + k] - posterior[k];
      moved = std::max(moved, std::abs(change[k]));
      posterior[k] = posterior_[i * classes + k];
    }
    if (moved == 0) continue;
    for (const Row& row : idle_rows_.of(i)) {
      fit_.count<kClasses>(row, change.data(), fit_.counts_.data());
      pending_[row.worker] += row.weight * moved;
    }
  }
}

// Workers whose tasks have changed too much join; whether any did.
bool IncrementalFit::Update::join_workers() {
  const std::size_t before = active_.size();
  for (std::size_t w = 0; w < pending_.size(); ++w) {
    if (is_active_[w] != 0 || !(pending_[w] > options_.spread * fit_.weights_[w])) continue;
    const auto worker = static_cast<Worker>(w);
    pending_[w] = 0;
    activate(worker);
    fit_.refresh(worker);
    fit_.each_worker_row(worker, [&](const WorkerRow& row) { tasks_.push_back(row.task); });
  }
  return active_.size() > before;
}

void IncrementalFit::Update::finish() {
  double stale = 0;
  for (std::size_t w = 0; w < pending_.size(); ++w) {
    if (pending_[w] == 0) continue;
    stale += pending_[w];
    fit_.refresh(static_cast<Worker>(w));
  }
  report_.stale_mass = stale / static_cast<double>(fit_.rows_.annotations());
  report_.tasks_updated = tasks_.size();
  report_.workers_updated = active_.size();
}

AbsorbReport IncrementalFit::Update::run(const AnnotationTable& added) {
  add_annotations(added);
  for (const Worker worker : active_) {
    fit_.refresh(worker);
    fit_.each_worker_row(worker, [&](const WorkerRow& row) { tasks_.push_back(row.task); });
  }
  fit_.refresh_prior();
  models::with_class_count(fit_.rows_.label_count(), [&]<int kClasses>() {
    do {
      gather_rows();
      hear_idle_workers<kClasses>();
      settle<kClasses>();
      carry_on<kClasses>();
    } while (report_.converged && join_workers());
  });
  finish();
  return report_;
}

AbsorbReport IncrementalFit::absorb(const AnnotationTable& added, const AbsorbOptions& options) {
  refuse_gold(options, method_);
  return Update(*this, options).run(added);
}

}  // namespace amalgam::labels
