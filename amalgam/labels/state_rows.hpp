#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
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
  std::vector<std::string> parameters = {};  ///< "name=value"
};
/// `command` of `amalgam label`, which makes such states and goes on from them.
std::map<std::string, std::string> state_metadata(const StateHead& head,
                                                  std::string_view command = "aggregate");
/// Which command a state says it is of.
std::string state_command(const ColumnReader& reader);
/// InputError naming the file unless it is a state of that command.
StateHead read_state_head(const ColumnReader& reader, std::string_view command = "aggregate");

/// InputError if `added` has an annotation of a task by a worker who has one of it in `known`: for
/// states whose updates are of new answers only. `known` may be in any numbers.
void check_new_answers(const AnnotationTable& known, const AnnotationTable& added);

/// What the method's parameter "abstentions" is; "ignored" if it has none.
std::string abstentions_of(const StateHead& head);
/// InputError if an update has gold labels: for states that cannot hold any.
void refuse_gold(const AbsorbOptions& options, std::string_view method);

/// The annotations of a state, in its own numbers: no column is in canonical order. InputError
/// naming the file unless they fit together. `several_labels`: an answer may have several labels,
/// or none (kNoLabel), and one label is enough.
AnnotationTable read_state_rows(const ColumnReader& reader, bool several_labels = false);
/// The same as columns.
void add_state_rows(std::vector<Column>& columns, const AnnotationTable& rows);

/// Annotations that are added to. Those that were there from the start lie in one piece of memory,
/// task after task.
class KeptRows {
 public:
  struct Row {
    Worker worker;
    Label label;
    float weight;
  };

  KeptRows() = default;
  /// `table` may be in any numbers, as read_state_rows gives it.
  explicit KeptRows(const AnnotationTable& table);

  /// A task that got annotations, and those.
  struct Grown {
    Task task;
    std::vector<Row> rows;
  };
  /// Adds annotations; returns their tasks in the order of `added`, and notes in `report` what was
  /// added. InputError, and nothing changes, for a label that was not there before.
  std::vector<Grown> add(const AnnotationTable& added, AbsorbReport& report);

  /// Calls body(row) for each of a task's, the oldest first.
  template <class Body>
  void each_row(Task task, const Body& body) const;
  /// Those from the start: begins() [their tasks + 1] are places in rows().
  std::span<const std::uint64_t> begins() const { return begins_; }
  std::span<const Row> rows() const { return rows_; }

  std::size_t task_count() const { return tasks_.size(); }
  std::size_t worker_count() const { return workers_.size(); }
  std::size_t label_count() const { return labels_.size(); }
  std::uint64_t annotations() const { return annotations_; }
  const StringPool& task_names() const { return tasks_; }
  const StringPool& label_names() const { return labels_; }

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
  std::vector<std::uint64_t> begins_;
  std::vector<Row> rows_;
  std::unordered_map<Task, std::vector<Row>> more_;  // that came later
  std::vector<char> has_more_;                       // [tasks up to the last that has]
  std::uint64_t annotations_ = 0;
};

template <class Body>
void KeptRows::each_row(Task task, const Body& body) const {
  if (task + std::size_t{1} < begins_.size()) {
    for (std::uint64_t row = begins_[task]; row < begins_[task + 1]; ++row) body(rows_[row]);
  }
  // Nearly all tasks have no later rows: a look into the table of those would cost more than all
  // else.
  if (task >= has_more_.size() || has_more_[task] == 0) return;
  for (const Row& row : more_.at(task)) body(row);
}

}  // namespace amalgam::labels
