#include "amalgam/labels/label_files.hpp"

#include <algorithm>
#include <cmath>

#include "amalgam/core/error.hpp"
#include "amalgam/data/csv_output.hpp"

namespace amalgam::labels {
namespace {

void share_or_nothing(CsvOutput& lines, double part, double whole) {
  if (whole > 0) {
    lines.field(part / whole);
  } else {
    lines.field("");
  }
}

double entropy_in_bits(std::span<const double> probabilities) {
  double sum = 0;
  for (const double p : probabilities) {
    if (p > 0) sum -= p * std::log2(p);
  }
  return std::max(sum, 0.0);
}

}  // namespace

void write_hard_labels(const std::filesystem::path& path, const AnnotationTable& table,
                       std::span<const Label> labels) {
  CsvOutput lines(path);
  lines.field("task").field("label").end();
  for (const Task task : table.appearance) {
    lines.field(table.task_names[task]).field(table.label_names[labels[task]]).end();
  }
  lines.commit();
}

void write_soft_labels(const std::filesystem::path& path, const AnnotationTable& table,
                       const SoftLabels& soft) {
  CsvOutput lines(path);
  lines.field("task");
  for (std::size_t k = 0; k < soft.classes; ++k) lines.field(table.label_names[k]);
  lines.end();
  for (const Task task : table.appearance) {
    lines.field(table.task_names[task]);
    for (const double probability : soft.row(task)) lines.field(probability);
    lines.end();
  }
  lines.commit();
}

void write_workers(const std::filesystem::path& path, const AnnotationTable& table,
                   const LabelFit& fit, const GoldLabels* gold) {
  std::vector<double> count(table.worker_count(), 0);
  std::vector<double> weight(table.worker_count(), 0);
  std::vector<double> found(table.worker_count(), 0);
  std::vector<double> judged(table.worker_count(), 0);
  std::vector<double> right(table.worker_count(), 0);
  const std::vector<Label> labels = hard_labels(fit.posterior).labels;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const Worker worker = table.workers[row];
    count[worker] += 1;
    // An abstention (weight 0) is neither right nor wrong.
    if (!(table.weight(row) > 0)) continue;
    weight[worker] += table.weight(row);
    if (labels[table.tasks[row]] == table.labels[row]) found[worker] += table.weight(row);
    if (gold == nullptr || gold->labels[table.tasks[row]] == kNoLabel) continue;
    judged[worker] += 1;
    if (gold->labels[table.tasks[row]] == table.labels[row]) right[worker] += 1;
  }
  CsvOutput lines(path);
  lines.field("worker").field("annotations");
  if (!fit.skills.empty()) lines.field("skill");
  for (const auto& [name, values] : fit.worker_columns) lines.field(name);
  lines.field("label_accuracy");
  if (gold != nullptr) lines.field("gold_annotations").field("gold_accuracy");
  lines.end();
  for (std::size_t w = 0; w < table.worker_count(); ++w) {
    lines.field(table.worker_names[w]).field(count[w]);
    if (!fit.skills.empty()) lines.field(fit.skills[w]);
    for (const auto& [name, values] : fit.worker_columns) lines.field(values[w]);
    share_or_nothing(lines, found[w], weight[w]);
    if (gold != nullptr) {
      lines.field(judged[w]);
      share_or_nothing(lines, right[w], judged[w]);
    }
    lines.end();
  }
  lines.commit();
}

void write_confusion(const std::filesystem::path& path, const AnnotationTable& table,
                     const LabelFit& fit) {
  if (fit.confusion.empty()) {
    throw InputError("{}: this method has no confusion matrices; dawid-skene has", path.string());
  }
  const std::size_t classes = table.label_count();
  CsvOutput lines(path);
  lines.field("worker").field("true").field("observed").field("probability").end();
  for (std::size_t i = 0; i < fit.confusion.size(); ++i) {
    lines.field(table.worker_names[i / classes / classes])
        .field(table.label_names[i / classes % classes])
        .field(table.label_names[i % classes])
        .field(fit.confusion[i])
        .end();
  }
  lines.commit();
}

void write_task_columns(const std::filesystem::path& path, const AnnotationTable& table,
                        const LabelFit& fit) {
  CsvOutput lines(path);
  for (const char* name : {"task", "annotations", "probability", "entropy", "tied"}) {
    lines.field(name);
  }
  for (const auto& [name, values] : fit.task_columns) lines.field(name);
  lines.end();
  for (const Task task : table.appearance) {
    const auto [begin, end] = table.rows_of(task);
    double annotations = 0;
    for (std::size_t row = begin; row < end; ++row) annotations += table.weight(row) > 0 ? 1 : 0;
    const std::span<const double> probabilities = fit.posterior.row(task);
    const double most = *std::ranges::max_element(probabilities);
    const auto best =
        std::ranges::count_if(probabilities, [&](double p) { return p >= most - kTie; });
    lines.field(table.task_names[task]).field(annotations).field(most);
    lines.field(entropy_in_bits(probabilities)).field(best > 1 ? 1.0 : 0.0);
    for (const auto& [name, values] : fit.task_columns) lines.field(values[task]);
    lines.end();
  }
  lines.commit();
}

}  // namespace amalgam::labels
