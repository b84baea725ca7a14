#include "amalgam/data/soft_table.hpp"

#include <cmath>
#include <optional>
#include <span>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/data/table.hpp"
#include "amalgam/data/table_cells.hpp"

namespace amalgam {
namespace {

constexpr double kFurthestSum = 1e-3;
constexpr std::size_t kMostValues = std::size_t{1} << 30U;

void read_row(SoftTable& table, const TableRows& rows, const std::vector<std::size_t>& columns) {
  double sum = 0;
  const std::size_t begin = table.values.size();
  for (const std::size_t column : columns) {
    const std::optional<double> value = cell_number(rows.cell(column));
    const bool good = value && *value >= 0 && *value <= 1 + kFurthestSum;
    if (!good) {
      throw InputError("{}: '{}' in column '{}'; expected a probability from 0 to 1",
                       rows.place(column), printable(rows.cell(column)),
                       printable(rows.names()[column]));
    }
    sum += *value;
    table.values.push_back(static_cast<float>(*value));
  }
  const bool whole = std::abs(sum - 1) <= kFurthestSum;
  if (!whole) {
    throw InputError("{}: the probabilities of this row sum to {:.6g}; expected 1",
                     rows.place(columns.front()), sum);
  }
  for (float& value : std::span(table.values).subspan(begin)) {
    value = static_cast<float>(value / sum);
  }
}

}  // namespace

SoftTable read_soft_table(const std::filesystem::path& path) {
  TableRows rows(path);
  const std::size_t task = rows.column("task");
  SoftTable table;
  table.source = path.string();
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < rows.names().size(); ++i) {
    if (i == task) continue;
    columns.push_back(i);
    table.class_names.push_back(rows.names()[i]);
  }
  if (columns.size() < 2 || columns.size() > kMostTableClasses) {
    throw InputError("{}: {} columns besides 'task'; expected one per class, 2 to {}", rows.where(),
                     columns.size(), kMostTableClasses);
  }
  while (rows.next()) {
    const std::string name(rows.cell(task));
    if (name.empty()) throw InputError("{}: the task has no name", rows.place(task));
    if (!table.tasks.emplace(name, table.tasks.size()).second) {
      throw InputError("{}: task '{}' is there twice", rows.place(task), printable(name));
    }
    if (table.values.size() + columns.size() > kMostValues) {
      throw InputError("{}: more than {} probabilities", rows.where(), kMostValues);
    }
    read_row(table, rows, columns);
  }
  if (table.tasks.empty()) throw InputError("{}: it has no task", rows.where());
  return table;
}

}  // namespace amalgam
