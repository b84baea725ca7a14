#pragma once

#include "amalgam/labels/models/dawid_skene.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// The state of fast-dawid-skene: one certain label per task, and every worker's counts in step.
///
/// An update is exact: its rounds change the labels that sweeps over all tasks would change, from
/// the labels that the state had and the votes' labels of new tasks, until none changes. A round
/// looks at tasks of workers whose counts changed, and at those whose two best labels are nearer to
/// each other than the class prior has moved since they were looked at.
class HardLabelState final : public LabelState {
 public:
  /// Fits everything, and goes on until no label changes (for as many rounds as the parameter
  /// `iterations` allows). InputError as fit_labels.
  HardLabelState(const AnnotationTable& table, std::span<const std::string> parameters,
                 const FitContext& context);
  explicit HardLabelState(const ColumnReader& reader);

  /// `largest_change` is 1 if a label changed in the last round; nothing is ever stale.
  AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {}) override;
  RefineReport refine(double tolerance, std::size_t max_sweeps, const Parallel& parallel) override;
  Result result(bool keep_evidence = false) const override;
  AnnotationTable table() const override { return rows_.canonical().table; }
  const std::string& method() const override { return head_.method; }
  std::size_t task_count() const override { return rows_.task_count(); }
  std::size_t worker_count() const override { return rows_.worker_count(); }
  std::uint64_t annotations() const override { return rows_.annotations(); }
  ColumnSet columns() const override;

  /// [tasks], in the numbers of this state.
  const std::vector<Label>& labels() const { return labels_; }

 private:
  struct Round {
    std::size_t sweeps = 0;
    bool settled = false;
    std::uint64_t tasks = 0;    // different ones that were looked at
    std::uint64_t workers = 0;  // different ones whose tasks were
  };

  void set_parameters();
  void set_labels(std::vector<Label> labels);
  void add_rows(const KeptRows::Grown& grown);
  void count(Task task, Label label, double times);
  void refresh();
  void touch(Worker worker);
  std::vector<Task> tasks_to_look_at(bool all) const;
  void likelihoods_of(Task task, std::vector<double>& logits) const;
  Label look_at(Task task, std::vector<double>& logits);
  Round settle(std::size_t max_sweeps, bool all);

  StateHead head_;
  KeptRows rows_;
  models::ConfusionPrior smoothing_;
  std::size_t iterations_ = 0;               // most rounds of the first fit
  std::vector<std::vector<Task>> tasks_of_;  // [workers], of their annotations
  std::vector<Label> labels_;                // [tasks]
  std::vector<double> weights_;              // [tasks], of their annotations
  std::vector<double> counts_;               // [workers, said, true]
  std::vector<double> class_counts_;         // [labels]
  double covered_ = 0;                       // tasks with annotations
  std::vector<double> logs_;                 // of counts_, normalised
  std::vector<double> prior_;                // [labels]
  std::vector<double> log_prior_;            // [labels]
  // How far the differences of log-priors have moved in all, and how far they may before the task's
  // label could change by that alone. [tasks]
  double drift_ = 0;
  std::vector<double> safe_until_;
  std::vector<char> is_touched_;  // [workers], whose counts changed since the last round
  std::vector<Worker> touched_;
};

}  // namespace amalgam::labels
