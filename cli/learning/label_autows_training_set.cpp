#include "cli/learning/label_autows_training_set.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "amalgam/core/error.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/data/csv_output.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

// Each row's probabilities; none for rows that are not in the set.
std::vector<std::vector<double>> probabilities_of(const ProtocolRows& rows,
                                                  const WeakLabels& unlabelled,
                                                  const AutoWsTask& task) {
  std::vector<std::vector<double>> all(task.truth.size());
  for (const std::size_t row : rows.labelled) {
    all[row].assign(task.class_names.size(), 0);
    all[row][task.truth[row]] = 1;
  }
  for (std::size_t i = 0; i < rows.unlabelled.size(); ++i) {
    if (!unlabelled.covered[i]) continue;
    const auto values = unlabelled.soft.row(i);
    all[rows.unlabelled[i]].assign(values.begin(), values.end());
  }
  return all;
}

void write_hard(const std::string& path, const AutoWsTask& task,
                const std::vector<std::vector<double>>& rows) {
  CsvOutput lines(path);
  lines.field("task").field("label").end();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].empty()) continue;
    SoftLabels one(1, rows[row].size());
    one.values = rows[row];
    lines.field(fmt::to_string(row)).field(task.class_names[hard_labels(one).labels[0]]).end();
  }
  lines.commit();
}

void write_soft(const std::string& path, const AutoWsTask& task,
                const std::vector<std::vector<double>>& rows) {
  CsvOutput lines(path);
  lines.field("task");
  for (const std::string& name : task.class_names) lines.field(name);
  lines.end();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].empty()) continue;
    lines.field(fmt::to_string(row));
    for (const double probability : rows[row]) lines.field(probability);
    lines.end();
  }
  lines.commit();
}

}  // namespace

bool writes_training_set(const AutoWsCommand& command) {
  return !command.out.empty() || !command.soft.empty();
}

void check_training_set(const AutoWsCommand& command) {
  check_outputs({command.data, command.logits, command.prototypes}, {command.out, command.soft});
  if (command.common.json && (command.out == "-" || command.soft == "-")) {
    throw InputError("--json and a training set both want the standard output");
  }
  if (!command.pipeline.empty() && !writes_training_set(command)) {
    throw InputError("--pipeline says whose training set is written; --out or --soft is missing");
  }
}

void TrainingSets::keep(const std::string& pipeline, const ProtocolResult& result) {
  const std::vector<bool>& covered = result.unlabelled.covered;
  if (std::ranges::find(covered, true) == covered.end()) return;
  sets_.push_back({pipeline, result.unlabelled});
}

std::string TrainingSets::choose(const std::string& name, const std::vector<Score>& scores) const {
  if (sets_.empty()) {
    throw InputError(
        "no pipeline labelled any of the unlabelled rows (--out, --soft): those of goggles, snuba, "
        "snuba-multipolar and iws can (--methods)");
  }
  const auto is_there = [&](const std::string& pipeline) {
    return std::ranges::find(sets_, pipeline, &Set::pipeline) != sets_.end();
  };
  if (name.empty()) {
    const Score* best = nullptr;
    for (const Score& score : scores) {
      if (!is_there(score.pipeline)) continue;
      if (best == nullptr || score.accuracy > best->accuracy) best = &score;
    }
    if (best == nullptr) throw Error("a training set of a pipeline that was not measured");
    return best->pipeline;
  }
  if (is_there(name)) return name;
  std::vector<std::string> names;
  for (const Set& set : sets_) names.push_back(set.pipeline);
  throw InputError("--pipeline '{}': no training set of this name{}; there are '{}'", name,
                   did_you_mean(name, names), join(names, "', '"));
}

std::size_t TrainingSets::write(const std::string& pipeline, const AutoWsTask& task,
                                const std::string& out, const std::string& soft) const {
  const auto set = std::ranges::find(sets_, pipeline, &Set::pipeline);
  if (set == sets_.end()) throw Error("no training set of pipeline '{}'", pipeline);
  const auto rows = probabilities_of(rows_, set->labels, task);
  if (!out.empty()) write_hard(out, task, rows);
  if (!soft.empty()) write_soft(soft, task, rows);
  return static_cast<std::size_t>(
      std::ranges::count_if(rows, [](const auto& row) { return !row.empty(); }));
}

}  // namespace amalgam::cli
