#include "amalgam/labels/incremental.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {

using models::kFloor;

/// An update in progress.
struct IncrementalFit::Update {
  AbsorbReport report;
  std::vector<Worker> active;   // whose tasks are updated
  std::vector<char> is_active;  // [workers]
  std::vector<double> pending;  // [workers], changes that are not carried on
  std::vector<Task> tasks;      // all that are updated, increasing
  std::vector<Task> restless;   // of them, those that moved noticeably when last looked at

  void activate(Worker worker) {
    if (is_active[worker] != 0) return;
    is_active[worker] = 1;
    active.push_back(worker);
  }
  void sort_tasks() {
    std::ranges::sort(tasks);
    const auto rest = std::ranges::unique(tasks);
    tasks.erase(rest.begin(), rest.end());
  }
};

IncrementalFit::IncrementalFit(const AnnotationTable& table, std::string method,
                               std::span<const std::string> parameters, const FitContext& context)
    : method_(std::move(method)), parameters_(parameters.begin(), parameters.end()) {
  set_method();
  LabelFit fit = fit_labels(method_, table, parameters_, context);
  posterior_ = std::move(fit.posterior.values);
  set_rows(table);
  recount(context.parallel);
}

// What the method's name and parameters mean here.
void IncrementalFit::set_method() {
  is_coin_ = method_ == "one-coin-dawid-skene" || method_ == "zencrowd";
  learns_prior_ = method_ != "zencrowd";
  if (!is_coin_ && method_ != "dawid-skene") {
    throw InputError(
        "method '{}' cannot take in annotations later; expected dawid-skene, "
        "one-coin-dawid-skene or zencrowd",
        method_);
  }
  const LabelModelInfo& info = find_label_model(method_).info();
  const Parameters values = parameters_from_arguments(info.name, info.parameters, parameters_);
  if (is_coin_) return;
  diagonal_ = values.number("diagonal");
  off_diagonal_ = values.number("off_diagonal");
}

void IncrementalFit::set_rows(const AnnotationTable& table) {
  tasks_ = table.task_names;
  workers_ = table.worker_names;
  labels_ = table.label_names;
  appearance_ = table.appearance;
  begins_ = table.task_begins;
  rows_.resize(table.rows());
  for (std::size_t row = 0; row < table.rows(); ++row) {
    rows_[row] = {table.workers[row], table.labels[row], static_cast<float>(table.weight(row))};
  }
  more_.clear();
  has_more_.clear();
  more_worker_rows_.clear();
  annotations_ = table.rows();
  index_workers();
}

void IncrementalFit::index_workers() {
  worker_begins_.assign(workers_.size() + 1, 0);
  for (const Row& row : rows_) ++worker_begins_[row.worker + 1];
  for (std::size_t w = 0; w < workers_.size(); ++w) worker_begins_[w + 1] += worker_begins_[w];
  std::vector<std::uint64_t> next(worker_begins_.begin(), worker_begins_.end() - 1);
  worker_rows_.resize(rows_.size());
  for (std::size_t task = 0; task + 1 < begins_.size(); ++task) {
    for (std::uint64_t row = begins_[task]; row < begins_[task + 1]; ++row) {
      const Row& one = rows_[row];
      worker_rows_[next[one.worker]++] = {static_cast<Task>(task), one.label, one.weight};
    }
  }
}

std::size_t IncrementalFit::numbers_per_worker() const {
  return is_coin_ ? 1 : labels_.size() * labels_.size();
}

template <class Body>
void IncrementalFit::each_worker_row(Worker worker, const Body& body) const {
  if (worker + std::size_t{1} < worker_begins_.size()) {
    for (std::uint64_t i = worker_begins_[worker]; i < worker_begins_[worker + 1]; ++i) {
      body(worker_rows_[i]);
    }
  }
  if (const auto found = more_worker_rows_.find(worker); found != more_worker_rows_.end()) {
    for (const WorkerRow& row : found->second) body(row);
  }
}

