// `amalgam label autows`: the protocol of AutoWS-Bench-101 on one's own data.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/labels/learned/autows.hpp"
#include "amalgam/labels/weak/dialogue_file.hpp"
#include "amalgam/labels/weak/performance_profile.hpp"
#include "amalgam/learning/trainer.hpp"
#include "cli/label_autows_options.hpp"
#include "cli/learning/label.hpp"
#include "cli/learning/label_autows_data.hpp"
#include "cli/learning/label_autows_training_set.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using namespace labels;

AutoWsOptions options_of(const AutoWsCommand& command, std::uint64_t seed) {
  const std::set<std::string> methods(command.methods.begin(), command.methods.end());
  AutoWsOptions options;
  options.few_shot = methods.contains("few-shot");
  options.propagation = methods.contains("label-propagation");
  options.goggles = methods.contains("goggles");
  options.snuba = methods.contains("snuba");
  options.multipolar_snuba = methods.contains("snuba-multipolar");
  options.dialogue = methods.contains("iws") && command.dialogue.empty();
  options.label_models = command.label_models;
  options.end_model = command.end_model;
  options.end_model_options.hard = command.end_model_labels == "hard";
  const std::map<std::string, AffinityModelKind> kinds{
      {"gaussian-mixture", AffinityModelKind::gaussian_mixture},
      {"k-means", AffinityModelKind::k_means},
      {"spectral", AffinityModelKind::spectral}};
  options.goggles_options.models = {kinds.at(command.base_model)};
  options.snuba_options.rounds = command.rounds;
  options.snuba_options.candidates.cardinality = command.cardinality;
  options.snuba_options.candidates.combinations = command.combinations;
  options.dialogue_options.queries = command.queries;
  const std::map<std::string, Acquisition> rules{{"level-set", Acquisition::level_set},
                                                 {"active-search", Acquisition::active_search},
                                                 {"random", Acquisition::random}};
  options.dialogue_options.acquisition = rules.at(command.acquisition);
  options.dialogue_options.seed = seed;
  options.seed = seed;
  options.parallel = command.common.parallel();
  return options;
}

struct Measured {
  std::string features;
  std::string method;
  std::size_t functions = 0;
  std::uint64_t seed = 0;
  WeakQuality quality;
};

void check_command(const AutoWsCommand& command) {
  check_training_set(command);
  if (!command.end_model_labels.empty() && !command.end_model) {
    throw InputError("--end-model-labels needs --end-model");
  }
  for (const std::string& model : command.label_models) {
    if (find_label_model(model).info().needs_gold) {
      throw InputError("--label-models {}: it needs gold labels of the rows it labels", model);
    }
  }
  if (command.dialogue.empty()) return;
  if (std::ranges::find(command.methods, "iws") == command.methods.end()) {
    throw InputError("--dialogue is for the method iws");
  }
  if (command.seeds != 1 || command.features.size() != 1) {
    throw InputError("--dialogue is about one draw of the rows and one kind of features");
  }
}

std::string pipeline_name(const std::string& features, const std::string& method) {
  return features + ", " + method;
}

class Protocol {
 public:
  Protocol(const AutoWsCommand& command, AutoWsTask task)
      : command_(command), task_(std::move(task)), classes_(task_.class_names.size()) {
    const std::size_t rest =
        task_.truth.size() - std::min<std::size_t>(task_.truth.size(), command.labelled);
    unlabelled_ = command.unlabelled > 0 ? command.unlabelled : rest / 2;
  }

