#include "cli/learning/evaluation_output.hpp"

#include <fmt/format.h>

#include "amalgam/core/interrupt.hpp"
#include "amalgam/weights/learned/twin_file.hpp"
#include "cli/learning/number_output.hpp"

namespace amalgam::cli {
namespace {

Json pair(const Interval& interval) { return Json::array({interval.low, interval.high}); }

}  // namespace

std::string percent(double share) { return fmt::format("{:.2f}", 100 * share); }

Json figures_json(const learning::Evaluation& evaluation) {
  return {{"examples", evaluation.examples},
          {"accuracy", evaluation.accuracy},
          {"accuracy_interval", pair(evaluation.accuracy_interval)},
          {"nll", evaluation.nll},
          {"nll_interval", pair(evaluation.nll_interval)},
          {"ece", evaluation.ece},
          {"ece_interval", pair(evaluation.ece_interval)},
          {"macro_f1", evaluation.macro_f1},
          {"brier", evaluation.brier}};
}

void add_classes(Json& json, const learning::Evaluation& evaluation) {
  json["per_class"] = Json::array();
  for (const learning::ClassAccuracy& one : evaluation.per_class) {
    Json entry{{"name", one.name}, {"examples", one.examples}, {"accuracy", nullptr}};
    if (one.accuracy) entry["accuracy"] = *one.accuracy;
    json["per_class"].push_back(entry);
  }
}

std::vector<MergeEvaluation> evaluate_merge(const std::string& output, MergeData& data,
                                            std::uint64_t seed, bool intervals) {
  std::vector<MergeEvaluation> evaluations;
  if (data.evaluation_count() == 0) return evaluations;
  const auto network = learned::load_network_or_twin(output);
  for (std::size_t entry = 0; entry < data.evaluation_count(); ++entry) {
    check_interrupt();
    const learning::Dataset examples = data.to_evaluate(entry, network->description());
    const torch::Tensor logits = learning::predict_logits(*network, examples);
    if (examples.predicts_numbers()) {
      evaluations.push_back(
          {data.evaluation_name(entry), {}, learning::judge_numbers(logits, examples)});
      continue;
    }
    evaluations.push_back(
        {data.evaluation_name(entry),
         learning::evaluate(learning::log_probabilities(logits).flatten(0, -2),
                            examples.labels.flatten(), examples.class_names,
                            {.resamples = intervals ? 1000U : 0U, .seed = seed})});
  }
  return evaluations;
}

Json to_json(const std::vector<MergeEvaluation>& evaluations) {
  Json json = Json::array();
  for (const MergeEvaluation& one : evaluations) {
    Json entry{{"data", one.name}};
    if (one.numbers) {
      entry.update(number_figures_json(*one.numbers));
      json.push_back(std::move(entry));
      continue;
    }
    entry.update(figures_json(one.evaluation));
    add_classes(entry, one.evaluation);
    json.push_back(std::move(entry));
  }
  return json;
}

void print_evaluations(const std::vector<MergeEvaluation>& evaluations) {
  std::vector<NumberRow> numbers;
  for (const MergeEvaluation& one : evaluations) {
    if (one.numbers) numbers.push_back({one.name, *one.numbers});
  }
  if (!numbers.empty()) print_number_table("evaluated on", numbers);
  if (evaluations.size() == numbers.size()) return;
  using Align = Table::Align;
  Table table({{"evaluated on"},
               {"accuracy %", Align::right},
               {"95 % interval", Align::right},
               {"nll", Align::right},
               {"ece %", Align::right}});
  for (const MergeEvaluation& one : evaluations) {
    if (one.numbers) continue;
    const learning::Evaluation& evaluation = one.evaluation;
    table.add_row({one.name, percent(evaluation.accuracy),
                   percent(evaluation.accuracy_interval.low) + " - " +
                       percent(evaluation.accuracy_interval.high),
                   fmt::format("{:.4f}", evaluation.nll), percent(evaluation.ece)});
  }
  print(table.text());
}

}  // namespace amalgam::cli
