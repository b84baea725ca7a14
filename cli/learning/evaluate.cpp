#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/predictions/calibrated_likelihood.hpp"
#include "amalgam/weights/learned/twin_file.hpp"
#include "amalgam/weights/learned/twin_routing.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluate_numbers.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using namespace amalgam::learning;  // NOLINT(google-build-using-namespace): the command's subject

struct EvaluateOptions {
  std::vector<std::string> checkpoints;
  std::vector<std::string> also;
  bool ensemble = false;
  bool probability_ensemble = false;
  bool best = false;
  bool calibrated = false;
  std::string network;
  std::string reference;
  std::string expert;
  DataOptions data;
  CommonOptions common;
};

// What was judged: a checkpoint or an ensemble of them.
struct Judged {
  std::string name;
  std::size_t networks = 1;
  double seconds = 0;  // of the predictions
  Evaluation evaluation;
  std::optional<double> calibrated;        // log-likelihood, if asked for
  std::optional<MeanInterval> difference;  // of accuracy, against the reference
  Json router;                             // of a model that merges per input
};

// Log-probabilities are logits too.
double calibrated(const std::string& name, const torch::Tensor& log_probs, const Dataset& data,
                  std::uint64_t seed) {
  const torch::Tensor rows = log_probs.flatten(0, -2).to(torch::kFloat).contiguous();
  const torch::Tensor labels = data.labels.flatten().contiguous();
  const auto* first = labels.data_ptr<std::int64_t>();
  const std::vector<std::uint32_t> truth(first, first + labels.numel());
  return calibrated_log_likelihood(
      {name,
       {rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())},
       truth.size(),
       static_cast<std::size_t>(rows.size(1))},
      truth, seed);
}

Judged judge(std::string name, const torch::Tensor& log_probs, const Dataset& data,
             const EvaluateOptions& options) {
  Judged judged;
  judged.name = std::move(name);
  judged.evaluation =
      evaluate(log_probs.flatten(0, -2), data.labels.flatten(), data.class_names,
               {.resamples = options.common.json ? 1000U : 0U, .seed = options.common.seed});
  if (options.calibrated) {
    judged.calibrated = calibrated(judged.name, log_probs, data, options.common.seed);
  }
  return judged;
}

std::optional<NetworkDescription> stated_network(const EvaluateOptions& options) {
  if (options.network.empty()) return std::nullopt;
  auto description = description_of(*open_checkpoint(options.network));
  if (!description) {
    throw InputError("--network {}: the file does not say what network it holds", options.network);
  }
  return description;
}

void compare_with_reference(std::vector<Judged>& all, const std::string& reference) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Judged& one) { return one.name == reference; });
  if (found == all.end()) {
    throw InputError("--reference {}: not one of the checkpoints that are evaluated", reference);
  }
  const std::vector<double> expected = found->evaluation.correct;
  if (expected.size() < 2) throw InputError("--reference needs at least two examples");
  for (Judged& one : all) {
    std::vector<double> differences = one.evaluation.correct;
    for (std::size_t i = 0; i < differences.size(); ++i) differences[i] -= expected[i];
    one.difference = mean_interval(differences);
  }
}

// What the router of a model that merges per input did with the data; null for other models.
Json router_json(Network& network, const Dataset& data, const Evaluation& evaluation) {
  auto* twin = dynamic_cast<learned::TwinNetwork*>(&network);
  if (twin == nullptr || !twin->routes()) return {};
  const learned::RoutingReport report = learned::routing_report(*twin, data);
  Json json{{"entropy", report.entropy},
            {"shares", Json::object()},
            {"without_expert", report.without_expert}};
  for (std::size_t k = 0; k < report.shares.size(); ++k) {
    json["shares"][twin->model().tasks[k]] = report.shares[k];
  }
  if (!report.chooses_head) return json;
  const torch::Tensor chosen = report.chooses_head->to(torch::kDouble);
  const torch::Tensor correct = torch::tensor(evaluation.correct, torch::kDouble);
  json["head_accuracy"] = chosen.mean().item<double>();
  json["accuracy_with_chosen_head"] = (chosen * correct).mean().item<double>();
  return json;
}

void print_router(const Judged& judged) {
  if (judged.router.is_null()) return;
  std::vector<std::string> shares;
  for (const auto& [task, share] : judged.router["shares"].items()) {
    shares.push_back(fmt::format("{} {:.3f}", task, share.get<double>()));
  }
  std::string text =
      fmt::format("\n{}: entropy of the router's shares {:.4f} nats; mean shares {}", judged.name,
                  judged.router["entropy"].get<double>(), join(shares, ", "));
  if (judged.router["without_expert"] > 0) {
    text += fmt::format("; {} % of the inputs without an expert",
                        percent(judged.router["without_expert"]));
  }
  if (judged.router.contains("head_accuracy")) {
    text += fmt::format("; chooses this head for {} %, accuracy with the head it chooses {} %",
                        percent(judged.router["head_accuracy"]),
                        percent(judged.router["accuracy_with_chosen_head"]));
  }
  print(text + "\n");
}