  /// Open questions of a dialogue, if there are some: then nothing was measured.
  std::size_t run() {
    Progress progress("autows", command_.seeds * task_.sets.size(), Progress::Unit::items,
                      command_.common.progress_mode());
    for (std::uint64_t s = 0; s < command_.seeds; ++s) {
      const std::uint64_t seed = command_.common.seed + s;
      const ProtocolRows rows =
          draw_protocol_rows(task_.truth, classes_, command_.labelled, unlabelled_, seed);
      if (s == 0 && writes_training_set(command_)) training_sets_.emplace(rows);
      for (const FeatureSet& set : task_.sets) {
        const ProtocolData data = protocol_data(set.features, task_.truth, classes_, rows);
        if (!command_.dialogue.empty() && !hold_dialogue(data, rows, seed)) return open_questions_;
        const auto say = [&](const std::string& what) {
          progress.describe(fmt::format("seed {}, {}: {}", seed, set.name, what));
        };
        std::vector<ProtocolResult> results = run_autows(data, options_of(command_, seed), say);
        add_dialogue(data, results);
        add_zero_shot(set, data, rows, results);
        for (const ProtocolResult& result : results) {
          note(set, rows, seed, result);
          if (s == 0 && training_sets_) {
            training_sets_->keep(pipeline_name(set.name, result.method), result);
          }
        }
        progress.advance(1);
      }
    }
    progress.finish();
    return 0;
  }

  /// One line per way, however many seeds: label models have much to say of small tables.
  void warn() const {
    for (const auto& [way, warnings] : warnings_) {
      if (warnings.empty()) continue;
      log::warn("{}: {}{}", way, warnings[0],
                warnings.size() > 1 ? fmt::format(" (and {} more)", warnings.size() - 1) : "");
    }
  }

  std::size_t unlabelled() const { return unlabelled_; }
  std::size_t answers() const { return answers_; }
  const AutoWsTask& task() const { return task_; }
  const std::vector<Measured>& measured() const { return measured_; }
  /// Of the first seed, if one is to be written.
  const std::optional<TrainingSets>& training_sets() const { return training_sets_; }

 private:
  bool hold_dialogue(const ProtocolData& data, const ProtocolRows& rows, std::uint64_t seed) {
    const AutoWsOptions options = options_of(command_, seed);
    CandidateOptions candidates = options.snuba_options.candidates;
    candidates.seed = seed;
    DialogueSession session =
        continue_dialogues(command_.dialogue, data, rows.labelled, task_.class_names, candidates,
                           options.dialogue_options, ensemble_model());
    open_questions_ = session.questions;
    answers_ = session.answers;
    dialogue_functions_ = std::move(session.functions);
    return open_questions_ == 0;
  }

  void add_dialogue(const ProtocolData& data, std::vector<ProtocolResult>& results) const {
    if (command_.dialogue.empty()) return;
    FitContext context;
    context.parallel = command_.common.parallel();
    for (ProtocolResult& one :
         by_functions("IWS", data, dialogue_functions_, command_.label_models, context)) {
      results.push_back(std::move(one));
    }
  }

  void add_zero_shot(const FeatureSet& set, const ProtocolData& data, const ProtocolRows& rows,
                     std::vector<ProtocolResult>& results) const {
    const auto add = [&](const char* name, SoftLabels soft) {
      ProtocolResult& result = results.emplace_back();
      result.method = name;
      result.test.covered.assign(soft.items, true);
      result.test.soft = std::move(soft);
    };
    if (task_.logits) add("zero-shot, logits", zero_shot(select_rows(*task_.logits, rows.test)));
    if (task_.prototypes && task_.prototypes->columns == set.features.columns) {
      add("zero-shot, prototypes", nearest_prototype(*task_.prototypes, data.test));
    }
  }

  void note(const FeatureSet& set, const ProtocolRows& rows, std::uint64_t seed,
            const ProtocolResult& result) {
    std::vector<Label> truth;
    for (const std::size_t row : rows.test) truth.push_back(task_.truth[row]);
    auto& warnings = warnings_[fmt::format("{}, {}", set.name, result.method)];
    warnings.insert(warnings.end(), result.warnings.begin(), result.warnings.end());
    measured_.push_back(
        {set.name, result.method, result.functions, seed, weak_quality(result.test, truth)});
  }

