#include "amalgam/labels/task_texts.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

void check_name(std::string_view name, const char* what) {
  if (name.empty()) throw InputError("the name of a {} is empty", what);
  if (!is_utf8(name)) throw InputError("the {} '{}' is not UTF-8", what, printable(name));
}

void sort_by_worker(std::vector<TaskText>& texts) {
  std::ranges::stable_sort(texts, {}, &TaskText::worker);
}

}  // namespace

TaskTexts::TaskTexts(const ColumnReader& reader)
    : tasks_(reader.names("tasks")), workers_(reader.names("workers")) {
  const auto tasks = reader.column<std::uint32_t>("rows.tasks", DType::u32);
  const auto workers = reader.column<std::uint32_t>("rows.workers", DType::u32);
  reader.check(tasks.size() == workers.size(), "rows");
  std::vector<std::string> texts = read_texts(reader, "rows", tasks.size());
  std::size_t tasks_seen = 0;
  std::size_t workers_seen = 0;
  rows_.reserve(tasks.size());
  for (std::size_t row = 0; row < tasks.size(); ++row) {
    reader.check(tasks[row] <= tasks_seen && workers[row] <= workers_seen, "rows");
    if (tasks[row] == tasks_seen) ++tasks_seen;
    if (workers[row] == workers_seen) ++workers_seen;
    add_row({tasks[row], workers[row], std::move(texts[row])});
  }
  reader.check(tasks_seen == tasks_.size() && workers_seen == workers_.size(), "names");
}

void TaskTexts::add_columns(std::vector<Column>& columns) const {
  add_names(columns, "tasks", tasks_);
  add_names(columns, "workers", workers_);
  std::vector<std::uint32_t> tasks;
  std::vector<std::uint32_t> workers;
  for (const Row& row : rows_) {
    tasks.push_back(row.task);
    workers.push_back(row.worker);
  }
  columns.push_back(make_column("rows.tasks", DType::u32, tasks));
  columns.push_back(make_column("rows.workers", DType::u32, workers));
  add_texts(columns, "rows", rows_.size(),
            [this](std::size_t row) -> std::string_view { return rows_[row].text; });
}

void TaskTexts::add(std::string_view task, std::string_view worker, std::string_view text) {
  check_name(task, "task");
  check_name(worker, "worker");
  if (!is_utf8(text)) throw InputError("the text '{}' is not UTF-8", printable(text));
  add_row({tasks_.add(task), workers_.add(worker), std::string(text)});
}

std::vector<std::uint32_t> TaskTexts::append(TaskTexts&& more, AbsorbReport& report) {
  const std::size_t old_tasks = tasks_.size();
  const std::size_t old_workers = workers_.size();
  report.annotations = more.rows_.size();
  std::vector<std::uint32_t> tasks(more.tasks_.size());
  if (rows_.empty()) {
    std::iota(tasks.begin(), tasks.end(), 0U);
    *this = std::move(more);
  } else {
    for (std::size_t task = 0; task < tasks.size(); ++task) {
      tasks[task] = tasks_.add(more.tasks_[task]);
    }
    const std::size_t old_rows = rows_.size();
    for (Row& row : more.rows_) {
      const std::uint32_t worker = workers_.add(more.workers_[row.worker]);
      const std::uint32_t task = tasks[row.task];
      report.repeated += task < old_tasks && has_text(task, worker, old_rows) ? 1 : 0;
      add_row({task, worker, std::move(row.text)});
    }
  }
  report.new_tasks = tasks_.size() - old_tasks;
  report.new_workers = workers_.size() - old_workers;
  return tasks;
}

std::vector<TaskText> TaskTexts::of_task(std::uint32_t task) const {
  std::vector<TaskText> texts;
  list(texts, task, 0);
  sort_by_worker(texts);
  return texts;
}

std::vector<TaskText> TaskTexts::of_task_with(const TaskTexts& added, std::uint32_t task) const {
  std::vector<TaskText> texts;
  const std::uint32_t here = tasks_.find(added.tasks_[task]);
  if (here != StringPool::npos) list(texts, here, 0);
  added.list(texts, task, rows_.size());
  sort_by_worker(texts);
  return texts;
}

bool TaskTexts::has_text(std::uint32_t task, std::uint32_t worker, std::size_t rows) const {
  return std::ranges::any_of(rows_of_task_[task], [&](std::size_t row) {
    return row < rows && rows_[row].worker == worker;
  });
}

void TaskTexts::add_row(Row row) {
  if (row.task >= rows_of_task_.size()) rows_of_task_.resize(row.task + std::size_t{1});
  rows_of_task_[row.task].push_back(rows_.size());
  rows_.push_back(std::move(row));
}

void TaskTexts::list(std::vector<TaskText>& texts, std::uint32_t task,
                     std::size_t first_row) const {
  for (const std::size_t row : rows_of_task_[task]) {
    texts.push_back({workers_[rows_[row].worker], rows_[row].text, first_row + row});
  }
}

void add_texts(std::vector<Column>& columns, const std::string& what, std::size_t count,
               const std::function<std::string_view(std::size_t)>& text) {
  std::vector<char> bytes;
  std::vector<std::uint64_t> begins{0};
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view one = text(i);
    bytes.insert(bytes.end(), one.begin(), one.end());
    begins.push_back(bytes.size());
  }
  columns.push_back(make_column(what + ".texts", DType::u8, bytes));
  columns.push_back(make_column(what + ".begins", DType::u64, begins));
}

std::vector<std::string> read_texts(const ColumnReader& reader, const std::string& what,
                                    std::size_t count) {
  const auto bytes = reader.column<char>(what + ".texts", DType::u8);
  const auto begins = reader.column<std::uint64_t>(what + ".begins", DType::u64);
  const std::string texts = "texts of " + what;
  reader.check(begins.size() == count + 1 && begins.front() == 0 && begins.back() == bytes.size() &&
                   std::ranges::is_sorted(begins),
               texts);
  std::vector<std::string> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    result.emplace_back(bytes.data() + begins[i], begins[i + 1] - begins[i]);
    reader.check(is_utf8(result.back()), texts);
  }
  return result;
}

}  // namespace amalgam::labels
