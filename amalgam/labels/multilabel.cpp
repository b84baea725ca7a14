#include "amalgam/labels/multilabel.hpp"

#include <algorithm>
#include <optional>

#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

// Another label of the same answer: rows of one are together.
std::optional<Label> another_label(const AnnotationTable& table, std::size_t row) {
  const auto [first, last] = table.rows_of(table.tasks[row]);
  const auto is_other = [&](std::size_t at) { return table.labels[at] != table.labels[row]; };
  const auto is_same_worker = [&](std::size_t at) {
    return table.workers[at] == table.workers[row];
  };
  for (std::size_t at = row + 1; at < last && is_same_worker(at); ++at) {
    if (is_other(at)) return table.labels[at];
  }
  for (std::size_t at = row; at > first && is_same_worker(at - 1); --at) {
    if (is_other(at - 1)) return table.labels[at - 1];
  }
  return std::nullopt;
}

}  // namespace

AnnotationTable with_empty_answers(AnnotationTable table, std::string_view none,
                                   std::uint64_t& count) {
  count = 0;
  const std::uint32_t found = table.label_names.find(none);
  if (found == StringPool::npos) return table;
  const auto empty = static_cast<Label>(found);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.labels[row] != empty) continue;
    const std::optional<Label> other = another_label(table, row);
    if (other) {
      throw InputError(
          "task '{}': worker '{}' says that no label applies ('{}'), and gives '{}'; expected one "
          "or the other",
          printable(table.task_names[table.tasks[row]]),
          printable(table.worker_names[table.workers[row]]), printable(none),
          printable(table.label_names[*other]));
    }
    count += row == 0 || table.tasks[row - 1] != table.tasks[row] ||
                     table.workers[row - 1] != table.workers[row]
                 ? 1
                 : 0;
  }
  // Without that name others may be whole numbers, which have another order.
  StringPool others;
  for (std::size_t k = 0; k < table.label_count(); ++k) {
    if (k != empty) others.add(table.label_names[k]);
  }
  table.label_names = std::move(others);
  for (Label& label : table.labels) {
    label = label == empty ? kNoLabel : static_cast<Label>(label - (label > empty ? 1 : 0));
  }
  AnnotationBuilder builder;
  builder.add(table);
  return builder.finish("answers");
}

AnnotationTable relevance_table(const AnnotationTable& table, std::optional<Label> label) {
  AnnotationTable relevance;
  relevance.task_names = table.task_names;
  relevance.worker_names = table.worker_names;
  relevance.appearance = table.appearance;
  relevance.label_names.add("0");
  relevance.label_names.add("1");
  relevance.task_begins.push_back(0);
  for (Task task = 0; task < table.task_count(); ++task) {
    const auto [first, last] = table.rows_of(task);
    for (std::size_t row = first; row < last;) {
      // Rows are sorted by worker within the task.
      const Worker worker = table.workers[row];
      bool given = false;
      double yes = 0;
      double any = 0;
      for (; row < last && table.workers[row] == worker; ++row) {
        any = std::max(any, table.weight(row));
        if (table.labels[row] != label) continue;
        given = true;
        yes = std::max(yes, table.weight(row));
      }
      relevance.tasks.push_back(task);
      relevance.workers.push_back(worker);
      relevance.labels.push_back(given ? 1 : 0);
      if (!table.weights.empty())
        relevance.weights.push_back(static_cast<float>(given ? yes : any));
    }
    relevance.task_begins.push_back(relevance.tasks.size());
  }
  return relevance;
}

std::optional<double> constant_relevance(const AnnotationTable& question) {
  const auto has = [&](Label label) {
    return std::ranges::find(question.labels, label) != question.labels.end();
  };
  if (!has(1)) return 0;
  if (!has(0)) return 1;
  return std::nullopt;
}

void check_labels(const AnnotationTable& table) {
  if (table.label_count() > 0) return;
  throw InputError("all annotations say that no label applies; expected a label");
}

SoftLabels binary_relevance(std::string_view method, const AnnotationTable& table,
                            std::span<const std::string> parameters, const FitContext& context,
                            std::vector<std::string>* warnings) {
  check_labels(table);
  SoftLabels probabilities(table.task_count(), table.label_count());
  for (std::size_t label = 0; label < table.label_count(); ++label) {
    check_interrupt();
    const AnnotationTable question = relevance_table(table, static_cast<Label>(label));
    const auto put = [&](std::size_t task, double p) { probabilities.row(task)[label] = p; };
    if (const std::optional<double> same = constant_relevance(question)) {
      for (std::size_t task = 0; task < probabilities.items; ++task) put(task, *same);
      continue;
    }
    FitContext one = context;
    one.gold = nullptr;
    const LabelFit fit = fit_labels(method, question, parameters, one);
    for (std::size_t task = 0; task < probabilities.items; ++task) {
      put(task, fit.posterior.row(task)[1]);
    }
    if (warnings == nullptr) continue;
    for (const std::string& warning : fit.warnings) {
      warnings->push_back("label '" + printable(table.label_names[label]) + "': " + warning);
    }
  }
  return probabilities;
}

}  // namespace amalgam::labels
