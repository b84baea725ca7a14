#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/labels/label_state.hpp"
#include "amalgam/labels/state_rows.hpp"

namespace amalgam::labels {

/// What taking in answers did, over all labels.
struct MultilabelReport : AbsorbReport {
  std::size_t new_labels = 0;
};

/// Answers with several labels each, and for each label the state of its question (LabelState),
/// which take in more answers: binary_relevance() that goes on.
class MultilabelState {
 public:
  /// Of no answer yet; `method` and "name=value" parameters as fit_labels, which throw here already
  /// if there are none of that name.
  MultilabelState(std::string method, std::vector<std::string> parameters, std::uint64_t seed = 0);
  /// InputError naming the file if it is no such state, or does not fit together.
  explicit MultilabelState(const ColumnReader& reader);

  /// Takes in answers (as binary_relevance takes them) to tasks by workers who have not answered
  /// them before. Tasks, workers and labels may be new: to a label that is new, all answers that
  /// were there say no, and its question is fitted as a whole. In the report, `tasks_updated`,
  /// `stale_mass` and the like are the largest of any label's. InputError as make_label_state,
  /// LabelState::absorb and check_new_answers; the state is of no use after one of a label's
  /// method.
  MultilabelReport absorb(const AnnotationTable& added, const AbsorbOptions& options = {});

  /// LabelState::refine of every label, until nothing changes by kSettled; whether all settled.
  bool refine(const Parallel& parallel);

  /// [tasks, labels] of answers(). What fits warn of goes to `warnings` with the label.
  SoftLabels probabilities(std::vector<std::string>* warnings = nullptr) const;

  const std::string& method() const { return head_.method; }
  /// All answers, in canonical order; without a label: kNoLabel.
  const AnnotationTable& answers() const { return answers_; }
  ColumnSet columns() const;
  /// Writes the state as a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const { write_column_file(path, columns()); }

 private:
  using States = std::vector<std::unique_ptr<LabelState>>;
  std::unique_ptr<LabelState> fitted(const AnnotationTable& question, MultilabelReport& report,
                                     const AbsorbOptions& options) const;

  StateHead head_;
  std::uint64_t seed_ = 0;
  AnnotationTable answers_;
  States states_;  // [labels]; none where all answers are the same
};

}  // namespace amalgam::labels
