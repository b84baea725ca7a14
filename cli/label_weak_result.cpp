#include "cli/label_weak_result.hpp"

#include <fmt/format.h>

#include "amalgam/data/text_output.hpp"
#include "amalgam/labels/label_metrics.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

std::string polarity_text(const AnnotationTable& table, const FunctionAnalysis& function) {
  std::string text;
  for (const Label label : function.polarity) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", table.label_names[label]);
  }
  return text;
}

// Items that no function votes on have the prior's label; they are uncovered, never right.
std::vector<Label> covered_labels(const WeakResult& result) {
  std::vector<Label> covered = result.hard.labels;
  for (std::size_t task = 0; task < covered.size(); ++task) {
    const auto [begin, end] = result.table.rows_of(static_cast<Task>(task));
    if (begin == end) covered[task] = kNoLabel;
  }
  return covered;
}

struct Quality {
  LabelQuality covered;
  SoftQuality soft;
  double all_accuracy = 0;  // uncovered items being wrong
};

Quality quality_of(const WeakResult& result, const std::vector<Label>& gold) {
  Quality quality{.covered = label_quality(covered_labels(result), gold),
                  .soft = soft_quality(result.fit.posterior, gold)};
  if (quality.covered.tasks > 0) {
    quality.all_accuracy = quality.covered.accuracy * static_cast<double>(quality.covered.tasks) /
                           static_cast<double>(quality.soft.tasks);
  }
  return quality;
}

Json functions_json(const WeakResult& result) {
  Json list = Json::array();
  for (std::size_t j = 0; j < result.analysis.functions.size(); ++j) {
    const FunctionAnalysis& function = result.analysis.functions[j];
    Json polarity = Json::array();
    for (const Label label : function.polarity) {
      polarity.push_back(std::string(result.table.label_names[label]));
    }
    Json one = {{"name", std::string(result.table.worker_names[j])},
                {"votes", function.votes},
                {"coverage", function.coverage},
                {"overlap", function.overlap},
                {"conflict", function.conflict},
                {"polarity", std::move(polarity)}};
    if (result.gold) {
      const auto accuracy = function.accuracy();
      one["judged"] = function.judged;
      one["accuracy"] = accuracy ? Json(*accuracy) : Json();
    }
    if (!result.fit.skills.empty()) one["skill"] = result.fit.skills[j];
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

void write_function_analysis(const std::string& path, const WeakResult& result) {
  TextOutput file(path);
  file.write(result.gold ? "function,votes,coverage,overlap,conflict,polarity,judged,accuracy\n"
                         : "function,votes,coverage,overlap,conflict,polarity\n");
  for (std::size_t j = 0; j < result.analysis.functions.size(); ++j) {
    const FunctionAnalysis& function = result.analysis.functions[j];
    std::string line;
    append_csv_field(line, result.table.worker_names[j]);
    line += fmt::format(",{}", function.votes);
    for (const double share : {function.coverage, function.overlap, function.conflict}) {
      line += ',';
      append_number(line, share);
    }
    line += ',';
    const std::string polarity = polarity_text(result.table, function);
    if (!polarity.empty()) append_csv_field(line, polarity);
    if (result.gold) {
      line += fmt::format(",{},", function.judged);
      if (const auto accuracy = function.accuracy()) append_number(line, *accuracy);
    }
    file.write(line + '\n');
  }
  file.commit();
}

Json weak_json(const WeakResult& result) {
  Json json = {{"method", result.method},
               {"items", result.table.task_count()},
               {"functions", result.table.worker_count()},
               {"classes", result.table.label_count()},
               {"votes", result.table.rows()},
               {"coverage", result.analysis.coverage},
               {"overlap", result.analysis.overlap},
               {"conflict", result.analysis.conflict},
               {"ties", result.hard.ties},
               {"iterations", result.fit.iterations},
               {"converged", result.fit.converged},
               {"seconds", result.seconds},
               {"warnings", result.fit.warnings}};
  if (!result.fit.prior.empty()) json["prior"] = result.fit.prior;
  if (result.report) {
    json["added"] = result.report->annotations;
    json["new_items"] = result.report->new_tasks;
    json["new_functions"] = result.report->new_workers;
    json["items_updated"] = result.report->tasks_updated;
    json["stale_mass"] = result.report->stale_mass;
  }
  json["analysis"] = functions_json(result);
  if (!result.gold) return json;
  const Quality quality = quality_of(result, result.gold->gold.labels);
  json["gold_items"] = quality.soft.tasks;
  json["gold_covered"] = quality.covered.tasks;
  json["accuracy"] = quality.covered.accuracy;
  json["macro_f1"] = quality.covered.macro_f1;
  json["accuracy_all"] = quality.all_accuracy;
  json["nll"] = quality.soft.nll;
  json["brier"] = quality.soft.brier;
  json["ece"] = quality.soft.ece;
  return json;
}

std::string weak_summary(const WeakResult& result) {
  std::string text;
  if (result.report) {
    text = fmt::format("{} votes taken in ({} new items, {} new functions)\n",
                       result.report->annotations, result.report->new_tasks,
                       result.report->new_workers);
  }
  text += fmt::format(
      "{}: {} items, {} labelling functions, {} classes, {} votes\ncoverage {:.4f}, overlap {:.4f},"
      " conflict {:.4f}; {} ties\n",
      result.method, result.table.task_count(), result.table.worker_count(),
      result.table.label_count(), result.table.rows(), result.analysis.coverage,
      result.analysis.overlap, result.analysis.conflict, result.hard.ties);
  if (!result.gold) return text;
  const Quality quality = quality_of(result, result.gold->gold.labels);
  return text + fmt::format(
                    "against gold: accuracy {:.4f} on {} covered items, {:.4f} on all {}; macro-F1"
                    " {:.4f}, NLL {:.4f}, Brier {:.4f}, ECE {:.4f}\n",
                    quality.covered.accuracy, quality.covered.tasks, quality.all_accuracy,
                    quality.soft.tasks, quality.covered.macro_f1, quality.soft.nll,
                    quality.soft.brier, quality.soft.ece);
}

}  // namespace amalgam::cli