void IncrementalFit::add_log_likelihood(const Row& row, double* logits) const {
  const std::size_t classes = labels_.size();
  if (is_coin_) {
    const double right = logs_[2 * std::size_t{row.worker}];
    const double wrong = logs_[2 * std::size_t{row.worker} + 1];
    for (std::size_t k = 0; k < classes; ++k) {
      logits[k] += row.weight * (k == row.label ? right : wrong);
    }
    return;
  }
  const double* said = logs_.data() + (std::size_t{row.worker} * classes + row.label) * classes;
  for (std::size_t k = 0; k < classes; ++k) logits[k] += row.weight * said[k];
}

// `change`: of the posterior of the row's task.
void IncrementalFit::count(Worker worker, Label label, float weight, const double* change) {
  const std::size_t classes = labels_.size();
  if (is_coin_) {
    counts_[worker] += weight * change[label];
    return;
  }
  double* said = counts_.data() + (std::size_t{worker} * classes + label) * classes;
  for (std::size_t k = 0; k < classes; ++k) said[k] += weight * change[k];
}

void IncrementalFit::refresh(Worker worker) {
  const std::size_t classes = labels_.size();
  if (is_coin_) {
    const double weight = weights_[worker];
    const double share = weight > 0 ? counts_[worker] / weight : 0.5;
    const double skill = std::clamp(share, kFloor, 1 - kFloor);
    logs_[2 * std::size_t{worker}] = portable_log(skill);
    logs_[2 * std::size_t{worker} + 1] =
        portable_log((1 - skill) / static_cast<double>(classes - 1));
    return;
  }
  const std::size_t square = classes * classes;
  double* table = logs_.data() + worker * square;
  std::copy_n(counts_.data() + worker * square, square, table);
  models::normalise_worker(table, classes, {diagonal_, off_diagonal_});
}

void IncrementalFit::refresh_prior() {
  for (std::size_t k = 0; k < prior_.size(); ++k) {
    prior_[k] =
        learns_prior_ ? class_sums_[k] / covered_ : 1.0 / static_cast<double>(prior_.size());
  }
  log_prior_ = models::log_of(prior_);
}

// All counts from the posteriors.
void IncrementalFit::recount(const Parallel& parallel) {
  const std::size_t classes = labels_.size();
  counts_.assign(workers_.size() * numbers_per_worker(), 0);
  logs_.assign(workers_.size() * (is_coin_ ? 2 : numbers_per_worker()), 0);
  weights_.assign(workers_.size(), 0);
  constexpr std::size_t kWorkersAtATime = 64;
  const std::size_t blocks = (workers_.size() + kWorkersAtATime - 1) / kWorkersAtATime;
  parallel_for(parallel, blocks, [&](std::size_t block, std::size_t) {
    const std::size_t end = std::min(workers_.size(), (block + 1) * kWorkersAtATime);
    for (std::size_t w = block * kWorkersAtATime; w < end; ++w) {
      const auto worker = static_cast<Worker>(w);
      each_worker_row(worker, [&](const WorkerRow& row) {
        count(worker, row.label, row.weight, &posterior_[std::size_t{row.task} * classes]);
        weights_[w] += row.weight;
      });
      refresh(worker);
    }
  });
  class_sums_.assign(classes, 0);
  prior_.assign(classes, 0);
  covered_ = 0;
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    double weight = 0;
    each_row(static_cast<Task>(task), [&](const Row& row) { weight += row.weight; });
    if (!(weight > 0)) continue;
    covered_ += 1;
    for (std::size_t k = 0; k < classes; ++k) class_sums_[k] += posterior_[task * classes + k];
  }
  refresh_prior();
}

// The change that the task's posterior makes; returns its largest component. `log_likelihood` (may
// be null): the task's is added.
double IncrementalFit::expect(Task task, std::vector<double>& change,
                              double* log_likelihood) const {
  const std::size_t classes = labels_.size();
  std::ranges::copy(log_prior_, change.begin());
  each_row(task, [&](const Row& row) { add_log_likelihood(row, change.data()); });
  const double log_sum = models::softmax_in_place(change.data(), classes);
  if (log_likelihood != nullptr) *log_likelihood += log_sum;
  double largest = 0;
  for (std::size_t k = 0; k < classes; ++k) {
    change[k] -= posterior_[std::size_t{task} * classes + k];
    largest = std::max(largest, std::abs(change[k]));
  }
  return largest;
}

