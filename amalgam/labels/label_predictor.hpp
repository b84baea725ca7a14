#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// What a predictor makes of a table.
struct LabelPrediction {
  SoftLabels soft;                       ///< [tasks of the table, labels of the predictor]
  std::uint64_t used = 0;                ///< annotations that counted
  std::uint64_t of_unknown_workers = 0;  ///< annotations that did not
  std::vector<std::string> unknown;      ///< names of a few of those workers
  std::uint64_t uncovered = 0;           ///< tasks without an annotation that counted
};

/// A fitted label model that labels new tasks by what it learned of the workers, without a fit.
class LabelPredictor {
 public:
  /// Of a fit with FitContext::keep_evidence. InputError if the method kept none.
  LabelPredictor(std::string method, const AnnotationTable& table, const LabelFit& fit);

  /// Probabilities of the tasks of `table`, by the same computation as in the fit: those of a table
  /// that was fitted come out again, up to rounding (and gold labels that were taken as known,
  /// bcc's sampling, which a new task cannot have been part of, and glad's easiness of each task,
  /// in whose place is the prior's mean). Workers are found by their names; those who are not known
  /// say nothing. Tasks of whom nobody known says anything get the prior. InputError for a label
  /// that is not known.
  LabelPrediction predict(const AnnotationTable& table, const Parallel& parallel = {}) const;

  /// Writes a safetensors file; it is there whole or not at all. As check_state_name.
  void save(const std::filesystem::path& path) const;
  /// Reads what save() wrote, a LabelState or a VoteState. InputError naming the file if it
  /// is none, or does not fit together.
  static LabelPredictor load(const std::filesystem::path& path);

  const std::string& method() const { return method_; }
  const StringPool& worker_names() const { return workers_; }
  const StringPool& label_names() const { return labels_; }

 private:
  LabelPredictor() = default;
  // Whom and what the names of a table are here.
  struct Known {
    std::vector<Worker> workers;
    std::vector<Label> labels;
  };
  bool add_votes(const AnnotationTable& table, Task task, const Known& known,
                 std::span<double> scores) const;
  static void set_shares(const AnnotationTable& table, Task task, const Known& known,
                         std::span<double> scores);
  std::vector<Worker> known_workers(const AnnotationTable& table) const;
  std::vector<Label> known_labels(const AnnotationTable& table) const;

  std::string method_;
  StringPool workers_;
  StringPool labels_;
  std::vector<double> prior_;  // [labels]
  VoteEvidence evidence_;
};

/// `table` with the labels of `labels` for its own: for writing what was predicted of its tasks.
void set_label_names(AnnotationTable& table, const StringPool& labels);

}  // namespace amalgam::labels
