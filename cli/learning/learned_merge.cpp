#include "cli/learning/learned_merge.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/interrupt.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/progress.hpp"
#include "amalgam/learning/evaluation.hpp"
#include "amalgam/learning/network_file.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/data_methods.hpp"
#include "amalgam/weights/learned/greedy_soup.hpp"
#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/recipe_arguments.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {
namespace {

using learned::GreedySoup;
using learned::SoupTrial;

// Scores averages of members by accuracy; each distinct choice once.
class HeldOutAccuracy {
 public:
  explicit HeldOutAccuracy(const LearnedMerge& command)
      : data_(command.data.load(command.common.seed)) {
    OpenedMembers opened = open_members(command);
    sources_ = std::move(opened.sources);
    description_ = std::move(opened.network);
    engine_.parallel = command.common.parallel();
  }

  double operator()(std::span<const std::size_t> members) const {
    check_interrupt();
    std::vector<std::shared_ptr<const TensorSource>> chosen;
    for (const std::size_t member : members) chosen.push_back(sources_[member]);
    const auto average = learned::average_in_memory(chosen, engine_);
    const auto network = learning::load_network(*average, description_);
    return learning::evaluate(
               learning::log_probabilities(learning::predict_logits(*network, data_)), data_.labels,
               data_.class_names, {.resamples = 0})
        .accuracy;
  }

  std::int64_t examples() const { return data_.count(); }

 private:
  learning::Dataset data_;
  std::vector<std::shared_ptr<const TensorSource>> sources_;
  learning::NetworkDescription description_;
  EngineOptions engine_;
};

Json to_json(const GreedySoup& soup, const LearnedMerge& command) {
  Json json;
  json["output"] = command.output;
  json["method"] = command.method;
  json["data"] = command.data.describe();
  json["score"] = soup.score;
  json["ingredients"] = Json::array();
  for (const std::size_t member : soup.ingredients) {
    json["ingredients"].push_back(command.members[member]);
  }
  json["trials"] = Json::array();
  for (const SoupTrial& trial : soup.trials) {
    json["trials"].push_back({{"member", command.members[trial.member]},
                              {"alone", trial.alone},
                              {"before", trial.before},
                              {"score", trial.score},
                              {"accepted", trial.accepted}});
  }
  return json;
}

void print_soup(const GreedySoup& soup, const LearnedMerge& command) {
  using Align = Table::Align;
  Table table({{"member"}, {"alone %", Align::right}, {"soup with it %", Align::right}, {"kept"}});
  for (const SoupTrial& trial : soup.trials) {
    table.add_row({command.members[trial.member], fmt::format("{:.2f}", 100 * trial.alone),
                   fmt::format("{:.2f}", 100 * trial.score), trial.accepted ? "yes" : "no"});
  }
  print(table.text());
  print(fmt::format("{}: average of {} of {} members, {:.2f} % on {}\n", command.output,
                    soup.ingredients.size(), command.members.size(), 100 * soup.score,
                    command.data.describe()));
}

void merge_greedily(const LearnedMerge& command, const Parameters& parameters) {
  const HeldOutAccuracy accuracy(command);
  Progress progress("greedy soup", 2 * command.members.size() - 1, Progress::Unit::items,
                    command.common.progress_mode());
  const GreedySoup soup = learned::greedy_soup(command.members.size(),
                                               [&](std::span<const std::size_t> members) {
                                                 const double score = accuracy(members);
                                                 progress.advance(1);
                                                 return score;
                                               },
                                               {.strict = parameters.flag("strict")});
  progress.finish();

  std::vector<std::string> chosen;
  for (const std::size_t member : soup.ingredients) chosen.push_back(command.members[member]);
  MergeOptions options;
  options.output = command.output;
  options.engine.parallel = command.common.parallel();
  options.progress = Progress::Mode::never;
  options.overwrite = command.overwrite;
  merge_checkpoints({learned::uniform_soup(chosen)}, options);
  if (command.common.json) {
    print_json(to_json(soup, command));
  } else if (!command.common.quiet) {
    print_soup(soup, command);
  }
}

void run(const LearnedMerge& command) {
  check_output_is_no_input({command.members.begin(), command.members.end()}, command.output);
  if (std::filesystem::exists(command.output) && !command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  const RuleInfo* method = find_data_method(command.method);
  if (method == nullptr) throw InputError("no method '{}' that looks at data", command.method);
  if (method->base == BaseUse::required && command.base.empty()) {
    throw InputError("{}: needs a base; give one with --base", command.method);
  }
  if (method->base == BaseUse::ignored && !command.base.empty()) {
    throw InputError("{}: has no use for a base", command.method);
  }
  const Recipe recipe = recipe_from_arguments(
      *method, {.base = {}, .members = command.members, .parameters = command.parameters});
  const Parameters parameters = data_method_parameters(*method, recipe);
  if (command.data.split == "test" && command.method != "adamerging") {
    log::warn("choosing by the test split makes its accuracy too good; use it for nothing else");
  }
  learning::set_threads(command.common.threads);
  if (command.method == "greedy_soup") return merge_greedily(command, parameters);
  check_safetensors_output(command.output, command.members);
  const Json json = merge_by_coefficients(command, recipe, parameters);
  if (command.common.json) {
    print_json(json);
  } else if (!command.common.quiet) {
    print(fmt::format("{}: {} of {} members\n", command.output, command.method,
                      command.members.size()));
  }
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const RuleInfo& method : data_methods()) names.push_back(method.name);
  return names;
}

}  // namespace

