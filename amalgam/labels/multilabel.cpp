#include "amalgam/labels/multilabel.hpp"

#include <algorithm>

#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {

AnnotationTable relevance_table(const AnnotationTable& table, Label label) {
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
      double weight = table.weight(row);
      for (; row < last && table.workers[row] == worker; ++row) {
        if (table.labels[row] != label) continue;
        given = true;
        weight = table.weight(row);
      }
      relevance.tasks.push_back(task);
      relevance.workers.push_back(worker);
      relevance.labels.push_back(given ? 1 : 0);
      if (!table.weights.empty()) relevance.weights.push_back(static_cast<float>(weight));
    }
    relevance.task_begins.push_back(relevance.tasks.size());
  }
  return relevance;
}

SoftLabels binary_relevance(std::string_view method, const AnnotationTable& table,
                            std::span<const std::string> parameters, const FitContext& context,
                            std::vector<std::string>* warnings) {
  SoftLabels probabilities(table.task_count(), table.label_count());
  for (std::size_t label = 0; label < table.label_count(); ++label) {
    const AnnotationTable question = relevance_table(table, static_cast<Label>(label));
    const bool any = std::ranges::find(question.labels, Label{1}) != question.labels.end();
    const bool all = std::ranges::find(question.labels, Label{0}) == question.labels.end();
    const auto put = [&](std::size_t task, double p) { probabilities.row(task)[label] = p; };
    if (!any || all) {
      for (std::size_t task = 0; task < probabilities.items; ++task) put(task, all ? 1 : 0);
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
