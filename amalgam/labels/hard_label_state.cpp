#include "amalgam/labels/hard_label_state.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/labels/fit_warnings.hpp"
#include "amalgam/labels/models/votes.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kMethod = "fast-dawid-skene";

// The first of the labels that are within kTie of the best.
Label best_of(std::span<const double> values) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < values.size(); ++k) {
    if (values[k] > values[best] + kTie) best = k;
  }
  return static_cast<Label>(best);
}

// By how much another label would have to rise to be the best.
double margin_of(std::span<const double> values, Label best) {
  double next = -std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (k != best) next = std::max(next, values[k]);
  }
  return values[best] - next;
}

}  // namespace

HardLabelState::HardLabelState(const AnnotationTable& table,
                               std::span<const std::string> parameters, const FitContext& context)
    : head_{kMethod, {parameters.begin(), parameters.end()}}, rows_(table) {
  set_parameters();
  const LabelFit fit = fit_labels(kMethod, table, head_.parameters, context);
  set_labels(hard_labels(fit.posterior).labels);
  settle(iterations_, true);
}

HardLabelState::HardLabelState(const ColumnReader& reader)
    : head_(read_state_head(reader)), rows_(read_state_rows(reader)) {
  reader.check(head_.method == kMethod, "method and columns");
  set_parameters();
  std::vector<Label> labels = reader.column<std::uint16_t>("task_labels", DType::u16);
  reader.check(labels.size() == rows_.task_count(), "labels of tasks");
  for (const Label label : labels) reader.check(label < rows_.label_count(), "labels of tasks");
  models::check_confusion_size(rows_.numbered());
  set_labels(std::move(labels));
  // Margins are not in the file: a round over all tasks finds them, and changes no label.
  settle(1, true);
}

void HardLabelState::set_parameters() {
  const LabelModelInfo& info = find_label_model(kMethod).info();
  const Parameters values = parameters_from_arguments(info.name, info.parameters, head_.parameters);
  smoothing_ = {values.number("diagonal"), values.number("off_diagonal")};
  iterations_ = static_cast<std::size_t>(values.number("iterations"));
}

// Everything from the labels.
void HardLabelState::set_labels(std::vector<Label> labels) {
  const std::size_t classes = rows_.label_count();
  labels_ = std::move(labels);
  weights_.assign(labels_.size(), 0);
  tasks_of_.assign(rows_.worker_count(), {});
  counts_.assign(rows_.worker_count() * classes * classes, 0);
  class_counts_.assign(classes, 0);
  covered_ = 0;
  is_touched_.assign(rows_.worker_count(), 0);
  safe_until_.assign(labels_.size(), 0);
  log_prior_.assign(classes, 0);
  for (Task task = 0; task < labels_.size(); ++task) {
    rows_.each_row(task, [&](const KeptRows::Row& row) {
      weights_[task] += row.weight;
      std::vector<Task>& tasks = tasks_of_[row.worker];
      if (tasks.empty() || tasks.back() != task) tasks.push_back(task);
    });
    count(task, labels_[task], 1);
    covered_ += weights_[task] > 0 ? 1 : 0;
  }
  logs_.assign(counts_.size(), 0);
  for (Worker worker = 0; worker < rows_.worker_count(); ++worker) touch(worker);
  refresh();
}

// Counts the task's annotations `times` times as those of a task whose label is `label`.
void HardLabelState::count(Task task, Label label, double times) {
  if (!(weights_[task] > 0)) return;
  const std::size_t classes = rows_.label_count();
  class_counts_[label] += times;
  rows_.each_row(task, [&](const KeptRows::Row& row) {
    counts_[(std::size_t{row.worker} * classes + row.label) * classes + label] +=
        times * row.weight;
    touch(row.worker);
  });
}

void HardLabelState::touch(Worker worker) {
  if (is_touched_[worker] != 0) return;
  is_touched_[worker] = 1;
  touched_.push_back(worker);
}

