#include "amalgam/labels/state_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/utf8.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kFormat = "amalgam.labels.state";
constexpr std::string_view kAggregate = "aggregate";
constexpr const char* kVersion = "1";
constexpr const char* kMethod = "amalgam.labels.method";
constexpr const char* kParameters = "amalgam.labels.parameters";
constexpr const char* kCommand = "amalgam.labels.command";

void check_rows(const ColumnReader& reader, const AnnotationTable& table, bool several_labels) {
  const std::size_t rows = table.workers.size();
  const std::size_t classes = table.label_count();
  reader.check(table.labels.size() == rows && table.weights.size() == rows && rows > 0, "rows");
  reader.check(
      classes >= (several_labels ? 1U : 2U) && classes <= kMostLabels && table.worker_count() >= 1,
      "names");
  reader.check(std::ranges::is_sorted(table.label_names.canonical_order()), "labels");
  reader.check(table.task_begins.size() == table.task_count() + 1 &&
                   table.task_begins.front() == 0 && table.task_begins.back() == rows &&
                   std::ranges::is_sorted(table.task_begins),
               "rows");
  for (std::size_t row = 0; row < rows; ++row) {
    const bool has_label =
        table.labels[row] < classes || (several_labels && table.labels[row] == kNoLabel);
    reader.check(table.workers[row] < table.worker_count() && has_label &&
                     table.weights[row] >= 0 && std::isfinite(table.weights[row]),
                 "rows");
  }
  reader.check(std::ranges::any_of(table.weights, [](float weight) { return weight > 0; }), "rows");
}

void check_appearance(const ColumnReader& reader, const AnnotationTable& table) {
  std::vector<bool> seen(table.task_count(), false);
  reader.check(table.appearance.size() == table.task_count(), "tasks");
  for (const Task task : table.appearance) {
    reader.check(task < seen.size() && !seen[task], "tasks");
    seen[task] = true;
  }
}

// What the labels of `added` are among `labels`. InputError for one that is none of them.
std::vector<Label> numbers_of_labels(const AnnotationTable& added, const StringPool& labels) {
  std::vector<Label> numbers(added.label_count());
  for (std::size_t l = 0; l < numbers.size(); ++l) {
    const std::uint32_t label = labels.find(added.label_names[l]);
    if (label == StringPool::npos) {
      throw InputError(
          "the label '{}' was not there when the state was made; aggregate everything anew",
          printable(added.label_names[l]));
    }
    numbers[l] = static_cast<Label>(label);
  }
  return numbers;
}

}  // namespace

std::map<std::string, std::string> state_metadata(const StateHead& head, std::string_view command) {
  std::map<std::string, std::string> metadata{
      {kFormat, kVersion},
      {kMethod, head.method},
      {kParameters, nlohmann::json(head.parameters).dump()}};
  if (command != kAggregate) metadata[kCommand] = command;
  return metadata;
}

std::string state_command(const ColumnReader& reader) {
  return reader.has_text(kCommand) ? reader.text(kCommand) : std::string(kAggregate);
}

StateHead read_state_head(const ColumnReader& reader, std::string_view command) {
  if (!reader.has_text(kFormat) || reader.text(kFormat) != kVersion) {
    reader.fail(fmt::format(
        "it is no state of labels (of version 1); 'amalgam label {} --state' makes them", command));
  }
  const std::string made_by = state_command(reader);
  if (made_by != command) {
    reader.fail(fmt::format(
        "it is a state of 'amalgam label {}'; expected one of 'amalgam label {}' ('amalgam label "
        "{}' takes more into it)",
        printable(made_by), command,
        made_by == kAggregate ? "update" : printable(made_by) + " --from"));
  }
  StateHead head{.method = reader.text(kMethod), .parameters = {}};
  const nlohmann::json parameters =
      reader.checked([&] { return parse_json(reader.text(kParameters), kParameters); });
  reader.check(parameters.is_array(), "parameters");
  for (const nlohmann::json& parameter : parameters) {
    reader.check(parameter.is_string(), "parameters");
    head.parameters.push_back(parameter.get<std::string>());
  }
  return head;
}

void check_new_answers(const AnnotationTable& known, const AnnotationTable& added) {
  for (Task task = 0; task < added.task_count(); ++task) {
    const std::uint32_t old = known.task_names.find(added.task_names[task]);
    if (old == StringPool::npos) continue;
    const auto [begin, end] = known.rows_of(old);
    std::set<std::string_view> who;
    for (std::size_t row = begin; row < end; ++row) {
      who.insert(known.worker_names[known.workers[row]]);
    }
    const auto [first, last] = added.rows_of(task);
    for (std::size_t row = first; row < last; ++row) {
      const std::string_view worker = added.worker_names[added.workers[row]];
      if (!who.contains(worker)) continue;
      throw InputError("task '{}': '{}' has answered it before; expected new answers only",
                       printable(added.task_names[task]), printable(worker));
    }
  }
}

std::string abstentions_of(const StateHead& head) {
  const LabelModelInfo& info = find_label_model(head.method).info();
  const Parameters values = parameters_from_arguments(info.name, info.parameters, head.parameters);
  return values.has("abstentions") ? values.text("abstentions") : "ignored";
}

