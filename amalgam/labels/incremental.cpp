#include "amalgam/labels/incremental.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/labels/fit_warnings.hpp"
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
        "abstentions that say something cannot be looked at again task by task; expected "
        "abstentions=ignored, or a state that fits everything");
  }
}

void IncrementalFit::set_rows(const AnnotationTable& table) {
  rows_ = KeptRows(table);
  more_worker_rows_.clear();
  weights_.assign(rows_.worker_count(), 0);
  for (const Row& row : rows_.rows()) weights_[row.worker] += row.weight;
  index_workers();
}

void IncrementalFit::index_workers() {
  const std::span<const Row> rows = rows_.rows();
  worker_begins_.assign(rows_.worker_count() + 1, 0);
  for (const Row& row : rows) ++worker_begins_[row.worker + 1];
  for (std::size_t w = 0; w < rows_.worker_count(); ++w) {
    worker_begins_[w + 1] += worker_begins_[w];
  }
  std::vector<std::uint64_t> next(worker_begins_.begin(), worker_begins_.end() - 1);
  worker_rows_.resize(rows.size());
  for (std::size_t task = 0; task < rows_.task_count(); ++task) {
    rows_.each_row(static_cast<Task>(task), [&](const Row& row) {
      worker_rows_[next[row.worker]++] = {static_cast<Task>(task), row.label, row.weight};
    });
  }
}

std::size_t IncrementalFit::numbers_per_worker() const {
  return is_coin_ ? 1 : rows_.label_count() * rows_.label_count();
}

void IncrementalFit::refresh(Worker worker) {
  const std::size_t classes = rows_.label_count();
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
  KeptRows::Canonical all = rows_.canonical();
  Result result{std::move(all.table), {}};
  const std::size_t classes = rows_.label_count();
  result.fit.posterior = SoftLabels(all.tasks.size(), classes);
  for (std::size_t task = 0; task < all.tasks.size(); ++task) {
    double weight = 0;
    rows_.each_row(all.tasks[task], [&](const Row& row) { weight += row.weight; });
    // No update looks at tasks of whom nobody says anything: they have the prior of now.
    const auto known = weight > 0 ? posterior(all.tasks[task]) : std::span<const double>(prior_);
    std::ranges::copy(known, result.fit.posterior.row(task).begin());
  }
  result.fit.prior = prior_;
  std::vector<double> logs;
  for (const std::size_t from : all.workers) {
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
    for (const std::size_t from : all.workers) {
      right.push_back(logs_[2 * from]);
      wrong.push_back(logs_[2 * from + 1]);
    }
    result.fit.evidence = models::sides_of_workers(log_prior_, right, wrong);
  } else if (keep_evidence) {
    result.fit.evidence = {VoteEvidence::Form::tables, log_prior_, std::move(logs)};
  }
  add_warnings(result.table, result.fit);
  return result;
}

}  // namespace amalgam::labels
