#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// Annotations of which a task may have several labels at once: whoever annotated a task, be it by
/// a row with kNoLabel, said of every label whether it applies (by giving it, or not).
///
/// Binary relevance: for each label, one question with the answers no and yes, fitted by `method`
/// with `parameters` as fit_labels does. Returns the probability of each label, [tasks, labels];
/// rows do not sum to 1. A label that all annotations give, or none, gets that probability. What
/// fits warn of goes to `warnings` with the label. InputError as fit_labels and check_labels.
SoftLabels binary_relevance(std::string_view method, const AnnotationTable& table,
                            std::span<const std::string> parameters, const FitContext& context,
                            std::vector<std::string>* warnings = nullptr);

/// `table` with answers that say that no label applies: those whose only label is `none` (which may
/// be empty) have a row with kNoLabel, and `none` leaves the labels. They say no to every label;
/// without such a row nobody would know that the worker saw the task. `count`: how many there are.
/// InputError naming task and worker for an answer with `none` and another label.
AnnotationTable with_empty_answers(AnnotationTable table, std::string_view none,
                                   std::uint64_t& count);

/// The question of one label: who annotated each task, and whether they gave the label ("0" or
/// "1"); nullopt: a label that nobody gives. A yes weighs what the label does in the answer, a no
/// what the answer's heaviest label does. Tasks and workers keep their numbers.
AnnotationTable relevance_table(const AnnotationTable& table, std::optional<Label> label);
/// The probability of yes if all answers to such a question are the same.
std::optional<double> constant_relevance(const AnnotationTable& question);

/// InputError if no answer has a label.
void check_labels(const AnnotationTable& table);

}  // namespace amalgam::labels
