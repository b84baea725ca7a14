#include "amalgam/labels/fit_columns.hpp"

#include <algorithm>
#include <cmath>

namespace amalgam::labels {
namespace {

constexpr const char* kPosterior = "fit.posterior";
constexpr const char* kPrior = "fit.prior";
constexpr const char* kSkills = "fit.skills";
constexpr const char* kConfusion = "fit.confusion";
constexpr const char* kOfWorkers = "fit.workers.";
constexpr const char* kOfTasks = "fit.tasks.";
constexpr const char* kWorkersPoint = "point.workers.";
constexpr const char* kTasksPoint = "point.tasks.";
constexpr const char* kStart = "evidence.start";
constexpr const char* kTables = "evidence.tables";
constexpr const char* kSides = "evidence.sides";
constexpr const char* kWeights = "evidence.weights";
constexpr const char* kOneAgainstRest = "evidence.one_against_rest";

const char* column_of(VoteEvidence::Form form) {
  if (form == VoteEvidence::Form::tables) return kTables;
  return form == VoteEvidence::Form::sides ? kSides : kWeights;
}

void add_numbers(std::vector<Column>& columns, const std::string& name,
                 const std::vector<double>& values, Shape shape) {
  if (!values.empty()) columns.push_back(make_column(name, DType::f64, values, std::move(shape)));
}

void add_evidence(std::vector<Column>& columns, const VoteEvidence& evidence) {
  if (evidence.form == VoteEvidence::Form::none) return;
  add_numbers(columns, kStart, evidence.start, {});
  add_numbers(columns, column_of(evidence.form), evidence.values, {});
  if (evidence.one_against_rest) add_numbers(columns, kOneAgainstRest, {1}, {});
}

// The numbers of a column, of which there must be `count`.
std::vector<double> numbers(const ColumnReader& reader, const std::string& name,
                            std::size_t count) {
  std::vector<double> values = reader.column<double>(name, DType::f64);
  reader.check(values.size() == count, "columns '" + name + "' and names");
  reader.check(std::ranges::all_of(values, [](double x) { return std::isfinite(x); }),
               "numbers '" + name + "'");
  return values;
}

std::vector<double> probabilities(const ColumnReader& reader, const std::string& name,
                                  std::size_t count) {
  std::vector<double> values = numbers(reader, name, count);
  reader.check(std::ranges::all_of(values, [](double p) { return p >= 0 && p <= 1 + 1e-9; }),
               "probabilities '" + name + "'");
  return values;
}

VoteEvidence read_evidence(const ColumnReader& reader, std::size_t workers, std::size_t classes) {
  using Form = VoteEvidence::Form;
  VoteEvidence evidence;
  if (!reader.has_column(kStart)) return evidence;
  evidence.start = numbers(reader, kStart, classes);
  evidence.one_against_rest = reader.has_column(kOneAgainstRest);
  std::size_t count = workers;
  evidence.form = Form::weights;
  if (reader.has_column(kTables)) {
    evidence.form = Form::tables;
    count *= classes * classes;
  } else if (reader.has_column(kSides)) {
    evidence.form = Form::sides;
    count *= 2 * classes;
  }
  evidence.values = numbers(reader, column_of(evidence.form), count);
  reader.check(evidence.form != Form::weights ||
                   std::ranges::all_of(evidence.values, [](double x) { return x >= 0; }),
               "weights");
  return evidence;
}

// Columns that begin with `prefix`, of `rows` rows each.
std::map<std::string, FitPoint::Numbers> read_point(const ColumnReader& reader,
                                                    const std::string& prefix, std::size_t rows) {
  std::map<std::string, FitPoint::Numbers> point;
  for (const std::string& name : reader.columns_from(prefix)) {
    FitPoint::Numbers part;
    part.values = reader.column<double>(name, DType::f64);
    part.columns = std::max<std::size_t>(1, part.values.size() / rows);
    reader.check(part.values.size() == part.columns * rows &&
                     std::ranges::all_of(part.values, [](double x) { return std::isfinite(x); }),
                 "numbers '" + name + "'");
    point[name.substr(prefix.size())] = std::move(part);
  }
  return point;
}

std::map<std::string, std::vector<double>> read_named(const ColumnReader& reader,
                                                      const std::string& prefix, std::size_t rows) {
  std::map<std::string, std::vector<double>> named;
  for (const std::string& name : reader.columns_from(prefix)) {
    named[name.substr(prefix.size())] = numbers(reader, name, rows);
  }
  return named;
}

}  // namespace

void add_fit(std::vector<Column>& columns, const LabelFit& fit) {
  const Shape posterior{fit.posterior.items, fit.posterior.classes};
  add_numbers(columns, kPosterior, fit.posterior.values, posterior);
  add_numbers(columns, kPrior, fit.prior, {});
  add_numbers(columns, kSkills, fit.skills, {});
  add_numbers(columns, kConfusion, fit.confusion, {});
  add_evidence(columns, fit.evidence);
  for (const auto& [name, values] : fit.worker_columns) {
    add_numbers(columns, kOfWorkers + name, values, {});
  }
  for (const auto& [name, values] : fit.task_columns) {
    add_numbers(columns, kOfTasks + name, values, {});
  }
  for (const auto& [name, part] : fit.point.workers) {
    const Shape shape{part.values.size() / part.columns, part.columns};
    add_numbers(columns, kWorkersPoint + name, part.values, shape);
  }
  for (const auto& [name, part] : fit.point.tasks) {
    const Shape shape{part.values.size() / part.columns, part.columns};
    add_numbers(columns, kTasksPoint + name, part.values, shape);
  }
}

LabelFit read_fit(const ColumnReader& reader, const AnnotationTable& table) {
  const std::size_t tasks = table.task_count();
  const std::size_t workers = table.worker_count();
  const std::size_t classes = table.label_count();
  LabelFit fit;
  // The column first: names alone may promise more than there is memory for.
  fit.posterior.values = probabilities(reader, kPosterior, tasks * classes);
  fit.posterior.items = tasks;
  fit.posterior.classes = classes;
  if (reader.has_column(kPrior)) fit.prior = probabilities(reader, kPrior, classes);
  if (reader.has_column(kSkills)) fit.skills = numbers(reader, kSkills, workers);
  if (reader.has_column(kConfusion)) {
    fit.confusion = probabilities(reader, kConfusion, workers * classes * classes);
  }
  fit.evidence = read_evidence(reader, workers, classes);
  fit.worker_columns = read_named(reader, kOfWorkers, workers);
  fit.task_columns = read_named(reader, kOfTasks, tasks);
  fit.point.workers = read_point(reader, kWorkersPoint, workers);
  fit.point.tasks = read_point(reader, kTasksPoint, tasks);
  fit.point.where = reader.path().string();
  return fit;
}

}  // namespace amalgam::labels