OpenedMembers open_members(const LearnedMerge& command) {
  OpenedMembers opened;
  for (const std::string& path : command.members) {
    opened.sources.emplace_back(open_checkpoint(path));
  }
  const auto network = learning::description_of(*opened.sources.front());
  if (!network) {
    throw InputError(
        "{}: does not say what network it holds; expected a checkpoint that 'amalgam train' made",
        command.members.front());
  }
  opened.network = *network;
  return opened;
}

void register_learned_merge(CLI::App& root) {
  CLI::App* command =
      root.add_subcommand("merge", "Merge checkpoints by a method that looks at data.");
  command->footer(example(
      "amalgam merge --method greedy_soup a.safetensors b.safetensors c.safetensors"
      " --data fashion-mnist -o soup.safetensors\n"
      "amalgam merge --method learned_soup a.safetensors b.safetensors -p granularity=whole"
      " -o soup.safetensors\n"
      "amalgam merge --method adamerging --base base.safetensors a.safetensors b.safetensors"
      " --task keep=left --task keep=right -p steps=200 -o merged.safetensors\n"
      "amalgam merge --method regmean a.safetensors b.safetensors"
      " -p gram=a.gram.safetensors,b.gram.safetensors -o merged.safetensors\n"
      "amalgam merge methods greedy_soup"));
  auto options = std::make_shared<LearnedMerge>();
  command->add_option("members", options->members, "Checkpoints that 'amalgam train' made")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "File or folder to write")
      ->required()
      ->type_name("OUT");
  command->add_option("-m,--method", options->method, "How; 'amalgam merge methods' tells more")
      ->required()
      ->check(CLI::IsMember(method_names()))
      ->type_name("NAME");
  command
      ->add_option("-p,--parameter", options->parameters,
                   "name=value; 'amalgam merge methods NAME' lists them")
      ->allow_extra_args(false);
  command->add_option("-b,--base", options->base, "The base model, for methods that need one")
      ->type_name("FILE");
  command
      ->add_option("--task", options->tasks,
                   "One task among several (adamerging, frank_wolfe): the images changed like this,"
                   " as for --corrupt")
      ->type_name("WHAT")
      ->allow_extra_args(false);
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  add_data_options(*command, options->data, "validation");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
