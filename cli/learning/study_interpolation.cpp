// `amalgam study interpolation`: WiSE-FT's curve, and who is right where two models differ.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/predictions/agreement.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/soup_diagnostics.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/study.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using learning::Dataset;
using learning::Network;

constexpr std::array kScales{.1, .25, .4, .6, 1.0, 2.0, 4.0, 8.0};

struct InterpolationStudy {
  std::string first;
  std::string second;
  std::vector<std::string> shifts;
  std::uint64_t steps = 10;
  double alpha = .5;
  DataOptions data;
  CommonOptions common;
};

struct Place {
  std::string name;
  Dataset data;
};

// Logits of the ends and of one point between them, in the form that agreement takes.
struct Logits {
  std::string name;
  torch::Tensor values;

  LogitTable table() const {
    return {name,
            {values.data_ptr<float>(), static_cast<std::size_t>(values.numel())},
            static_cast<std::size_t>(values.size(0)),
            static_cast<std::size_t>(values.size(1))};
  }
};

class Interpolation {
 public:
  explicit Interpolation(const InterpolationStudy& study)
      : first_(open_checkpoint(study.first)), second_(open_checkpoint(study.second)) {
    network_ = learning::load_network(*first_);
    // Says so where the second is of another kind.
    const auto tuned = learning::load_network(*second_, network_->description());
    const learning::NamedTensors start = learning::state_of(*network_);
    const double apart =
        learned::weight_geometry(start, learning::state_of(*tuned), start).relative_distance;
    if (apart <= 1) return;
    log::warn(
        "{} is {:.2f} times the norm of their weights away from {}: it was probably not fine-tuned"
        " from it; 'pleas' merges such networks",
        study.second, apart, study.first);
  }

  const learning::NetworkDescription& description() const { return network_->description(); }

  std::shared_ptr<Network> at(double alpha) const {
    learned::MemoryMerge merge{.method = "wise_ft",
                               .base = first_,
                               .members = {second_},
                               .parameters = {fmt::format("alpha={}", alpha)},
                               .files = {}};
    return learning::load_network(*learned::merge_in_memory(merge), description());
  }

 private:
  std::shared_ptr<const TensorSource> first_;
  std::shared_ptr<const TensorSource> second_;
  std::shared_ptr<Network> network_;
};

Logits logits_of(const char* name, Network& network, const Dataset& data) {
  const torch::Tensor logits = learning::predict_logits(network, data);
  return {name, logits.reshape({-1, logits.size(-1)}).to(torch::kFloat).contiguous()};
}

std::vector<std::uint32_t> labels_of(const Dataset& data) {
  const torch::Tensor flat = data.labels.reshape({-1}).contiguous();
  const auto* labels = flat.data_ptr<std::int64_t>();
  return {labels, labels + flat.numel()};
}

