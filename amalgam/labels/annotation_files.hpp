#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/labels/annotation_exports.hpp"
#include "amalgam/labels/annotation_table.hpp"
#include "amalgam/labels/label_model.hpp"

namespace amalgam::labels {

/// How files of annotations are read.
struct AnnotationFormat {
  std::string task = "task";  ///< names of columns (of JSON lines: keys)
  std::string worker = "worker";
  std::string label = "label";
  /// Columns that may be absent under their usual names; "" as a name: not read.
  std::string weight = "weight";
  std::string time = "timestamp";
  bool needs_weight = false;  ///< the column was asked for: InputError without it
  bool needs_time = false;
  char separator = ',';  ///< .tsv and .tab files have tabs whatever this says
  /// Files of a tool for annotation instead; columns do not matter then.
  std::optional<ExportKind> exported = std::nullopt;
  std::string question;         ///< which one of the export; see each_exported_annotation
  bool several_labels = false;  ///< of exports: one answer may have several, a row for each
  bool empty_labels = false;    ///< an answer may have none: its row has an empty label
  Duplicates duplicates = Duplicates::all;
  /// Called with the bytes that were read since the last call.
  std::function<void(std::uint64_t bytes)> on_bytes;
};

/// Reads annotations from one or more files into one table: comma- or tab-separated values with a
/// header, or JSON lines (files that end in .jsonl, .ndjson or .json) of objects with the same
/// keys. Other columns and keys are not looked at. Weights are numbers >= 0; times are seconds
/// since 1970 or ISO 8601 ("2024-05-01T12:00:00Z"; UTC where no zone is given). Names are taken as
/// they are, spaces included.
///
/// InputError naming file, line and column: no such column (with what is there, and whether the
/// separator seems to be another), a row of another length than the header, an empty task, worker
/// or (but with empty_labels, to which also null is one) label, a label "nan" (what data frames
/// write for a missing one), text that is not UTF-8, a weight that is negative or not a finite
/// number, a time that is none; and as AnnotationBuilder::finish.
AnnotationTable read_annotations(const std::vector<std::filesystem::path>& paths,
                                 const AnnotationFormat& format, TableNotes* notes = nullptr);

/// The total size of the files, for progress; InputError naming one that is missing or no file.
std::uint64_t total_size(const std::vector<std::filesystem::path>& paths);

/// Seconds since 1970 of "2024-05-01", "2024-05-01T12:00:00", with or without fraction and zone, or
/// of a number of seconds; nothing for anything else.
std::optional<std::int64_t> parse_time(std::string_view text);

/// Gold labels of the tasks of a table, and what of them has no counterpart in it.
struct GoldFile {
  GoldLabels gold;               ///< of the table's tasks
  std::uint64_t tasks = 0;       ///< in the file
  std::uint64_t uncovered = 0;   ///< of them, without annotations
  std::uint64_t new_labels = 0;  ///< rows whose label nobody gave (only if that is allowed)
};

/// Reads true labels: comma- or tab-separated values with columns `task` and `label` (the names may
/// be chosen). Labels that no annotation has are an InputError naming the line (most often they are
/// spelled differently), or with `allow_new` get numbers beyond those of the table, and are never
/// right. InputError also for a task with two different labels, and as read_annotations.
GoldFile read_gold(const std::filesystem::path& path, const AnnotationTable& table,
                   const AnnotationFormat& format, bool allow_new = false);

}  // namespace amalgam::labels
