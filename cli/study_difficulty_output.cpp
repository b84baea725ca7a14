#include "cli/study_difficulty_output.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "amalgam/core/elementary.hpp"
#include "amalgam/data/csv_output.hpp"

namespace amalgam::cli {
namespace {

using scores::Difficulty;
using scores::TaskConstants;

// log10 of the bits at the dimension as it was estimated.
std::optional<double> log10_bits_unrounded(const DifficultTask& task, double error) {
  if (!task.estimated_dimension || !(*task.estimated_dimension >= 1)) return std::nullopt;
  DifficultTask exact = task;
  exact.sphere.dimension += task.rounded_off;
  return exact.at(error).log10_bits;
}

double log10_of(double log_value) { return log_value / std::numbers::ln10; }

Json estimates_json(const TaskConstants& found) {
  Json json = {{"examples", found.examples},
               {"distinct", found.distinct},
               {"classes", found.classes},
               {"radius", found.radius},
               {"queries", found.queries},
               {"likelihood_dimension", found.likelihood_dimension},
               {"two_nearest_dimension", found.two_nearest_dimension},
               {"participation_ratio", found.participation_ratio},
               {"principal_components_95", found.principal_components}};
  if (found.separation.looked_at > 0) {
    json["separation"] = {
        {"distance", found.separation.distance},
        {"observed", found.separation.observed.distance},
        {"rows", {found.separation.observed.first, found.separation.observed.second}},
        {"looked_at", found.separation.looked_at},
        {"all_pairs", found.separation.all_pairs}};
  }
  return json;
}

std::string log10_text(double log10_bits) {
  return std::isfinite(log10_bits) ? fmt::format("{:.3f}", log10_bits) : "-";
}

std::string bits_text(const Difficulty& result) {
  if (result.bits == 0) return "0";
  if (result.log10_bits < 5) return fmt::format("{:.1f}", result.bits);
  const double decades = std::floor(result.log10_bits);
  return fmt::format("{:.3f}e{}", std::pow(10.0, result.log10_bits - decades), decades);
}

void show_task(std::string& text, const DifficultTask& task) {
  if (task.on_torus) {
    text +=
        fmt::format("m {} dimensions, resolution {}, {} outputs", format_number(task.dimension()),
                    format_number(task.torus.resolution), format_number(task.torus.outputs));
  } else {
    text += fmt::format(
        "m {} dimensions, R {} radius, delta {} resolution, {} combinations of"
        " discrete features",
        format_number(task.dimension()), format_number(task.sphere.radius),
        format_number(task.sphere.resolution), format_number(task.sphere.combinations));
  }
  const double log_examples = task.on_torus ? task.torus.log_examples : task.sphere.log_examples;
  text += fmt::format(", n {} examples\n\n", format_number(portable_exp(log_examples)));
}

}  // namespace

Json difficulty_json(const DifficultyReport& report) {
  const DifficultTask& task = report.task;
  Json json = {{"data", report.data.empty() ? Json() : Json(report.data)}, {"kind", report.kind}};
  if (task.on_torus) {
    json["task"] = {{"log_examples", task.torus.log_examples},
                    {"dimension", task.torus.dimension},
                    {"resolution", task.torus.resolution},
                    {"outputs", task.torus.outputs}};
  } else {
    json["task"] = {{"log_examples", task.sphere.log_examples},
                    {"dimension", task.sphere.dimension},
                    {"radius", task.sphere.radius},
                    {"resolution", task.sphere.resolution},
                    {"combinations", task.sphere.combinations},
                    {"log10_outputs", log10_of(task.sphere.log_outputs)},
                    {"bound", task.sphere.bound}};
  }
  json["estimates"] = report.found ? estimates_json(*report.found) : Json();
  const Difficulty& any = report.results.front();
  json["parts"] = {{"frequency", any.frequency},
                   {"degree", any.degree},
                   {"log10_functions", log10_of(any.log_functions)},
                   {"log10_dimensions", log10_of(any.log_dimensions)},
                   {"log10_consistent_dimensions", log10_of(any.log_consistent)},
                   {"log_distance", any.log_distance}};
  Json list = Json::array();
  for (const Difficulty& result : report.results) {
    const std::optional<double> unrounded = log10_bits_unrounded(task, result.error);
    list.push_back({{"error", result.error},
                    {"bits", result.bits},
                    {"log10_bits", result.log10_bits},
                    {"log10_bits_unrounded", unrounded ? Json(*unrounded) : Json()},
                    {"bits_per_dimension", result.log2_ratio},
                    {"over_determined", result.over_determined},
                    {"everything_general", result.everything_general}});
  }
  json["results"] = std::move(list);
  json["warnings"] = report.warnings;
  return json;
}

std::string difficulty_text(const DifficultyReport& report) {
  const std::optional<TaskConstants>& found = report.found;
  const DifficultTask& task = report.task;
  std::string text;
  using Align = Table::Align;
  if (found) {
    Table dimensions({{"dimension of the data"}, {"estimate", Align::right}});
    dimensions.add_row({"maximum likelihood", fmt::format("{:.2f}", found->likelihood_dimension)});
    dimensions.add_row({"two nearest", fmt::format("{:.2f}", found->two_nearest_dimension)});
    dimensions.add_row({"participation ratio", fmt::format("{:.2f}", found->participation_ratio)});
    dimensions.add_row(
        {"components of 95 % of the variance", fmt::to_string(found->principal_components)});
    text += dimensions.text() + "\n";
  }
  show_task(text, task);
  const bool unrounded = task.estimated_dimension.has_value();
  std::vector<Table::Column> columns = {
      {"error", Align::right}, {"bits", Align::right}, {"log10", Align::right}};
  if (unrounded) {
    columns.push_back({fmt::format("log10 at m {:.2f}", *task.estimated_dimension), Align::right});
  }
  columns.push_back({"bits per dimension", Align::right});
  Table table(columns);
  for (const Difficulty& result : report.results) {
    std::vector<std::string> cells = {format_number(result.error), bits_text(result),
                                      log10_text(result.log10_bits)};
    if (unrounded) {
      const auto log10_bits = log10_bits_unrounded(task, result.error);
      cells.push_back(log10_bits ? log10_text(*log10_bits) : "-");
    }
    cells.push_back(fmt::format("{:.3f}", result.log2_ratio));
    table.add_row(cells);
  }
  return text + table.text();
}

void write_difficulty(const std::string& path, const DifficultyReport& report) {
  CsvOutput out(path);
  for (const char* title : {"error", "bits", "log10_bits", "log10_bits_unrounded",
                            "bits_per_dimension", "over_determined", "everything_general"}) {
    out.field(title);
  }
  out.end();
  const auto add = [&](double value) {
    if (std::isfinite(value)) {
      out.field(value);
    } else {
      out.field("");
    }
  };
  for (const Difficulty& result : report.results) {
    out.field(result.error);
    add(result.bits);
    add(result.log10_bits);
    add(log10_bits_unrounded(report.task, result.error).value_or(NAN));
    add(result.log2_ratio);
    out.field(result.over_determined ? "true" : "false");
    out.field(result.everything_general ? "true" : "false");
    out.end();
  }
  out.commit();
}

}  // namespace amalgam::cli