std::shared_ptr<Network> load(const std::string& path, const EvaluateOptions& options,
                              const std::optional<NetworkDescription>& description) {
  auto network = learned::load_network_or_twin(path, description);
  auto* twin = dynamic_cast<learned::TwinNetwork*>(network.get());
  if (twin == nullptr || options.expert.empty()) return network;
  const std::vector<std::string>& tasks = twin->model().tasks;
  const auto found = std::ranges::find(tasks, options.expert);
  if (found == tasks.end()) {
    throw InputError("--expert {}: {} has no such task{}; it has {}", options.expert, path,
                     did_you_mean(options.expert, tasks), join(tasks, ", "));
  }
  torch::Tensor shares = torch::zeros({static_cast<std::int64_t>(tasks.size())}, torch::kDouble);
  shares[found - tasks.begin()] = 1;
  twin->fix_shares(shares);
  return network;
}

// Not finite: of any class, or any token of a text.
void warn_of_not_finite(const std::string& path, const torch::Tensor& logits) {
  const torch::Tensor wrong = logits.flatten(0, -2).isfinite().all(1).logical_not().sum();
  const auto count = wrong.item<std::int64_t>();
  if (count == 0) return;
  log::warn("{}: the predictions of {} of {} examples are not finite; its figures mean nothing",
            path, count, logits.flatten(0, -2).size(0));
}

// Networks that predict a number are judged otherwise.
void judge_as_numbers(const EvaluateOptions& options, const Dataset& data,
                      const std::optional<NetworkDescription>& description) {
  const std::pair<const char*, bool> of_classes[] = {
      {"--probability-ensemble", options.probability_ensemble},
      {"--calibrated", options.calibrated},
      {"--expert", !options.expert.empty()}};
  for (const auto& [option, given] : of_classes) {
    if (given) check_classes(data, option);
  }
  evaluate_numbers({.checkpoints = options.checkpoints,
                    .also = options.also,
                    .network = description,
                    .ensemble = options.ensemble,
                    .best = options.best,
                    .reference = options.reference,
                    .data = options.data.describe(),
                    .common = options.common},
                   data);
}

std::vector<Judged> judge_all(const EvaluateOptions& options, const Dataset& data,
                              const std::optional<NetworkDescription>& description) {
  std::vector<Judged> all;
  torch::Tensor logit_sum;
  torch::Tensor probability_sum;
  std::vector<std::string> paths = options.checkpoints;
  paths.insert(paths.end(), options.also.begin(), options.also.end());
  Progress progress("evaluating", paths.size(), Progress::Unit::items,
                    options.common.progress_mode());
  double seconds = 0;
  for (const std::string& path : paths) {
    check_interrupt();
    progress.describe(path);
    const auto network = load(path, options, description);
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor logits = predict_logits(*network, data).to(torch::kDouble);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    warn_of_not_finite(path, logits);
    all.push_back(judge(path, log_probabilities(logits), data, options));
    all.back().seconds = taken.count();
    all.back().router = router_json(*network, data, all.back().evaluation);
    progress.advance(1);
    if (all.size() > options.checkpoints.size()) continue;
    seconds += taken.count();
    logit_sum = logit_sum.defined() ? logit_sum + logits : logits;
    const torch::Tensor probabilities = torch::softmax(logits, -1);
    probability_sum = probability_sum.defined() ? probability_sum + probabilities : probabilities;
  }
  progress.finish();

  const auto members = static_cast<double>(options.checkpoints.size());
  const auto add_ensemble = [&](const char* name, const torch::Tensor& log_probs) {
    all.push_back(judge(name, log_probs, data, options));
    all.back().networks = options.checkpoints.size();
    all.back().seconds = seconds;
  };
  if (options.ensemble) add_ensemble("logit ensemble", log_probabilities(logit_sum / members));
  if (options.probability_ensemble) {
    add_ensemble("probability ensemble", (probability_sum / members).log());
  }
  if (!options.reference.empty()) compare_with_reference(all, options.reference);
  return all;
}

Json pair(const Interval& interval) { return Json::array({interval.low, interval.high}); }

Json to_json(const Judged& judged) {
  const Evaluation& evaluation = judged.evaluation;
  Json json{{"name", judged.name}, {"networks", judged.networks}};
  json.update(figures_json(evaluation));
  if (judged.calibrated) json["calibrated_log_likelihood"] = *judged.calibrated;
  if (judged.difference) {
    json["accuracy_difference"] = judged.difference->mean;
    json["accuracy_difference_interval"] = pair(judged.difference->interval);
  }
  json["seconds"] = judged.seconds;
  if (!judged.router.is_null()) json["router"] = judged.router;
  add_classes(json, evaluation);
  return json;
}

