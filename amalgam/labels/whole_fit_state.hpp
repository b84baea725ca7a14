#pragma once

#include <optional>

#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// The state of any method that has no way to look at parts of its annotations again: the
/// annotations, and every update is a fit of all of them. Of three kinds:
///
/// - Methods that count votes (majority-vote, standard, softmax, weighted-majority, wawa,
///   zero-based-skill): an update appends, and the fit is made when a result is asked for.
/// - Methods that begin anew in every fit (gold-majority, flying-squid, weaver, m-msr, average,
///   generative by moments, dawid-skene to which abstentions say something): the result is that of
///   a fit of everything at once, to the bit.
/// - Methods that can go on (those that fill LabelFit::point: glad, mace, kos, bcc, generative by
///   likelihood): the fit starts where the last one stood, with tasks and workers
///   that are new where they start in any fit. Random methods take another seed in each update,
///   that follows from the first one and the number of updates. refine() begins anew.
///
/// Gold labels that a method takes as known are kept.
class WholeFitState final : public LabelState {
 public:
  /// InputError as fit_labels.
  WholeFitState(const AnnotationTable& table, std::string method,
                std::span<const std::string> parameters, const FitContext& context);
  explicit WholeFitState(const ColumnReader& reader);

  /// InputError also as fit_labels, of everything; nothing changes then. Where the fit was made,
  /// the report's sweeps are its iterations, and its largest change is that of tasks that were
  /// there before (NaN if the last fit is not in the file).
  AbsorbReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {}) override;
  /// Where updates went on from the last fit, one that begins anew: the state is then what a fit of
  /// everything at once would have made. The method's own parameters say when it ends.
  RefineReport refine(double tolerance, std::size_t max_sweeps, const Parallel& parallel) override;
  /// InputError for evidence if abstentions say something.
  Result result(bool keep_evidence = false) const override;
  AnnotationTable table() const override;
  const std::string& method() const override { return head_.method; }
  bool marks_abstentions() const override { return abstentions_of(head_) == "marked"; }
  std::size_t task_count() const override { return table_.task_count(); }
  std::size_t worker_count() const override { return table_.worker_count(); }
  std::uint64_t annotations() const override { return table_.rows(); }
  ColumnSet columns() const override;

 private:
  LabelFit fitted(const AnnotationTable& table, const GoldLabels& gold,
                  const FitPoint* start) const;
  GoldLabels gold_with(const AnnotationTable& table, const std::vector<std::uint32_t>& old_tasks,
                       const AbsorbOptions& options) const;
  bool never_converges() const;
  bool keeps_evidence() const { return abstentions_of(head_) == "ignored"; }
  bool goes_on() const { return fit_ && !fit_->point.empty(); }

  StateHead head_;
  AnnotationTable table_;  // in canonical order
  GoldLabels gold_;        // empty: none
  std::uint64_t seed_ = 0;
  std::uint64_t updates_ = 0;  // that went on since the last fit that began anew
  Parallel parallel_;
  std::optional<LabelFit> fit_;  // of the table; nothing if it is yet to be made
};

}  // namespace amalgam::labels
