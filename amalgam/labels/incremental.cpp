#include "amalgam/labels/incremental.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {

using models::kFloor;

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
  if (values.text("abstentions") != "ignored") {
    throw InputError(
        "a state cannot hold that abstentions say something; leave it out, or take "
        "abstentions=ignored");
  }
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
  weights_.assign(workers_.size(), 0);
  for (const Row& row : rows_) weights_[row.worker] += row.weight;
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

IncrementalFit::Result IncrementalFit::result(bool keep_evidence) const {
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
  if (keep_evidence && is_coin_) {
    std::vector<double> right;
    std::vector<double> wrong;
    for (std::size_t w = 0; w < workers_.size(); ++w) {
      const std::size_t from = workers_.find(result.table.worker_names[w]);
      right.push_back(logs_[2 * from]);
      wrong.push_back(logs_[2 * from + 1]);
    }
    result.fit.evidence = models::sides_of_workers(log_prior_, right, wrong);
  } else if (keep_evidence) {
    result.fit.evidence = {VoteEvidence::Form::tables, log_prior_, std::move(logs)};
  }
  return result;
}

}  // namespace amalgam::labels