void refuse_gold(const AbsorbOptions& options, std::string_view method) {
  if (options.gold) throw InputError("a state of '{}' cannot hold gold labels as known", method);
}

AnnotationTable read_state_rows(const ColumnReader& reader, bool several_labels) {
  AnnotationTable table;
  table.task_names = reader.names("tasks");
  table.worker_names = reader.names("workers");
  table.label_names = reader.names("labels");
  table.task_begins = reader.column<std::uint64_t>("rows.begins", DType::u64);
  table.workers = reader.column<std::uint32_t>("rows.workers", DType::u32);
  table.labels = reader.column<std::uint16_t>("rows.labels", DType::u16);
  table.weights = reader.column<float>("rows.weights", DType::f32);
  table.appearance = reader.column<std::uint32_t>("appearance", DType::u32);
  check_rows(reader, table, several_labels);
  check_appearance(reader, table);
  table.tasks.resize(table.workers.size());
  return table;
}

void add_state_rows(std::vector<Column>& columns, const AnnotationTable& rows) {
  add_names(columns, "tasks", rows.task_names);
  add_names(columns, "workers", rows.worker_names);
  add_names(columns, "labels", rows.label_names);
  columns.push_back(make_column("rows.begins", DType::u64, rows.task_begins));
  columns.push_back(make_column("rows.workers", DType::u32, rows.workers));
  columns.push_back(make_column("rows.labels", DType::u16, rows.labels));
  columns.push_back(make_column("rows.weights", DType::f32, rows.weights));
  columns.push_back(make_column("appearance", DType::u32, rows.appearance));
}

KeptRows::KeptRows(const AnnotationTable& table)
    : tasks_(table.task_names),
      workers_(table.worker_names),
      labels_(table.label_names),
      appearance_(table.appearance),
      begins_(table.task_begins),
      rows_(table.rows()),
      annotations_(table.rows()) {
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    rows_[row] = {table.workers[row], table.labels[row], static_cast<float>(table.weight(row))};
  }
}

std::vector<KeptRows::Grown> KeptRows::add(const AnnotationTable& added, AbsorbReport& report) {
  const std::vector<Label> labels = numbers_of_labels(added, labels_);
  const std::size_t old_tasks = tasks_.size();
  const std::size_t old_workers = workers_.size();
  std::vector<Worker> workers(added.worker_count());
  for (std::size_t w = 0; w < workers.size(); ++w) workers[w] = workers_.add(added.worker_names[w]);
  std::vector<Grown> grown(added.task_count());
  for (const Task from : added.appearance) {
    const Task task = grown[from].task = tasks_.add(added.task_names[from]);
    if (task >= old_tasks) appearance_.push_back(task);
  }
  has_more_.resize(tasks_.size(), 0);
  for (std::size_t from = 0; from < grown.size(); ++from) {
    auto& [task, rows] = grown[from];
    const auto [begin, end] = added.rows_of(static_cast<Task>(from));
    for (std::size_t row = begin; row < end; ++row) {
      rows.push_back({workers[added.workers[row]], labels[added.labels[row]],
                      static_cast<float>(added.weight(row))});
    }
    if (rows.empty()) continue;
    has_more_[task] = 1;
    std::vector<Row>& more = more_[task];
    more.insert(more.end(), rows.begin(), rows.end());
  }
  annotations_ += added.rows();
  report.annotations = added.rows();
  report.new_tasks = tasks_.size() - old_tasks;
  report.new_workers = workers_.size() - old_workers;
  return grown;
}

KeptRows::Canonical KeptRows::canonical() const {
  AnnotationBuilder builder;
  for (const Task task : appearance_) builder.task(tasks_[task]);
  for (std::size_t w = 0; w < workers_.size(); ++w) builder.worker(workers_[w]);
  for (std::size_t l = 0; l < labels_.size(); ++l) builder.label(labels_[l]);
  bool weighted = false;
  for (std::size_t i = 0; i < appearance_.size(); ++i) {
    each_row(appearance_[i], [&](const Row& row) {
      builder.add(static_cast<Task>(i), row.worker, row.label);
      builder.add_weight(row.weight);
      weighted = weighted || row.weight != 1;
    });
  }
  Canonical all{builder.finish("state"), {}, {}};
  if (!weighted) all.table.weights.clear();
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    all.tasks.push_back(tasks_.find(all.table.task_names[task]));
  }
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    all.workers.push_back(workers_.find(all.table.worker_names[w]));
  }
  return all;
}

AnnotationTable KeptRows::numbered() const {
  AnnotationTable table;
  table.task_names = tasks_;
  table.worker_names = workers_;
  table.label_names = labels_;
  table.appearance = appearance_;
  table.task_begins.push_back(0);
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    each_row(static_cast<Task>(task), [&](const Row& row) {
      table.workers.push_back(row.worker);
      table.labels.push_back(row.label);
      table.weights.push_back(row.weight);
    });
    table.task_begins.push_back(table.workers.size());
  }
  table.tasks.resize(table.workers.size());
  return table;
}

}  // namespace amalgam::labels
