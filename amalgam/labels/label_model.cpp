#include "amalgam/labels/label_model.hpp"

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/core/utf8.hpp"
#include "amalgam/labels/fit_warnings.hpp"
#include "amalgam/labels/models/models.hpp"

namespace amalgam::labels {
namespace {

// A label number beyond those of the table would be beyond every method's arrays.
void check_gold(const AnnotationTable& table, const GoldLabels& gold) {
  if (gold.labels.size() != table.task_count()) {
    throw InputError("gold labels are of {} tasks, but the annotations of {}", gold.labels.size(),
                     table.task_count());
  }
  for (std::size_t task = 0; task < gold.labels.size(); ++task) {
    const Label label = gold.labels[task];
    if (label == kNoLabel || label < table.label_count()) continue;
    throw InputError("task '{}' has gold label number {}, but the annotations have {} labels",
                     printable(table.task_names[task]), label, table.label_count());
  }
}

void check_fits(const LabelModelInfo& info, const AnnotationTable& table,
                const FitContext& context) {
  if (table.label_count() < 2) {
    throw InputError(
        "method '{}': all annotations have the same label '{}'; expected at least 2 "
        "labels",
        info.name, table.label_names[0]);
  }
  if (table.label_count() > info.most_classes) {
    throw InputError("method '{}' is for at most {} labels, but the annotations have {}", info.name,
                     info.most_classes, table.label_count());
  }
  if (table.worker_count() < info.fewest_workers) {
    throw InputError(
        "method '{}' needs at least {} workers, but the annotations have {}: with "
        "fewer their quality cannot be told",
        info.name, info.fewest_workers, table.worker_count());
  }
  if (info.needs_gold && context.gold == nullptr) {
    throw InputError("method '{}' needs gold labels (--gold)", info.name);
  }
  if (context.gold != nullptr) check_gold(table, *context.gold);
}

}  // namespace

HardLabels hard_labels(const SoftLabels& soft) {
  HardLabels hard;
  hard.labels.resize(soft.items);
  for (std::size_t item = 0; item < soft.items; ++item) {
    const std::span<const double> row = soft.row(item);
    const double most = *std::ranges::max_element(row);
    std::size_t first = soft.classes;
    std::size_t equal = 0;
    for (std::size_t k = 0; k < soft.classes; ++k) {
      if (row[k] < most - kTie) continue;
      first = std::min(first, k);
      ++equal;
    }
    hard.labels[item] = static_cast<Label>(first);
    hard.ties += equal > 1 ? 1 : 0;
  }
  return hard;
}

std::span<const LabelModel* const> label_models() { return models::all_models(); }

const LabelModel& find_label_model(std::string_view name) {
  std::vector<std::string> names;
  for (const LabelModel* model : label_models()) {
    if (model->info().name == name) return *model;
    names.push_back(model->info().name);
  }
  throw InputError("there is no label method '{}'{}; `amalgam label methods` lists them", name,
                   did_you_mean(name, names));
}

FitContext default_context(const LabelModel& model) {
  FitContext context;
  context.parameters = parameters_from_arguments(model.info().name, model.info().parameters, {});
  return context;
}

LabelFit fit_labels(std::string_view method, const AnnotationTable& table,
                    std::span<const std::string> parameters, FitContext context) {
  const LabelModel& model = find_label_model(method);
  const LabelModelInfo& info = model.info();
  context.parameters = parameters_from_arguments(info.name, info.parameters, parameters);
  check_fits(info, table, context);
  LabelFit fit = model.fit(table, context);
  add_warnings(table, fit);
  return fit;
}

}  // namespace amalgam::labels
