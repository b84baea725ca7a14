#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// How the value of one more annotation is measured.
enum class AskBy {
  information,  ///< expected fall of the entropy of the task's label, in bits
  entropy,      ///< the entropy itself, in bits
  margin,       ///< 1 - (most probable - second most probable)
};

struct AskOptions {
  AskBy by = AskBy::information;
  std::size_t budget = 0;         ///< annotations to ask for, >= 1
  std::size_t most_per_task = 1;  ///< of them for one task, 1 to 8
  bool choose_workers = false;    ///< name who should annotate; nobody annotates a task twice
};

/// One annotation to ask for.
struct Question {
  Task task = 0;
  double value = 0;  ///< see AskBy; of a task's second annotation, what it adds to the first
  std::optional<Worker> worker = std::nullopt;
};

/// The probability that a worker says l when the truth is k, [labels, labels] row by row: the mean
/// over workers of a fit, weighted by their annotations. Of methods without confusion matrices,
/// from skills as probabilities of being right (wrong labels equally likely); without either, from
/// the share of annotations that equal the fit's label.
std::vector<double> typical_confusion(const AnnotationTable& table, const LabelFit& fit);
/// The same of one worker.
std::vector<double> worker_confusion(const AnnotationTable& table, const LabelFit& fit,
                                     Worker worker);

/// worker_confusion of each worker, drawn towards the typical one as if 20 annotations said so: few
/// annotations make nobody perfect.
std::vector<std::vector<double>> assignable_confusions(const AnnotationTable& table,
                                                       const LabelFit& fit);

/// The mutual information, in bits, of a label with these probabilities and `count` annotations
/// that are independent given the label (Lindley 1956); confusion [labels, labels]. Exact: over
/// all outcomes up to their order.
double expected_information(std::span<const double> probabilities,
                            std::span<const double> confusion, std::size_t count = 1);

/// Which annotations to ask for next, best first; equal values in the order of tasks. Fewer than
/// the budget if there are not so many. With `choose_workers`, each task's worker is the one whose
/// annotation is worth most among those who have not annotated it, and the value is theirs.
std::vector<Question> ask_next(const AnnotationTable& table, const LabelFit& fit,
                               const AskOptions& options, const Parallel& parallel = {});

}  // namespace amalgam::labels
