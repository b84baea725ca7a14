// Models that merge per input.
#include <fmt/format.h>

#include <functional>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/weights/learned/task_heads.hpp"
#include "amalgam/weights/learned/twin_file.hpp"
#include "amalgam/weights/learned/twin_merging.hpp"
#include "cli/learning/learned_merge.hpp"

namespace amalgam::cli {
namespace {

using learned::TwinModel;
using learned::TwinOptions;

TwinOptions options_of(const LearnedMerge& merge, const Ingredients& from,
                       const std::vector<learning::Dataset>& tasks) {
  const Parameters& parameters = merge.parameters;
  const std::string& kind = parameters.text("compression");
  TwinOptions options{
      .parameters = {fmt::format("weight={}", parameters.number("scaling"))},
      .compression = {.kind = kind == "svd"         ? learned::Compression::svd
                              : kind == "magnitude" ? learned::Compression::magnitude
                                                    : learned::Compression::drop,
                      .density = parameters.number("density"),
                      .rank = {},
                      .seed = merge.seed()}};
  const learning::NetworkDescription& network = from.network->description();
  if (!network.heads.empty() && parameters.text("heads") == "members") {
    options.heads = learned::heads_of_members(
        network, from.base.empty() ? from.members.front() : from.base, from.members, tasks);
  }
  if (parameters.has("rank")) options.compression.rank = count_of(parameters, "rank");
  if (parameters.has("shared")) {
    options.shared = learning::state_of(*learning::load_network(
        *open_checkpoint(parameters.text("shared")), from.network->description()));
  } else if (from.base.empty() && from.members.size() > 1) {
    throw InputError("{}: twin_merging needs a base model, or the parameter 'shared'",
                     merge.recipe.label);
  }
  return options;
}

// The tasks by their names; those without one by the members'.
std::vector<std::string> task_names(const LearnedMerge& merge) {
  std::vector<std::string> names;
  for (std::size_t t = 0; t < merge.members.size(); ++t) {
    names.push_back(merge.recipe.tasks.empty() ? merge.members[t] : merge.data.task_name(t));
  }
  return names;
}

Json details_of(const TwinModel& model) {
  std::int64_t whole = 0;
  for (const auto& parameter : model.shared->parameters()) whole += parameter.numel();
  Json json{{"router_accuracy", model.router_accuracy},
            {"shared_parameters", whole},
            {"modules", Json::array()}};
  for (std::size_t k = 0; k < model.modules.size(); ++k) {
    const std::int64_t stored = learned::numbers_of(model.modules[k]);
    json["modules"].push_back(
        {{"task", model.tasks[k]},
         {"parameters", stored},
         {"share", static_cast<double>(stored) / static_cast<double>(whole)}});
  }
  return json;
}

}  // namespace

learned::TwinModel twins_of(LearnedMerge& merge, const Ingredients& from) {
  const Parameters& parameters = merge.parameters;
  if (merge.data.task_count() != merge.members.size()) {
    throw InputError(
        "{}: {} tasks for {} experts; the router needs inputs of each expert's task,"
        " in the experts' order",
        merge.recipe.label, merge.data.task_count(), merge.members.size());
  }
  const std::vector<learning::Dataset> tasks = merge.data.tasks(from.network->description());
  const TwinOptions options = options_of(merge, from, tasks);
  TwinModel model =
      learned::twin_merge(*from.network, from.base, from.members, task_names(merge), options);
  model.routing = {.temperature = parameters.number("temperature"),
                   .top = count_of(parameters, "top"),
                   .threshold = parameters.number("threshold"),
                   .least = parameters.number("least")};
  if (!options.heads.empty()) {
    for (const learning::Dataset& task : tasks) model.heads.push_back(task.head);
  }
  const std::uint64_t epochs = count_of(parameters, "router_epochs");
  Steps steps(merge, epochs);
  learned::fit_router(model, tasks,
                      {.hidden = static_cast<std::int64_t>(count_of(parameters, "router_hidden")),
                       .epochs = epochs,
                       .batch = count_of(parameters, "router_batch"),
                       .learning_rate = parameters.number("router_learning_rate"),
                       .seed = merge.seed(),
                       .on_epoch = std::ref(steps)});
  return model;
}

Json merge_twins(LearnedMerge& merge, const Ingredients& from) {
  const TwinModel model = twins_of(merge, from);
  learned::save_twin(merge.command.output, model, merge.command.overwrite);
  return details_of(model);
}

}  // namespace amalgam::cli
