#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace amalgam::labels {

/// What tools for annotation write.
enum class ExportKind {
  label_studio,  ///< Label Studio's JSON: a list of tasks with their annotations
  doccano,       ///< doccano's JSON lines, one file per annotator, or with `annotations` in them
  argilla,       ///< Argilla's JSON (lines or one list) of records with responses
};

/// One answer of an export.
struct ExportedAnnotation {
  std::string task;
  std::string worker;
  std::string label;
  std::optional<std::string> time;
  std::string place;  ///< where it is, for errors
};

/// Calls `take` with every answer to `question` of an export (of Label Studio: the name of the
/// control, `from_name`; of Argilla: the name of the question; doccano has but one). An empty
/// question is the only one there is. Tasks are the tool's own ids. Answers that were cancelled,
/// skipped, discarded or are drafts do not count.
///
/// Label Studio: choices, ratings, numbers and texts; the worker is `completed_by` (an id, or an
/// object with an id). doccano: the worker is the name of the file without its extension, or the
/// annotation's `user`. Argilla: version 2 (`responses` by question, or flat as
/// `QUESTION.responses`, `QUESTION.responses.users` and `QUESTION.responses.status`) and version 1
/// (`responses` by user with `values`, or `annotation` with `annotation_agent`).
///
/// `several`: an answer may have any number of labels, each of which is taken. `empty`: one without
/// a label is taken with an empty one, else it counts as none. In Label Studio that is an
/// annotation that does not answer the question, in doccano an empty list of labels (those of texts
/// that nobody looked at are the same: leave them out of the export), in Argilla an empty list of
/// values.
///
/// InputError naming the place: malformed JSON, another shape than the tool's, several questions
/// and none chosen (with their names), and unless `several` an answer of several labels at once
/// (those are for 'amalgam label multilabel').
void each_exported_annotation(ExportKind kind, const std::filesystem::path& path,
                              std::string_view question,
                              const std::function<void(const ExportedAnnotation&)>& take,
                              bool several = false, bool empty = false);

}  // namespace amalgam::labels
