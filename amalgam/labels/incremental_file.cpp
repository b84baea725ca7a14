#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/json.hpp"
#include "amalgam/labels/column_file.hpp"
#include "amalgam/labels/incremental.hpp"
#include "amalgam/labels/models/dawid_skene.hpp"

namespace amalgam::labels {
namespace {

constexpr const char* kFormat = "amalgam.labels.state";
constexpr const char* kVersion = "1";
constexpr const char* kMethod = "amalgam.labels.method";
constexpr const char* kParameters = "amalgam.labels.parameters";

}  // namespace

void IncrementalFit::save(const std::filesystem::path& path) const {
  std::vector<Column> columns;
  add_names(columns, "tasks", tasks_);
  add_names(columns, "workers", workers_);
  add_names(columns, "labels", labels_);
  std::vector<std::uint64_t> begins{0};
  std::vector<std::uint32_t> workers;
  std::vector<std::uint16_t> labels;
  std::vector<float> weights;
  for (std::size_t task = 0; task < tasks_.size(); ++task) {
    each_row(static_cast<Task>(task), [&](const Row& row) {
      workers.push_back(row.worker);
      labels.push_back(row.label);
      weights.push_back(row.weight);
    });
    begins.push_back(workers.size());
  }
  columns.push_back(make_column("rows.begins", DType::u64, begins));
  columns.push_back(make_column("rows.workers", DType::u32, workers));
  columns.push_back(make_column("rows.labels", DType::u16, labels));
  columns.push_back(make_column("rows.weights", DType::f32, weights));
  columns.push_back(make_column("appearance", DType::u32, appearance_));
  columns.push_back(
      make_column("posterior", DType::f64, posterior_, Shape{tasks_.size(), labels_.size()}));

  write_column_file(
      path, columns,
      {{kFormat, kVersion}, {kMethod, method_}, {kParameters, nlohmann::json(parameters_).dump()}});
}

IncrementalFit IncrementalFit::load(const std::filesystem::path& path) {
  const ColumnReader reader(path);
  if (!reader.has_text(kFormat) || reader.text(kFormat) != kVersion) {
    reader.fail(
        "it is no state of labels (of version 1); 'amalgam label aggregate --state' makes them");
  }
  IncrementalFit fit;
  fit.method_ = reader.text(kMethod);
  const nlohmann::json parameters = parse_json(reader.text(kParameters), path.string());
  reader.check(parameters.is_array(), "parameters");
  for (const nlohmann::json& parameter : parameters) {
    reader.check(parameter.is_string(), "parameters");
    fit.parameters_.push_back(parameter.get<std::string>());
  }
  fit.set_method();
  AnnotationTable table;
  table.task_names = reader.names("tasks");
  table.worker_names = reader.names("workers");
  table.label_names = reader.names("labels");
  table.task_begins = reader.column<std::uint64_t>("rows.begins", DType::u64);
  table.workers = reader.column<std::uint32_t>("rows.workers", DType::u32);
  table.labels = reader.column<std::uint16_t>("rows.labels", DType::u16);
  table.weights = reader.column<float>("rows.weights", DType::f32);
  table.appearance = reader.column<std::uint32_t>("appearance", DType::u32);
  fit.posterior_ = reader.column<double>("posterior", DType::f64);

  const std::size_t rows = table.workers.size();
  const std::size_t classes = table.label_count();
  reader.check(table.labels.size() == rows && table.weights.size() == rows && rows > 0, "rows");
  reader.check(classes >= 2 && classes <= kMostLabels && table.worker_count() >= 1, "names");
  reader.check(table.task_begins.size() == table.task_count() + 1 &&
                   table.task_begins.front() == 0 && table.task_begins.back() == rows &&
                   std::ranges::is_sorted(table.task_begins),
               "rows");
  for (std::size_t row = 0; row < rows; ++row) {
    reader.check(table.workers[row] < table.worker_count() && table.labels[row] < classes &&
                     table.weights[row] >= 0 && std::isfinite(table.weights[row]),
                 "rows");
  }
  reader.check(std::ranges::any_of(table.weights, [](float weight) { return weight > 0; }), "rows");
  std::vector<bool> seen(table.task_count(), false);
  reader.check(table.appearance.size() == table.task_count(), "tasks");
  for (const Task task : table.appearance) {
    reader.check(task < seen.size() && !seen[task], "tasks");
    seen[task] = true;
  }
  reader.check(fit.posterior_.size() == table.task_count() * classes, "posteriors");
  for (const double p : fit.posterior_) reader.check(p >= 0 && p <= 1 + 1e-9, "posteriors");
  table.tasks.resize(rows);
  models::check_confusion_size(table);
  fit.set_rows(table);
  fit.recount({});
  return fit;
}

}  // namespace amalgam::labels
