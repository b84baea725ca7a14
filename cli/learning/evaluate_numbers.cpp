// `amalgam evaluate` for networks that predict a number.
#include "cli/learning/evaluate_numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "cli/learning/number_output.hpp"

namespace amalgam::cli {
namespace {

std::vector<NumberRow> judge_all(const NumberEvaluation& request, const learning::Dataset& data) {
  std::vector<std::string> paths = request.checkpoints;
  paths.insert(paths.end(), request.also.begin(), request.also.end());
  std::vector<NumberRow> rows;
  torch::Tensor sum;
  Progress progress("evaluating", paths.size(), Progress::Unit::items,
                    request.common.progress_mode());
  for (const std::string& path : paths) {
    check_interrupt();
    progress.describe(path);
    const auto network = learning::load_network(*open_checkpoint(path), request.network);
    const torch::Tensor outputs = learning::predict_logits(*network, data).to(torch::kDouble);
    rows.push_back({path, learning::judge_numbers(outputs, data)});
    if (!std::isfinite(rows.back().figures.mse)) {
      log::warn("{}: predictions are not finite; its figures mean nothing", path);
    }
    if (rows.size() <= request.checkpoints.size()) sum = sum.defined() ? sum + outputs : outputs;
    progress.advance(1);
  }
  progress.finish();
  if (request.ensemble) {
    const auto members = static_cast<double>(request.checkpoints.size());
    rows.push_back({"ensemble", learning::judge_numbers(sum / members, data)});
  }
  return rows;
}

// Of squared errors: below 0 is better than the reference.
std::vector<MeanInterval> differences(const std::vector<NumberRow>& rows,
                                      const std::string& reference) {
  const auto found = std::ranges::find(rows, reference, &NumberRow::name);
  if (found == rows.end()) {
    throw InputError("--reference {}: not one of the checkpoints that are evaluated", reference);
  }
  const std::vector<double>& expected = found->figures.squared_errors;
  if (expected.size() < 2) throw InputError("--reference needs at least two examples");
  std::vector<MeanInterval> all;
  for (const NumberRow& row : rows) {
    std::vector<double> change = row.figures.squared_errors;
    for (std::size_t i = 0; i < change.size(); ++i) change[i] -= expected[i];
    all.push_back(mean_interval(change));
  }
  return all;
}

Json row_json(const NumberRow& row) {
  Json json{{"name", row.name}};
  json.update(number_figures_json(row.figures));
  return json;
}

void print_differences(const std::vector<NumberRow>& rows,
                       const std::vector<MeanInterval>& changes) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    print(fmt::format("{}: mse {:+.6g} ({:+.6g} to {:+.6g}) against the reference\n", rows[i].name,
                      changes[i].mean, changes[i].interval.low, changes[i].interval.high));
  }
}

}  // namespace

void evaluate_numbers(const NumberEvaluation& request, const learning::Dataset& data) {
  const std::vector<NumberRow> rows = judge_all(request, data);
  std::vector<MeanInterval> changes;
  if (!request.reference.empty()) changes = differences(rows, request.reference);
  if (request.best) {
    const auto end = rows.begin() +
                     static_cast<std::ptrdiff_t>(request.checkpoints.size() + request.also.size());
    const auto best = std::min_element(rows.begin(), end, [](const auto& a, const auto& b) {
      return a.figures.mse < b.figures.mse || std::isnan(b.figures.mse) > std::isnan(a.figures.mse);
    });
    if (!request.common.json) return print(best->name + "\n");
    return print_json({{"data", request.data}, {"best", row_json(*best)}});
  }
  if (!request.common.json) {
    print_number_table("network", rows);
    return print_differences(rows, changes);
  }
  Json json{{"data", request.data},
            {"reference", request.reference.empty() ? Json() : Json(request.reference)},
            {"results", Json::array()}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Json entry = row_json(rows[i]);
    if (!changes.empty()) {
      entry["mse_difference"] = changes[i].mean;
      entry["mse_difference_interval"] = {changes[i].interval.low, changes[i].interval.high};
    }
    json["results"].push_back(std::move(entry));
  }
  print_json(json);
}

}  // namespace amalgam::cli