  const AutoWsCommand& command_;
  AutoWsTask task_;
  std::size_t classes_;
  std::size_t unlabelled_ = 0;
  std::size_t open_questions_ = 0;
  std::size_t answers_ = 0;
  std::vector<LabellingFunction> dialogue_functions_;
  std::optional<TrainingSets> training_sets_;
  std::vector<Measured> measured_;
  std::map<std::string, std::vector<std::string>> warnings_;  // by features and method
};

constexpr std::pair<const char*, double WeakQuality::*> kFigures[] = {
    {"accuracy", &WeakQuality::covered_accuracy},
    {"coverage", &WeakQuality::coverage},
    {"accuracy_all", &WeakQuality::accuracy},
    {"macro_f1", &WeakQuality::macro_f1},
    {"ece", &WeakQuality::ece},
    {"brier", &WeakQuality::brier},
    {"nll", &WeakQuality::nll}};

// Measurements of the same features and method, in the order in which they came.
std::vector<std::vector<Measured>> grouped(const std::vector<Measured>& measured) {
  std::vector<std::vector<Measured>> groups;
  for (const Measured& one : measured) {
    const auto group = std::ranges::find_if(groups, [&](const std::vector<Measured>& members) {
      return members[0].features == one.features && members[0].method == one.method;
    });
    if (group == groups.end()) {
      groups.push_back({one});
    } else {
      group->push_back(one);
    }
  }
  return groups;
}

// Over the seeds with which the figure is defined.
std::pair<double, double> mean_and_deviation(const std::vector<Measured>& group,
                                             double WeakQuality::*figure) {
  std::vector<double> values;
  for (const Measured& one : group) {
    if (std::isfinite(one.quality.*figure)) values.push_back(one.quality.*figure);
  }
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1)) : 0};
}

double mean_functions(const std::vector<Measured>& group) {
  double sum = 0;
  for (const Measured& one : group) sum += static_cast<double>(one.functions);
  return sum / static_cast<double>(group.size());
}

// How often each method is nearly the best, a task being a kind of features with a seed. Methods
// that were not gone everywhere are left out.
Json profile_json(const std::vector<Measured>& measured) {
  std::vector<std::string> methods;
  std::map<std::string, std::vector<double>> by_method;
  for (const Measured& one : measured) {
    if (!by_method.contains(one.method)) methods.push_back(one.method);
    by_method[one.method].push_back(one.quality.accuracy);
  }
  std::size_t tasks = 0;
  for (const auto& [name, values] : by_method) tasks = std::max(tasks, values.size());
  std::erase_if(methods, [&](const auto& name) { return by_method[name].size() != tasks; });
  std::vector<double> accuracies;
  for (std::size_t t = 0; t < tasks; ++t) {
    for (const std::string& name : methods) accuracies.push_back(by_method[name][t]);
  }
  constexpr double kRatios[] = {1, 1.25, 1.5, 2, 3, 5, 10};
  const PerformanceProfile profile = performance_profile(accuracies, methods.size(), kRatios);
  Json json = {{"tasks", tasks}, {"ratios", profile.ratios}, {"shares", Json::object()}};
  for (std::size_t m = 0; m < methods.size(); ++m) json["shares"][methods[m]] = profile.shares[m];
  return json;
}

Json json_of(const AutoWsCommand& command, const Protocol& protocol) {
  Json json = {{"data", command.data},
               {"rows", protocol.task().truth.size()},
               {"labelled", command.labelled},
               {"unlabelled", protocol.unlabelled()},
               {"test", protocol.task().truth.size() - command.labelled - protocol.unlabelled()},
               {"classes", protocol.task().class_names},
               {"seeds", command.seeds},
               {"table", Json::array()},
               {"runs", Json::array()}};
  for (const std::vector<Measured>& group : grouped(protocol.measured())) {
    Json row = {{"features", group[0].features},
                {"method", group[0].method},
                {"functions", mean_functions(group)}};
    for (const auto& [name, figure] : kFigures) {
      const auto [mean, deviation] = mean_and_deviation(group, figure);
      row[name] = mean;
      row[std::string(name) + "_deviation"] = deviation;
    }
    json["table"].push_back(std::move(row));
  }
  for (const Measured& one : protocol.measured()) {
    Json run = {{"seed", one.seed},
                {"features", one.features},
                {"method", one.method},
                {"functions", one.functions}};
    for (const auto& [name, figure] : kFigures) run[name] = one.quality.*figure;
    json["runs"].push_back(std::move(run));
  }
  json["profile"] = profile_json(protocol.measured());
  return json;
}