// The tables of workers whose counts changed, and the prior.
void HardLabelState::refresh() {
  const std::size_t classes = rows_.label_count();
  const std::size_t square = classes * classes;
  for (const Worker worker : touched_) {
    std::copy_n(counts_.data() + worker * square, square, logs_.data() + worker * square);
    models::normalise_worker(logs_.data() + worker * square, classes, smoothing_);
  }
  prior_ = class_counts_;
  for (double& p : prior_) p /= covered_;
  const std::vector<double> log_prior = models::log_of(prior_);
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (std::size_t k = 0; k < classes; ++k) {
    least = std::min(least, log_prior[k] - log_prior_[k]);
    most = std::max(most, log_prior[k] - log_prior_[k]);
  }
  drift_ += most - least;
  log_prior_ = log_prior;
}

std::vector<Task> HardLabelState::tasks_to_look_at(bool all) const {
  std::vector<Task> tasks;
  // Rounding may make a label look nearer than it is: what is nearly unsafe is looked at.
  constexpr double kSlack = 1e-9;
  for (Task task = 0; task < labels_.size(); ++task) {
    if (all || safe_until_[task] - kSlack <= drift_) tasks.push_back(task);
  }
  if (all) return tasks;
  for (const Worker worker : touched_) {
    tasks.insert(tasks.end(), tasks_of_[worker].begin(), tasks_of_[worker].end());
  }
  std::ranges::sort(tasks);
  const auto rest = std::ranges::unique(tasks);
  tasks.erase(rest.begin(), rest.end());
  return tasks;
}

// The log-likelihood of each label, up to a constant.
void HardLabelState::likelihoods_of(Task task, std::vector<double>& logits) const {
  const std::size_t classes = rows_.label_count();
  logits = log_prior_;
  rows_.each_row(task, [&](const KeptRows::Row& row) {
    const double* said = logs_.data() + (std::size_t{row.worker} * classes + row.label) * classes;
    for (std::size_t k = 0; k < classes; ++k) logits[k] += row.weight * said[k];
  });
}

// The task's label by the tables as they are, noting how safe it is.
Label HardLabelState::look_at(Task task, std::vector<double>& logits) {
  likelihoods_of(task, logits);
  const Label best = best_of(logits);
  safe_until_[task] = drift_ + margin_of(logits, best);
  return best;
}

// Rounds until no label changes. In a round all tasks are looked at by the same tables, as in a
// sweep over everything: what is left out would not change.
HardLabelState::Round HardLabelState::settle(std::size_t max_sweeps, bool all) {
  Round round;
  std::vector<char> seen(labels_.size(), 0);
  std::vector<char> active(rows_.worker_count(), 0);
  std::vector<double> logits;
  while (!round.settled && round.sweeps < max_sweeps) {
    check_interrupt();
    const std::vector<Task> tasks = tasks_to_look_at(all && round.sweeps == 0);
    for (const Worker worker : std::exchange(touched_, {})) {
      is_touched_[worker] = 0;
      round.workers += active[worker] == 0 ? 1 : 0;
      active[worker] = 1;
    }
    std::vector<std::pair<Task, Label>> changed;
    for (const Task task : tasks) {
      round.tasks += seen[task] == 0 ? 1 : 0;
      seen[task] = 1;
      const Label label = look_at(task, logits);
      if (label != labels_[task]) changed.emplace_back(task, label);
    }
    for (const auto& [task, label] : changed) {
      count(task, labels_[task], -1);
      count(task, label, 1);
      labels_[task] = label;
    }
    refresh();
    ++round.sweeps;
    round.settled = changed.empty();
  }
  return round;
}