void print_table(const std::vector<Judged>& all) {
  using Align = Table::Align;
  std::vector<Table::Column> columns{{"network"},
                                     {"accuracy %", Align::right},
                                     {"95 % interval", Align::right},
                                     {"nll", Align::right},
                                     {"ece %", Align::right},
                                     {"brier", Align::right},
                                     {"macro-F1 %", Align::right}};
  const bool calibrated = all.front().calibrated.has_value();
  if (calibrated) columns.push_back({"calibrated", Align::right});
  const bool compared = all.front().difference.has_value();
  if (compared) columns.push_back({"difference (95 % interval)", Align::right});
  Table table(columns);
  for (const Judged& one : all) {
    const Evaluation& evaluation = one.evaluation;
    std::vector<std::string> row{one.name,
                                 percent(evaluation.accuracy),
                                 percent(evaluation.accuracy_interval.low) + " - " +
                                     percent(evaluation.accuracy_interval.high),
                                 fmt::format("{:.4f}", evaluation.nll),
                                 percent(evaluation.ece),
                                 fmt::format("{:.4f}", evaluation.brier),
                                 percent(evaluation.macro_f1)};
    if (calibrated) row.push_back(fmt::format("{:.4f}", one.calibrated.value_or(0)));
    if (const auto& difference = one.difference) {
      row.push_back(fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", 100 * difference->mean,
                                100 * difference->interval.low, 100 * difference->interval.high));
    }
    table.add_row(row);
  }
  print(table.text());
}

void print_classes(const Judged& judged) {
  Table table({{"class"}, {"examples", Table::Align::right}, {"accuracy %", Table::Align::right}});
  for (const ClassAccuracy& one : judged.evaluation.per_class) {
    table.add_row(
        {one.name, std::to_string(one.examples), one.accuracy ? percent(*one.accuracy) : "-"});
  }
  print("\n" + table.text());
}

void run(const EvaluateOptions& options) {
  set_threads(options.common.threads);
  const auto description = stated_network(options);
  const auto first =
      description ? description : learned::network_description_at(options.checkpoints.front());
  const Dataset data = options.data.load(options.common.seed, first ? &*first : nullptr);
  if (data.predicts_numbers()) return judge_as_numbers(options, data, description);
  const std::vector<Judged> all = judge_all(options, data, description);
  if (options.best) {
    const auto best = std::max_element(
        all.begin(),
        all.begin() + static_cast<std::ptrdiff_t>(options.checkpoints.size() + options.also.size()),
        [](const Judged& a, const Judged& b) {
          return std::pair(a.evaluation.accuracy, -a.evaluation.nll) <
                 std::pair(b.evaluation.accuracy, -b.evaluation.nll);
        });
    if (options.common.json) {
      print_json({{"data", options.data.describe()}, {"best", to_json(*best)}});
    } else {
      print(best->name + "\n");
    }
  } else if (options.common.json) {
    Json json = Json::object();
    json["data"] = options.data.describe();
    json["reference"] = options.reference.empty() ? Json() : Json(options.reference);
    json["results"] = Json::array();
    for (const Judged& one : all) json["results"].push_back(to_json(one));
    print_json(json);
  } else {
    print_table(all);
    for (const Judged& one : all) print_router(one);
    if (all.size() == 1) print_classes(all.front());
  }
}

}  // namespace

void register_evaluate(CLI::App& root) {
  CLI::App* command =
      root.add_subcommand("evaluate", "Judge networks, or their ensemble, on labelled data.");
  command->footer(
      example("amalgam evaluate model.safetensors\n"
              "amalgam evaluate a.safetensors b.safetensors --ensemble --split validation\n"
              "amalgam evaluate merged.safetensors --corrupt shift=1,noise=0.25 --json"));
  auto options = std::make_shared<EvaluateOptions>();
  command->add_option("checkpoints", options->checkpoints, "Checkpoints that 'amalgam train' made")
      ->required()
      ->type_name("FILE");
  command->add_option("--also", options->also, "More checkpoints to judge, outside the ensembles")
      ->type_name("FILE");
  command->add_flag("--ensemble", options->ensemble, "Also average the networks' logits");
  command->add_flag("--probability-ensemble", options->probability_ensemble,
                    "Also average the networks' probabilities");
  command
      ->add_option("--reference", options->reference,
                   "One of the checkpoints: print the paired difference of accuracy to it")
      ->type_name("FILE");
  command->add_flag(
      "--best", options->best,
      "Print only the checkpoint with the highest accuracy; of several the one with the"
      " lowest nll");
  command->add_flag("--calibrated", options->calibrated,
                    "Also print the calibrated log-likelihood: that of one half of the examples"
                    " after a temperature fitted on the other, mean of 5 halvings");
  command
      ->add_option("--network", options->network,
                   "A checkpoint whose network the others have, if they do not say themselves")
      ->type_name("FILE");
  command
      ->add_option("--expert", options->expert,
                   "In models that merge per input: the task whose module all inputs get, instead"
                   " of what the router says")
      ->type_name("TASK");
  options->data.takes_numbers = true;
  add_data_options(*command, options->data, "test");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