void IncrementalFit::add_rows(const AnnotationTable& added, Update& update) {
  std::vector<Label> labels(added.label_count());
  for (std::size_t l = 0; l < labels.size(); ++l) {
    const std::uint32_t label = labels_.find(added.label_names[l]);
    if (label == StringPool::npos) {
      throw InputError(
          "the label '{}' was not there when the state was made; aggregate everything "
          "anew",
          printable(added.label_names[l]));
    }
    labels[l] = static_cast<Label>(label);
  }
  const std::size_t classes = labels_.size();
  const std::size_t old_tasks = tasks_.size();
  const std::size_t old_workers = workers_.size();
  std::vector<Worker> workers(added.worker_count());
  for (std::size_t w = 0; w < workers.size(); ++w) workers[w] = workers_.add(added.worker_names[w]);
  std::vector<Task> tasks(added.task_count());
  for (const Task task : added.appearance) {
    tasks[task] = tasks_.add(added.task_names[task]);
    if (tasks[task] >= old_tasks) appearance_.push_back(tasks[task]);
  }
  posterior_.resize(tasks_.size() * classes, 0);
  counts_.resize(workers_.size() * numbers_per_worker(), 0);
  logs_.resize(workers_.size() * (is_coin_ ? 2 : numbers_per_worker()), 0);
  weights_.resize(workers_.size(), 0);
  update.is_active.assign(workers_.size(), 0);
  update.pending.assign(workers_.size(), 0);

  for (std::size_t i = 0; i < added.task_count(); ++i) {
    const Task task = tasks[i];
    const auto [begin, end] = added.rows_of(static_cast<Task>(i));
    double old_weight = 0;
    each_row(task, [&](const Row& row) { old_weight += row.weight; });
    std::vector<double> votes(classes, 0);
    double weight = 0;
    for (std::size_t row = begin; row < end; ++row) {
      votes[labels[added.labels[row]]] += added.weight(row);
      weight += added.weight(row);
    }
    double* const posterior = &posterior_[std::size_t{task} * classes];
    if (!(old_weight > 0) && weight > 0) {
      // A task without annotations until now begins with its votes.
      for (std::size_t k = 0; k < classes; ++k) {
        posterior[k] = votes[k] / weight;
        class_sums_[k] += posterior[k];
      }
      covered_ += 1;
    }
    for (std::size_t row = begin; row < end; ++row) {
      const Row one{workers[added.workers[row]], labels[added.labels[row]],
                    static_cast<float>(added.weight(row))};
      if (task >= has_more_.size()) has_more_.resize(task + std::size_t{1}, 0);
      has_more_[task] = 1;
      more_[task].push_back(one);
      more_worker_rows_[one.worker].push_back({task, one.label, one.weight});
      count(one.worker, one.label, one.weight, posterior);
      weights_[one.worker] += one.weight;
      update.activate(one.worker);
    }
    update.tasks.push_back(task);
  }
  annotations_ += added.rows();
  update.report.annotations = added.rows();
  update.report.new_tasks = tasks_.size() - old_tasks;
  update.report.new_workers = workers_.size() - old_workers;
}

// Looks at `tasks` once, and then at the tables of active workers. Tasks that move by `noticeable`
// are restless. Returns the largest change.
double IncrementalFit::sweep(std::span<const Task> tasks, double noticeable, Update& update) {
  std::vector<double> change(labels_.size());
  std::vector<Task> restless;
  double largest = 0;
  for (const Task task : tasks) {
    const double moved = expect(task, change);
    largest = std::max(largest, moved);
    if (moved >= noticeable) restless.push_back(task);
    if (moved == 0) continue;
    for (std::size_t k = 0; k < change.size(); ++k) {
      double& p = posterior_[std::size_t{task} * change.size() + k];
      p = std::clamp(p + change[k], 0.0, 1.0);
      class_sums_[k] += change[k];
    }
    each_row(task, [&](const Row& row) {
      count(row.worker, row.label, row.weight, change.data());
      if (update.is_active[row.worker] == 0) update.pending[row.worker] += row.weight * moved;
    });
  }
  update.restless.swap(restless);
  for (const Worker worker : update.active) refresh(worker);
  refresh_prior();
  return largest;
}

