#include "amalgam/labels/abstentions.hpp"

#include <utility>
#include <vector>

#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

void mark_rows(AnnotationTable& table, Label abstention) {
  if (table.weights.empty()) table.weights.assign(table.rows(), 1);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.labels[row] != abstention) continue;
    table.labels[row] = 0;
    table.weights[row] = 0;
  }
}

// Closes the gaps that dropped rows leave in a column.
template <class T>
void keep_rows(std::vector<T>& column, const std::vector<bool>& kept) {
  if (column.empty()) return;
  std::size_t end = 0;
  for (std::size_t row = 0; row < kept.size(); ++row) {
    if (kept[row]) column[end++] = column[row];
  }
  column.resize(end);
}

void drop_rows(AnnotationTable& table, Label abstention) {
  std::vector<bool> kept(table.rows());
  for (std::size_t row = 0; row < kept.size(); ++row) kept[row] = table.labels[row] != abstention;
  std::uint64_t end = 0;
  std::uint64_t begin = 0;
  for (std::size_t task = 0; task < table.task_count(); ++task) {
    const std::uint64_t next = table.task_begins[task + 1];
    for (std::uint64_t row = begin; row < next; ++row) end += kept[row] ? 1 : 0;
    table.task_begins[task + 1] = end;
    begin = next;
  }
  keep_rows(table.tasks, kept);
  keep_rows(table.workers, kept);
  keep_rows(table.labels, kept);
  keep_rows(table.weights, kept);
  keep_rows(table.times, kept);
}

StringPool without(const StringPool& names, Label label) {
  StringPool rest;
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (k != label) rest.add(names[k]);
  }
  return rest;
}

}  // namespace

AnnotationTable with_abstentions(AnnotationTable table, std::string_view label, Abstained what,
                                 std::uint64_t* count) {
  if (count != nullptr) *count = 0;
  const std::uint32_t found = table.label_names.find(label);
  if (found == StringPool::npos) return table;
  const auto abstention = static_cast<Label>(found);
  bool says_something = false;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const bool abstains = table.labels[row] == abstention;
    if (abstains && count != nullptr) ++*count;
    says_something = says_something || (!abstains && table.weight(row) > 0);
  }
  if (!says_something) {
    throw InputError(
        "no annotation is left beside those with the label '{}', which are abstentions",
        printable(label));
  }
  if (what == Abstained::marked) {
    mark_rows(table, abstention);
  } else {
    drop_rows(table, abstention);
  }
  for (Label& one : table.labels) one = static_cast<Label>(one - (one > abstention ? 1 : 0));
  table.label_names = without(table.label_names, abstention);
  return table;
}

}  // namespace amalgam::labels
