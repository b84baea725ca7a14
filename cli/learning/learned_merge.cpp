#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
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

struct LearnedMerge {
  std::vector<std::string> members;
  std::string output;
  std::string method;
  std::vector<std::string> parameters;
  bool overwrite = false;
  DataOptions data;
  CommonOptions common;
};

// Scores averages of members by accuracy; each distinct choice once.
class HeldOutAccuracy {
 public:
  explicit HeldOutAccuracy(const LearnedMerge& command)
      : data_(command.data.load(command.common.seed)) {
    for (const std::string& path : command.members) sources_.emplace_back(open_checkpoint(path));
    description_ = learning::description_of(*sources_.front());
    if (!description_) {
      throw InputError(
          "{}: does not say what network it holds; expected a checkpoint that 'amalgam train' made",
          command.members.front());
    }
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
  learning::ImageData data_;
  std::vector<std::shared_ptr<const TensorSource>> sources_;
  std::optional<learning::NetworkDescription> description_;
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

void run(const LearnedMerge& command) {
  check_output_is_no_input({command.members.begin(), command.members.end()}, command.output);
  if (std::filesystem::exists(command.output) && !command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  if (command.data.split == "test") {
    log::warn(
        "choosing members on the test split makes its accuracy too good; use it for nothing"
        " else");
  }
  const RuleInfo& method = *find_data_method(command.method);
  const Parameters parameters = data_method_parameters(
      method,
      recipe_from_arguments(
          method, {.base = {}, .members = command.members, .parameters = command.parameters}));
  learning::set_threads(command.common.threads);
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

}  // namespace

void register_learned_merge(CLI::App& root) {
  CLI::App* command =
      root.add_subcommand("merge", "Merge checkpoints by a method that looks at data.");
  command->footer(
      example("amalgam merge --method greedy_soup a.safetensors b.safetensors c.safetensors"
              " --data fashion-mnist -o soup.safetensors\n"
              "amalgam merge methods greedy_soup"));
  auto options = std::make_shared<LearnedMerge>();
  command->add_option("members", options->members, "Checkpoints that 'amalgam train' made")
      ->required()
      ->type_name("FILE");
  command->add_option("-o,--output", options->output, "File or folder to write")
      ->required()
      ->type_name("OUT");
  command->add_option("-m,--method", options->method, "greedy_soup")
      ->required()
      ->check(CLI::IsMember({"greedy_soup"}))
      ->type_name("NAME");
  command
      ->add_option("-p,--parameter", options->parameters,
                   "name=value; 'amalgam merge methods NAME' lists them")
      ->allow_extra_args(false);
  command->add_flag("--overwrite", options->overwrite, "Replace an existing output");
  add_data_options(*command, options->data, "validation");
  add_learning_options(*command, options->common);
  command->callback([options] { run(*options); });
}

}  // namespace amalgam::cli