// New annotations of a task, counted with the label that it has, or with its votes' if those are
// its first.
void HardLabelState::add_rows(const KeptRows::Grown& grown) {
  const std::size_t classes = rows_.label_count();
  const auto& [task, rows] = grown;
  std::vector<double> votes(classes, 0);
  double weight = 0;
  for (const KeptRows::Row& row : rows) {
    votes[row.label] += row.weight;
    weight += row.weight;
    std::vector<Task>& tasks = tasks_of_[row.worker];
    if (tasks.empty() || tasks.back() != task) tasks.push_back(task);
    touch(row.worker);
  }
  const bool is_first = !(weights_[task] > 0);
  weights_[task] += weight;
  if (!(weights_[task] > 0)) return;
  if (is_first) {
    for (double& vote : votes) vote /= weight;
    labels_[task] = best_of(votes);
    class_counts_[labels_[task]] += 1;
    covered_ += 1;
  }
  for (const KeptRows::Row& row : rows) {
    counts_[(std::size_t{row.worker} * classes + row.label) * classes + labels_[task]] +=
        row.weight;
  }
}

AbsorbReport HardLabelState::absorb(const AnnotationTable& added, const AbsorbOptions& options) {
  refuse_gold(options, head_.method);
  AbsorbReport report;
  const std::vector<KeptRows::Grown> grown = rows_.add(added, report);
  const std::size_t square = rows_.label_count() * rows_.label_count();
  tasks_of_.resize(rows_.worker_count());
  counts_.resize(rows_.worker_count() * square, 0);
  logs_.resize(counts_.size(), 0);
  is_touched_.resize(rows_.worker_count(), 0);
  labels_.resize(rows_.task_count(), 0);
  weights_.resize(rows_.task_count(), 0);
  safe_until_.resize(rows_.task_count(), 0);  // a new task is looked at
  for (const KeptRows::Grown& one : grown) add_rows(one);
  refresh();
  const Round round = settle(options.max_sweeps, false);
  report.sweeps = round.sweeps;
  report.converged = round.settled;
  report.tasks_updated = round.tasks;
  report.workers_updated = round.workers;
  report.largest_change = round.settled ? 0 : 1;
  return report;
}

RefineReport HardLabelState::refine(double /*tolerance*/, std::size_t max_sweeps,
                                    const Parallel& /*parallel*/) {
  const Round round = settle(max_sweeps, true);
  return {.sweeps = round.sweeps,
          .converged = round.settled,
          .largest_change = round.settled ? 0.0 : 1.0};
}

LabelState::Result HardLabelState::result(bool keep_evidence) const {
  const std::size_t classes = rows_.label_count();
  KeptRows::Canonical all = rows_.canonical();
  Result result{std::move(all.table), {}};
  LabelFit& fit = result.fit;
  fit.posterior = SoftLabels(labels_.size(), classes);
  std::vector<double> logits;
  for (std::size_t i = 0; i < all.tasks.size(); ++i) {
    likelihoods_of(all.tasks[i], logits);
    models::softmax_in_place(logits.data(), classes);
    std::ranges::copy(logits, fit.posterior.row(i).begin());
  }
  fit.prior = prior_;
  std::vector<double> logs;
  for (const Worker worker : all.workers) {
    const auto table = logs_.begin() + static_cast<std::ptrdiff_t>(worker * classes * classes);
    logs.insert(logs.end(), table, table + static_cast<std::ptrdiff_t>(classes * classes));
  }
  fit.skills = models::skills_of(logs, prior_);
  fit.confusion = models::confusion_of(logs, classes);
  if (keep_evidence) {
    fit.evidence = {VoteEvidence::Form::tables, log_prior_, std::move(logs)};
  }
  add_warnings(result.table, result.fit);
  return result;
}

ColumnSet HardLabelState::columns() const {
  ColumnSet set{.columns = {}, .metadata = state_metadata(head_)};
  add_state_rows(set.columns, rows_.numbered());
  set.columns.push_back(make_column("task_labels", DType::u16, labels_));
  return set;
}

}  // namespace amalgam::labels