double accuracy(const Logits& logits, const std::vector<std::uint32_t>& labels) {
  const Predictions predictions = predictions_of(logits.table());
  std::uint64_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predictions.classes[i] == labels[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

Json cells_json(const Agreement& agreement) {
  Json json = Json::object();
  for (const bool a : {true, false}) {
    for (const bool b : {true, false}) {
      for (const bool m : {true, false}) {
        const std::string name = {a ? 'T' : 'F', b ? 'T' : 'F', m ? 'T' : 'F'};
        json[name] = agreement.share(a, b, m);
      }
    }
  }
  return json;
}

Json report_json(const BalanceReport& report) {
  return {
      {"first_accuracy", report.agreement.first_accuracy()},
      {"second_accuracy", report.agreement.second_accuracy()},
      {"merged_accuracy", report.agreement.merged_accuracy()},
      {"right_first_second_merged", cells_json(report.agreement)},
      {"confidence", {report.first_confidence, report.second_confidence, report.merged_confidence}},
      {"ece", {report.first_ece, report.second_ece, report.merged_ece}},
      {"spread_ratio", std::isfinite(report.spread_ratio) ? Json(report.spread_ratio) : Json()},
      {"overruled", report.overruled},
      {"ties", report.ties}};
}

Json analyse(const Interpolation& between, const InterpolationStudy& study, const Dataset& data) {
  const auto labels = labels_of(data);
  const Logits first = logits_of("first", *between.at(0), data);
  const Logits second = logits_of("second", *between.at(1), data);
  const Logits weights = logits_of("merged", *between.at(study.alpha), data);
  const Logits outputs{
      "ensemble", (first.values * (1 - study.alpha) + second.values * study.alpha).contiguous()};
  Json json{{"weights",
             report_json(compare_balance(first.table(), second.table(), weights.table(), labels))},
            {"outputs",
             report_json(compare_balance(first.table(), second.table(), outputs.table(), labels))},
            {"balance", Json::array()}};
  const auto sweep =
      scaled_ensemble_accuracy(first.table(), second.table(), labels, kScales, study.alpha);
  for (std::size_t i = 0; i < kScales.size(); ++i) {
    json["balance"].push_back({{"scale", kScales[i]}, {"accuracy", sweep[i]}});
  }
  return json;
}

std::vector<Place> load_places(const InterpolationStudy& study,
                               const learning::NetworkDescription& network) {
  std::vector<Place> places{{study.data.describe(), study.data.load(study.common.seed, &network)}};
  for (const std::string& shift : study.shifts) {
    DataOptions changed = study.data;
    changed.corruption += (changed.corruption.empty() ? "" : ",") + shift;
    places.push_back({changed.describe(), changed.load(study.common.seed, &network)});
  }
  return places;
}

void print_curve(const Json& json) {
  std::vector<Table::Column> columns{{"alpha", Table::Align::right}};
  for (const Json& place : json["places"]) {
    columns.push_back({place["data"].get<std::string>() + " %", Table::Align::right});
  }
  Table table(columns);
  const std::size_t points = json["places"][0]["curve"].size();
  for (std::size_t i = 0; i < points; ++i) {
    std::vector<std::string> row{
        fmt::format("{:.2f}", json["places"][0]["curve"][i]["alpha"].get<double>())};
    for (const Json& place : json["places"]) {
      row.push_back(percent(place["curve"][i]["accuracy"].get<double>()));
    }
    table.add_row(row);
  }
  print(table.text());
}

void print_analysis(const Json& json) {
  Table table({{"at alpha " + fmt::format("{}", json["alpha"].get<double>())},
               {"only the merge right %", Table::Align::right},
               {"only the merge wrong %", Table::Align::right},
               {"ensemble of outputs %", Table::Align::right},
               {"confidence, first and second %", Table::Align::right},
               {"spread ratio", Table::Align::right},
               {"errors by overruling %", Table::Align::right}});
  for (const Json& place : json["places"]) {
    const Json& weights = place["weights"];
    const Json& spread = weights["spread_ratio"];
    table.add_row({place["data"].get<std::string>(),
                   percent(weights["right_first_second_merged"]["FFT"].get<double>()),
                   percent(weights["right_first_second_merged"]["TTF"].get<double>()),
                   percent(place["outputs"]["merged_accuracy"].get<double>()),
                   percent(weights["confidence"][0].get<double>()) + ", " +
                       percent(weights["confidence"][1].get<double>()),
                   spread.is_null() ? "-" : fmt::format("{:.2f}", spread.get<double>()),
                   percent(weights["overruled"].get<double>())});
  }
  print("\n" + table.text());
}

void run(const InterpolationStudy& study) {
  learning::set_threads(study.common.threads);
  const Interpolation between(study);
  const std::vector<Place> places = load_places(study, between.description());
  Json json{{"first", study.first}, {"second", study.second}, {"alpha", study.alpha}};
  json["places"] = Json::array();
  for (const Place& place : places) {
    json["places"].push_back(
        {{"data", place.name}, {"examples", place.data.count()}, {"curve", Json::array()}});
  }
  Progress progress("interpolating", study.steps + 1, Progress::Unit::items,
                    study.common.progress_mode());
  for (std::uint64_t step = 0; step <= study.steps; ++step) {
    check_interrupt();
    const double alpha = static_cast<double>(step) / static_cast<double>(study.steps);
    const auto network = between.at(alpha);
    for (std::size_t p = 0; p < places.size(); ++p) {
      json["places"][p]["curve"].push_back(
          {{"alpha", alpha},
           {"accuracy",
            accuracy(logits_of("merged", *network, places[p].data), labels_of(places[p].data))}});
    }
    progress.advance(1);
  }
  progress.finish();
  for (std::size_t p = 0; p < places.size(); ++p) {
    json["places"][p].update(analyse(between, study, places[p].data));
  }
  if (study.common.json) return print_json(json);
  if (study.common.quiet) return;
  print_curve(json);
  print_analysis(json);
}

}  // namespace

void register_study_interpolation(CLI::App& parent) {
  CLI::App* command =
      parent.add_subcommand("interpolation",
                            "Between a network and what was fine-tuned from it: accuracy with and "
                            "without shift (WiSE-FT),"
                            " which errors average out, and which model dominates.");
  command->footer(
      example("amalgam study interpolation pretrained.safetensors tuned.safetensors"
              " --shift rotate=20 --shift noise=0.3"));
  auto study = std::make_shared<InterpolationStudy>();
  command->add_option("first", study->first, "Where alpha is 0: the network before fine-tuning")
      ->required()
      ->type_name("FILE");
  command->add_option("second", study->second, "Where alpha is 1: the fine-tuned network")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--shift", study->shifts,
                   "Also judge with images changed like this, as for --corrupt")
      ->type_name("WHAT")
      ->allow_extra_args(false);
  command->add_option("--steps", study->steps, "Parts of the curve (default 10)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  command->add_option("--alpha", study->alpha, "The point that is analysed (default 0.5)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  add_data_options(*command, study->data, "test");
  add_learning_options(*command, study->common);
  command->callback([study] { run(*study); });
}

}  // namespace amalgam::cli
