#include "cli/label_task_texts.hpp"

#include <fmt/format.h>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::cli {

labels::TaskTexts read_task_texts(
    const TaskTextFile& file,
    const std::function<void(const TableRows& rows, std::size_t text)>& each) {
  TableRows rows(file.path);
  const std::size_t task = rows.column(file.task);
  const std::size_t worker = rows.column(file.worker);
  const std::size_t text = rows.column(file.text);
  labels::TaskTexts texts;
  while (rows.next()) {
    for (const std::size_t column : {task, worker}) {
      if (rows.cell(column).empty()) throw InputError("{}: the cell is empty", rows.place(column));
    }
    for (const std::size_t column : {task, worker, text}) {
      if (is_utf8(rows.cell(column))) continue;
      throw InputError("{}: the {} is not UTF-8", rows.place(column), rows.names()[column]);
    }
    if (each) each(rows, text);
    texts.add(rows.cell(task), rows.cell(worker), rows.cell(text));
  }
  return texts;
}

void warn_of_repeated(const labels::AbsorbReport& report) {
  if (report.repeated == 0) return;
  log::warn(
      "{} of {} annotations are by workers who had annotated the same task before; all of them "
      "count",
      report.repeated, report.annotations);
}

std::string taken_in(const labels::AbsorbReport& report, std::size_t tasks) {
  return fmt::format(
      "{} annotations taken in ({} new tasks, {} new workers): {} of {} tasks looked at\n",
      report.annotations, report.new_tasks, report.new_workers, report.tasks_updated, tasks);
}

void add_taken_in(Json& json, const labels::AbsorbReport& report) {
  json["added"] = report.annotations;
  json["new_tasks"] = report.new_tasks;
  json["new_workers"] = report.new_workers;
  json["tasks_updated"] = report.tasks_updated;
  json["repeated"] = report.repeated;
}

}  // namespace amalgam::cli
