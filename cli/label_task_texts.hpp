#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "amalgam/data/table_cells.hpp"
#include "amalgam/labels/task_texts.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// A table of what workers wrote of tasks, and what its columns are called.
struct TaskTextFile {
  std::string path;
  std::string task = "task";
  std::string worker = "worker";
  std::string text;
};

/// Reads it. `each`, if there is one, is called at each row with the column of the text. InputError
/// naming the place of a task or worker without a name, and of what is not UTF-8.
labels::TaskTexts read_task_texts(
    const TaskTextFile& file,
    const std::function<void(const TableRows& rows, std::size_t text)>& each = {});

/// Warns of annotations by workers who had annotated the same task before the update.
void warn_of_repeated(const labels::AbsorbReport& report);

/// What a state took in, as a line for people, of `tasks` in all, and for programs.
std::string taken_in(const labels::AbsorbReport& report, std::size_t tasks);
void add_taken_in(Json& json, const labels::AbsorbReport& report);

}  // namespace amalgam::cli
