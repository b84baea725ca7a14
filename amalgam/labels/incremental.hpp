#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_state.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// A fit by expectation-maximisation that takes in more annotations in time proportional to what
/// they change: the posteriors of the tasks that were annotated, then those of all tasks of their
/// annotators, until they settle; everybody's counts are kept exactly in step with the posteriors
/// (Neal and Hinton 1998 for partial steps). What is left out is reported, and refine() makes it
/// good. Methods: dawid-skene, one-coin-dawid-skene, zencrowd.
class IncrementalFit final : public LabelState {
 public:
  /// Fits everything. InputError as fit_labels, and for a method that cannot go on.
  IncrementalFit(const AnnotationTable& table, std::string method,
                 std::span<const std::string> parameters, const FitContext& context);
  /// Reads a state. InputError naming the file if it is none, or does not fit together.
  explicit IncrementalFit(const ColumnReader& reader);

  /// Workers join by their net change, and the report's stale mass is net; see AbsorbOptions and
  /// AbsorbReport.
  AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {}) override;
  /// The counts leap ahead between sweeps (models::Anderson), and back where the objective fell:
  /// where expectation-maximisation creeps, that saves most of the sweeps.
  RefineReport refine(double tolerance, std::size_t max_sweeps, const Parallel& parallel) override;

  Result result(bool keep_evidence = false) const override;
  AnnotationTable table() const override { return rows_.canonical().table; }

  const std::string& method() const override { return method_; }
  std::size_t task_count() const override { return rows_.task_count(); }
  std::size_t worker_count() const override { return rows_.worker_count(); }
  std::uint64_t annotations() const override { return rows_.annotations(); }
  const StringPool& task_names() const { return rows_.task_names(); }
  const StringPool& label_names() const { return rows_.label_names(); }
  /// [labels], of a task by its number here.
  std::span<const double> posterior(Task task) const {
    return {posterior_.data() + std::size_t{task} * rows_.label_count(), rows_.label_count()};
  }

  ColumnSet columns() const override;

 private:
  using Row = KeptRows::Row;
  struct WorkerRow {
    Task task;
    Label label;
    float weight;
  };
  class Update;

  void set_method();
  void set_rows(const AnnotationTable& table);
  void index_workers();
  std::size_t numbers_per_worker() const;
  template <class Body>
  void each_worker_row(Worker worker, const Body& body) const;
  std::size_t place_of_logs(const Row& row) const;
  template <int kClasses = 0>
  void add_log_likelihood(const Row& row, double* logits) const;
  template <int kClasses = 0>
  void count(const Row& row, const double* change, double* counts) const;
  struct Pass;
  template <int kClasses>
  Pass pass_over(Task begin, Task end, bool expect);
  void prefetch_rows(std::uint64_t begin, std::uint64_t end, const double* counts) const;
  Pass pass(const Parallel& parallel, bool expect);
  void take_counts(Pass&& pass, const Parallel& parallel);
  void refresh_all(const Parallel& parallel);
  void recount(const Parallel& parallel);
  void refresh(Worker worker);
  void refresh_prior();
  struct Sweep {
    double objective = 0;
    double largest_change = 0;
  };
  Sweep sweep_all(const Parallel& parallel);
  double log_density() const;
  std::vector<double> all_counts() const;
  void set_counts(std::span<const double> all, const Parallel& parallel);

  std::string method_;
  std::vector<std::string> parameters_;
  bool is_coin_ = false;  // one number per worker instead of a matrix
  bool learns_prior_ = true;
  double diagonal_ = 0;
  double off_diagonal_ = 0;

  KeptRows rows_;
  std::vector<std::uint64_t> worker_begins_;  // [workers from the start + 1]
  std::vector<WorkerRow> worker_rows_;        // rows_.rows() by worker
  std::unordered_map<Worker, std::vector<WorkerRow>> more_worker_rows_;  // those that came later

  std::vector<double> posterior_;   // [tasks, labels]
  std::vector<double> counts_;      // [workers, numbers_per_worker]
  std::vector<double> weights_;     // [workers], of their annotations
  std::vector<double> logs_;        // of counts_, normalised
  std::vector<double> class_sums_;  // [labels]
  std::vector<double> prior_;       // [labels]
  std::vector<double> log_prior_;   // [labels]
  double covered_ = 0;              // tasks with annotations
};

// Where in logs_ what the row says of the classes begins.
inline std::size_t IncrementalFit::place_of_logs(const Row& row) const {
  if (is_coin_) return 2 * std::size_t{row.worker};
  return (std::size_t{row.worker} * rows_.label_count() + row.label) * rows_.label_count();
}

template <int kClasses>
void IncrementalFit::add_log_likelihood(const Row& row, double* logits) const {
  const std::size_t classes = kClasses > 0 ? kClasses : rows_.label_count();
  const double* const said = logs_.data() + place_of_logs(row);
  if (is_coin_) {
    for (std::size_t k = 0; k < classes; ++k) {
      logits[k] += row.weight * (k == row.label ? said[0] : said[1]);
    }
    return;
  }
  for (std::size_t k = 0; k < classes; ++k) logits[k] += row.weight * said[k];
}

// To counts of all workers; `change`: the posterior of the row's task, or what it changed by.
template <int kClasses>
void IncrementalFit::count(const Row& row, const double* change, double* counts) const {
  const std::size_t classes = kClasses > 0 ? kClasses : rows_.label_count();
  if (is_coin_) {
    counts[row.worker] += row.weight * change[row.label];
    return;
  }
  double* said = counts + (std::size_t{row.worker} * classes + row.label) * classes;
  for (std::size_t k = 0; k < classes; ++k) said[k] += row.weight * change[k];
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

}  // namespace amalgam::labels