// Workers whose tasks have changed too much join; whether any did.
bool IncrementalFit::join_workers(double spread, Update& update) {
  const std::size_t before = update.active.size();
  for (std::size_t w = 0; w < update.pending.size(); ++w) {
    if (update.is_active[w] != 0 || !(update.pending[w] > spread * weights_[w])) continue;
    const auto worker = static_cast<Worker>(w);
    update.pending[w] = 0;
    update.activate(worker);
    refresh(worker);
    each_worker_row(worker, [&](const WorkerRow& row) { update.tasks.push_back(row.task); });
  }
  if (update.active.size() == before) return false;
  update.sort_tasks();
  return true;
}

AbsorbReport IncrementalFit::absorb(const AnnotationTable& added, const AbsorbOptions& options) {
  Update update;
  add_rows(added, update);
  for (const Worker worker : update.active) {
    refresh(worker);
    each_worker_row(worker, [&](const WorkerRow& row) { update.tasks.push_back(row.task); });
  }
  refresh_prior();
  update.sort_tasks();
  AbsorbReport& report = update.report;
  // Between sweeps over all tasks of the update, only those that still move are looked at.
  const double noticeable = options.tolerance / 10;
  bool everywhere = true;
  while (report.sweeps < options.max_sweeps) {
    check_interrupt();
    const std::vector<Task> restless = update.restless;
    const std::span<const Task> tasks = everywhere ? std::span<const Task>(update.tasks) : restless;
    report.largest_change = sweep(tasks, noticeable, update);
    ++report.sweeps;
    const bool joined = join_workers(options.spread, update);
    const bool settled = report.largest_change < options.tolerance;
    report.converged = everywhere && settled && !joined;
    if (report.converged) break;
    everywhere = joined || settled;
  }
  double stale = 0;
  for (std::size_t w = 0; w < update.pending.size(); ++w) {
    if (update.pending[w] == 0) continue;
    stale += update.pending[w];
    refresh(static_cast<Worker>(w));
  }
  report.stale_mass = stale / static_cast<double>(annotations_);
  report.tasks_updated = update.tasks.size();
  report.workers_updated = update.active.size();
  return report;
}

IncrementalFit::Result IncrementalFit::result() const {
  AnnotationBuilder builder;
  for (const Task task : appearance_) builder.task(tasks_[task]);
  for (std::size_t w = 0; w < workers_.size(); ++w) builder.worker(workers_[w]);
  for (std::size_t l = 0; l < labels_.size(); ++l) builder.label(labels_[l]);
  bool weighted = false;
  for (std::size_t i = 0; i < appearance_.size(); ++i) {
    each_row(appearance_[i], [&](const Row& row) {
      builder.add(static_cast<Task>(i), row.worker, row.label);
      builder.add_weight(row.weight);
      weighted = weighted || row.weight != 1;
    });
  }
  Result result{builder.finish("state"), {}};
  if (!weighted) result.table.weights.clear();
  const std::size_t classes = labels_.size();
  result.fit.posterior = SoftLabels(tasks_.size(), classes);
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    const std::span<const double> from = posterior(tasks_.find(result.table.task_names[task]));
    std::ranges::copy(from, result.fit.posterior.row(task).begin());
  }
  result.fit.prior = prior_;
  std::vector<double> logs;
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    const std::size_t from = workers_.find(result.table.worker_names[w]);
    if (is_coin_) {
      result.fit.skills.push_back(portable_exp(logs_[2 * from]));
    } else {
      const auto table = logs_.begin() + static_cast<std::ptrdiff_t>(from * classes * classes);
      logs.insert(logs.end(), table, table + static_cast<std::ptrdiff_t>(classes * classes));
    }
  }
  if (!is_coin_) {
    result.fit.skills = models::skills_of(logs, prior_);
    result.fit.confusion = models::confusion_of(logs, classes);
  }
  return result;
}

}  // namespace amalgam::labels
