#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/string_pool.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/label_state.hpp"

/// What workers wrote of tasks, for states that look at each task by itself.
namespace amalgam::labels {

/// A text of a task.
struct TaskText {
  std::string_view worker;
  std::string_view text;
  std::size_t row = 0;  ///< which one it is of all
};

/// Texts of tasks in the order in which they came; tasks and workers are numbered in the order in
/// which they came first.
class TaskTexts {
 public:
  struct Row {
    std::uint32_t task = 0;
    std::uint32_t worker = 0;
    std::string text;
  };

  TaskTexts() = default;
  /// Reads what add_columns() wrote. InputError naming the file unless it fits together.
  explicit TaskTexts(const ColumnReader& reader);
  void add_columns(std::vector<Column>& columns) const;

  /// InputError, and nothing changes, for a task or worker without a name, and for what is not
  /// UTF-8.
  void add(std::string_view task, std::string_view worker, std::string_view text);
  /// Adds all of `more` behind what is there, and notes in `report` what was added. Returns the
  /// numbers that the tasks of `more` have here.
  std::vector<std::uint32_t> append(TaskTexts&& more, AbsorbReport& report);
  void set_text(std::size_t row, std::string text) { rows_[row].text = std::move(text); }

  std::size_t task_count() const { return tasks_.size(); }
  const StringPool& task_names() const { return tasks_; }
  const StringPool& worker_names() const { return workers_; }
  const std::vector<Row>& rows() const { return rows_; }

  /// The texts of a task in the order of the workers' names, those of one worker as they came.
  /// Valid until something changes.
  std::vector<TaskText> of_task(std::uint32_t task) const;
  /// The same of what `task` of `added` has once `added` is appended.
  std::vector<TaskText> of_task_with(const TaskTexts& added, std::uint32_t task) const;

 private:
  bool has_text(std::uint32_t task, std::uint32_t worker, std::size_t rows) const;
  void add_row(Row row);
  void list(std::vector<TaskText>& texts, std::uint32_t task, std::size_t first_row) const;

  StringPool tasks_;
  StringPool workers_;
  std::vector<Row> rows_;
  std::vector<std::vector<std::size_t>> rows_of_task_;
};

/// `count` texts as two columns: `what`.texts, all of them one after the other, and `what`.begins.
void add_texts(std::vector<Column>& columns, const std::string& what, std::size_t count,
               const std::function<std::string_view(std::size_t)>& text);
/// The same read: `count` texts, any of which may be empty. InputError naming the file unless they
/// fit together and are UTF-8.
std::vector<std::string> read_texts(const ColumnReader& reader, const std::string& what,
                                    std::size_t count);

}  // namespace amalgam::labels