void show(const AutoWsCommand& command, const Protocol& protocol) {
  using Align = Table::Align;
  Table table({{"features"},
               {"method"},
               {"functions", Align::right},
               {"accuracy", Align::right},
               {"coverage", Align::right},
               {"on all rows", Align::right},
               {"macro-F1", Align::right},
               {"ECE", Align::right},
               {"Brier", Align::right},
               {"NLL", Align::right}});
  for (const std::vector<Measured>& group : grouped(protocol.measured())) {
    std::vector<std::string> cells{group[0].features, group[0].method,
                                   fmt::format("{:.4g}", mean_functions(group))};
    for (const auto& [name, figure] : kFigures) {
      const auto [mean, deviation] = mean_and_deviation(group, figure);
      cells.push_back(!std::isfinite(mean) ? "-"
                      : command.seeds > 1  ? fmt::format("{:.3f} ±{:.3f}", mean, deviation)
                                           : fmt::format("{:.3f}", mean));
    }
    table.add_row(std::move(cells));
  }
  print(fmt::format("{}: {} labelled rows, {} unlabelled, {} for testing; {} classes, {} {}\n",
                    command.data, command.labelled, protocol.unlabelled(),
                    protocol.task().truth.size() - command.labelled - protocol.unlabelled(),
                    protocol.task().class_names.size(), command.seeds,
                    command.seeds == 1 ? "seed" : "seeds"));
  print(table.text());
  print("accuracy is over the rows that are covered; on all rows, those that are not are wrong\n");
}

// The training set that was asked for, if one was.
struct Written {
  std::string pipeline;
  std::size_t rows = 0;
};

Written write_training_set(const AutoWsCommand& command, const Protocol& protocol) {
  if (!protocol.training_sets()) return {};
  std::vector<TrainingSets::Score> scores;
  for (const std::vector<Measured>& group : grouped(protocol.measured())) {
    scores.push_back({pipeline_name(group[0].features, group[0].method),
                      mean_and_deviation(group, &WeakQuality::accuracy).first});
  }
  Written written;
  written.pipeline = protocol.training_sets()->choose(command.pipeline, scores);
  written.rows =
      protocol.training_sets()->write(written.pipeline, protocol.task(), command.out, command.soft);
  return written;
}

void run(const AutoWsCommand& command) {
  check_command(command);
  learning::set_threads(command.common.threads);
  Protocol protocol(command, load_autows_task(command));
  if (const std::size_t questions = protocol.run()) {
    if (command.common.json) {
      return print_json({{"dialogue", command.dialogue},
                         {"answers", protocol.answers()},
                         {"questions", questions}});
    }
    return print(
        fmt::format("{}: {} questions, {} answers so far; set each \"useful\" to true or "
                    "false and run the same command again\n",
                    command.dialogue, questions, protocol.answers()));
  }
  protocol.warn();
  const Written written = write_training_set(command, protocol);
  if (command.common.json) {
    Json json = json_of(command, protocol);
    if (!written.pipeline.empty()) {
      json["training_set"] = {{"pipeline", written.pipeline}, {"rows", written.rows}};
    }
    return print_json(json);
  }
  if (command.out == "-" || command.soft == "-") return;
  show(command, protocol);
  if (!written.pipeline.empty()) {
    print(fmt::format("training set: {} rows by {}\n", written.rows, written.pipeline));
  }
}

}  // namespace

void register_learned_label_autows(CLI::App& label) {
  CLI::App* app = label.add_subcommand("autows", kAutoWsSummary);
  auto command = std::make_shared<AutoWsCommand>();
  add_autows_options(*app, *command);
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
