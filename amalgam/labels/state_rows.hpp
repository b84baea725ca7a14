#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "amalgam/labels/annotation_table.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_state.hpp"

/// What files of states have in common, and the annotations of states that look at them task by
/// task.
namespace amalgam::labels {

/// How a state was made.
struct StateHead {
  std::string method;
  std::vector<std::string> parameters;  ///< "name=value"
};
std::map<std::string, std::string> state_metadata(const StateHead& head);
/// InputError naming the file unless it is a state.
StateHead read_state_head(const ColumnReader& reader);

/// The annotations of a state, in its own numbers: no column is in canonical order. InputError
/// naming the file unless they fit together.
AnnotationTable read_state_rows(const ColumnReader& reader);
/// The same as columns.
void add_state_rows(std::vector<Column>& columns, const AnnotationTable& rows);

/// Annotations that are added to.
class KeptRows {
 public:
  struct Row {
    Worker worker;
    Label label;
    float weight;
  };

  /// `table` may be in any numbers, as read_state_rows gives it.
  explicit KeptRows(const AnnotationTable& table);

  /// A task that got annotations, and how many it had before.
  struct Grown {
    Task task;
    std::size_t rows_before;
  };
  /// Adds annotations; returns their tasks, and notes in `report` what was added. InputError, and
  /// nothing changes, for a label that was not there before.
  std::vector<Grown> add(const AnnotationTable& added, AbsorbReport& report);

  std::span<const Row> rows_of(Task task) const { return by_task_[task]; }
  std::size_t task_count() const { return tasks_.size(); }
  std::size_t worker_count() const { return workers_.size(); }
  std::size_t label_count() const { return labels_.size(); }
  std::uint64_t annotations() const { return annotations_; }

  /// All of them in canonical order, and which task each one of it is here, and which worker.
  struct Canonical {
    AnnotationTable table;
    std::vector<Task> tasks;
    std::vector<Worker> workers;
  };
  Canonical canonical() const;
  /// All of them in the numbers they have here.
  AnnotationTable numbered() const;

 private:
  StringPool tasks_;
  StringPool workers_;
  StringPool labels_;
  std::vector<Task> appearance_;
  std::vector<std::vector<Row>> by_task_;
  std::uint64_t annotations_ = 0;
};

/// What the labels of `added` are among `labels`. InputError for one that is none of them.
std::vector<Label> numbers_of_labels(const AnnotationTable& added, const StringPool& labels);

}  // namespace amalgam::labels
