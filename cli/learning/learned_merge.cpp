#include "cli/learning/learned_merge.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/learning/trainer.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/search_grid.hpp"
#include "cli/learning/commands.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/own_heads.hpp"
#include "cli/learning/search.hpp"

namespace amalgam::cli {
namespace {

using InMemory = MergedNetwork (*)(LearnedMerge&, const Ingredients&);

// Methods by name; greedy_soup and twin_merging write their results themselves.
const std::map<std::string, InMemory>& in_memory_methods() {
  static const std::map<std::string, InMemory> kMethods{{"learned_soup", merge_by_learned_soup},
                                                        {"regmean", merge_by_regmean},
                                                        {"pleas", merge_by_pleas},
                                                        {"zipit", merge_by_zipit},
                                                        {"adamerging", merge_by_adamerging},
                                                        {"frank_wolfe", merge_by_frank_wolfe}};
  return kMethods;
}

bool looks_at_data(const RuleInfo& method, const Parameters& parameters) {
  if (method.name == "regmean") return false;
  if (method.name != "pleas") return true;
  return parameters.text("matching") == "activations" || parameters.text("fit") != "none" ||
         parameters.text("allocation") == "scored" || parameters.text("heads") == "probe";
}

void check_options(const LearnedMerge& merge) {
  const MergeCommand& command = merge.command;
  const MergeCommand plain;
  const std::pair<const char*, bool> without_use[] = {
      {"--dtype", command.dtype != plain.dtype},
      {"--nan", command.non_finite != plain.non_finite},
      {"--shard-size", command.shard_size != plain.shard_size},
      {"--memory", command.common.memory != plain.common.memory},
      {"--keep-partial", command.keep_partial},
      {"--allow-shape-mismatch", command.allow_shape_mismatch}};
  for (const auto& [option, given] : without_use) {
    if (given) throw InputError("{}: method '{}' has no use for it", option, merge.method.name);
  }
  if (!merge.recipe.search.empty() && merge.method.name == "greedy_soup") {
    throw InputError("{}: method '{}' chooses by the data itself; it has nothing to search",
                     merge.recipe.label, merge.method.name);
  }
  if (!merge.recipe.search_by.empty() && merge.recipe.search.empty()) {
    throw InputError("{}: by {}, but nothing is searched", merge.recipe.label,
                     merge.recipe.search_by);
  }
  if (merge.recipe.data && merge.recipe.search.empty() &&
      !looks_at_data(merge.method, merge.parameters) &&
      !learning::has_batch_norm(
          *learning::make_network(open_members(merge.members).network, merge.members.front()))) {
    throw InputError("{}: method '{}' looks at no data{}; remove what is said of them",
                     merge.recipe.label, merge.method.name,
                     merge.method.name == "pleas" ? " with these parameters" : "");
  }
}

void check_output(const LearnedMerge& merge) {
  const std::string& output = merge.command.output;
  std::vector<std::filesystem::path> inputs(merge.members.begin(), merge.members.end());
  if (!merge.base.empty()) inputs.emplace_back(merge.base);
  check_output_is_no_input(inputs, output);
  if (std::filesystem::exists(output) && !merge.command.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", output);
  }
  if (in_memory_methods().contains(merge.method.name)) check_safetensors_output(output, {});
}

LearnedMerge merge_of(const MergeCommand& command, const Recipe& recipe, const RuleInfo& method) {
  LearnedMerge merge{.command = command,
                     .recipe = recipe,
                     .method = method,
                     .parameters = {},
                     .models = {},
                     .members = {},
                     .base = recipe.base_model ? recipe.base_model->path : "",
                     .data = MergeData(recipe, command.common.seed)};
  // Parameters of groups are resolved where the groups are known.
  merge.parameters = data_method_parameters(method, recipe);
  merge.models = data_method_members(method, recipe);
  for (const std::size_t model : merge.models) {
    merge.members.push_back(recipe.models[model].model.path);
  }
  return merge;
}

LearnedMerge checked(const MergeCommand& command, const Recipe& recipe, const RuleInfo& method) {
  LearnedMerge merge = merge_of(command, recipe, method);
  check_options(merge);
  check_output(merge);
  return merge;
}

// The network of a method that merges in memory, with statistics of its own if it has BatchNorm.
std::shared_ptr<learning::Network> in_memory(LearnedMerge& merge, const Ingredients& from,
                                             Json& details) {
  const auto found = in_memory_methods().find(merge.method.name);
  if (found == in_memory_methods().end()) {
    throw Error("method '{}' is not carried out by anything", merge.method.name);
  }
  const MergedNetwork made = found->second(merge, from);
  auto network =
      learning::load_network(*learned::as_source(made.state, "merged network"), made.description);
  details = made.details;
  const bool has_data = merge.recipe.data || looks_at_data(merge.method, merge.parameters);
  const Json statistics = refresh_batch_norm(*network, has_data ? &merge.data : nullptr);
  if (!statistics.is_null()) details["batch_norm"] = statistics;
  return network;
}

// Ingredients that a merge may change.
Ingredients copy_of(const Ingredients& from) {
  Ingredients copy = from;
  copy.network = learning::network_with(*from.network, learning::state_of(*from.network));
  return copy;
}

using SearchPoints = std::vector<std::vector<std::string>>;

// InputError unless the parameters are right at all points of a search, and all make networks with
// the same heads.
void check_points(const LearnedMerge& merge, const SearchPoints& points) {
  std::optional<bool> own_heads;
  for (const std::vector<std::string>& point : points) {
    try {
      const Recipe recipe = with_parameters(merge.recipe, merge.method, point);
      const LearnedMerge trial = merge_of(merge.command, recipe, merge.method);
      if (own_heads.value_or(has_own_heads(trial)) != has_own_heads(trial)) {
        throw InputError(
            "networks with one head and with one per member cannot be compared; expected"
            " heads=shared at all points or at none");
      }
      own_heads = has_own_heads(trial);
    } catch (const InputError& error) {
      throw InputError("search at {}: {}", join(point, " "), error.what());
    }
  }
}

// What decides between the points of a search: the examples that no point is merged by.
std::vector<learning::Dataset> judges_of(const LearnedMerge& merge, const Ingredients& from) {
  MergeData held_out(merge.recipe, merge.seed());
  if (merge.method.name != "regmean") held_out.use(MergeData::Part::held_out);
  if (has_own_heads(merge)) return tasks_of_own_heads(merge, from, held_out);
  return held_out.tasks(from.network->description());
}

// Merges at every point of the search by half of the data, and judges by the other half.
learned::ParameterSearch search(const LearnedMerge& merge) {
  const SearchPoints points = search_points(merge.recipe, merge.method, merge.seed());
  check_points(merge, points);
  MergeCommand quiet = merge.command;
  quiet.common.quiet = true;
  const Recipe first_recipe = with_parameters(merge.recipe, merge.method, points.front());
  const LearnedMerge first = merge_of(quiet, first_recipe, merge.method);
  const Ingredients from = load_ingredients(first);
  const auto merge_with = [&](const std::vector<std::string>& parameters) {
    check_interrupt();
    const Recipe recipe = with_parameters(merge.recipe, merge.method, parameters);
    try {
      LearnedMerge trial = merge_of(quiet, recipe, merge.method);
      trial.data.use(MergeData::Part::looked_at);
      const Ingredients own = copy_of(from);
      if (merge.method.name == "twin_merging") {
        return std::shared_ptr<learning::Network>(
            std::make_shared<learned::TwinNetwork>(twins_of(trial, own)));
      }
      Json details;
      return in_memory(trial, own, details);
    } catch (const InputError& error) {
      throw InputError("search at {}: {}", join(parameters, " "), error.what());
    }
  };
  Progress progress("search", points.size(), Progress::Unit::items,
                    merge.command.common.progress_mode());
  learned::ParameterSearch found = learned::search_parameters(
      points, merge_with, judges_of(first, from), search_figure(merge.recipe),
      [&](const learned::SearchTrial&) { progress.advance(1); });
  progress.finish();
  return found;
}

Json carry_out(LearnedMerge& merge) {
  if (merge.method.name == "greedy_soup") return merge_greedily(merge);
  if (merge.method.name == "twin_merging") return merge_twins(merge, load_ingredients(merge));
  Json details;
  const auto network = in_memory(merge, load_ingredients(merge), details);
  learning::save_network(merge.command.output, *network, merge.command.overwrite);
  return details;
}

Json parameters_json(const Parameters& parameters) {
  Json json = Json::object();
  for (const auto& [name, value] : parameters.all()) {
    json[name] = std::visit([](const auto& held) { return Json(held); }, value);
  }
  return json;
}

// What --dry-run shows, and what a finished merge's JSON begins with.
Json plan_json(const LearnedMerge& merge) {
  const bool looks = looks_at_data(merge.method, merge.parameters);
  Json json{{"output", merge.command.output},
            {"method", merge.method.name},
            {"base", merge.base.empty() ? Json() : Json(merge.base)},
            {"members", merge.members},
            {"parameters", parameters_json(merge.parameters)},
            {"data", looks ? Json(merge.data.describe()) : Json()},
            {"tasks", Json::array()}};
  for (std::size_t t = 0; t < merge.recipe.tasks.size(); ++t) {
    json["tasks"].push_back(merge.data.task_name(t));
  }
  return json;
}

void show_plan(const LearnedMerge& merge) {
  const OpenedMembers opened = open_members(merge.members);
  Json plan = plan_json(merge);
  plan["network"] = opened.network.architecture;
  if (!merge.recipe.search.empty()) {
    const auto points = search_points(merge.recipe, merge.method, merge.seed());
    plan["search"] = fmt::format("{} {} on {}", points.size(),
                                 points.size() == 1 ? "point" : "points", merge.data.describe());
  }
  plan["evaluate"] = Json::array();
  for (std::size_t entry = 0; entry < merge.data.evaluation_count(); ++entry) {
    plan["evaluate"].push_back(merge.data.evaluation_name(entry));
  }
  if (merge.command.common.json) return print_json(plan);
  for (const auto& [key, value] : plan.items()) {
    if (value.is_null() || (value.is_array() && value.empty())) continue;
    print(named_line(key, value));
  }
}

// The recipe with the parameters that its search finds, and what that was, told or put into `json`.
Recipe searched(const LearnedMerge& merge, Json& json) {
  const learned::ParameterSearch found = search(merge);
  const MergeCommand& command = merge.command;
  if (command.common.json) {
    json["search"] = search_json(found, merge.recipe, merge.data);
  } else if (!command.common.quiet) {
    print_search(found, merge.recipe, merge.data);
  }
  return with_parameters(merge.recipe, merge.method, found.trials[found.best].parameters);
}

void finish(LearnedMerge& merge, Json json) {
  const MergeCommand& command = merge.command;
  json.update(plan_json(merge));
  json.update(carry_out(merge));
  const auto evaluations =
      evaluate_merge(command.output, merge.data, merge.seed(), command.common.json);
  if (!evaluations.empty()) json["evaluation"] = to_json(evaluations);
  if (command.common.json) return print_json(json);
  if (command.common.quiet) return;
  print(fmt::format("{}: {} of {} members\n", command.output, merge.method.name,
                    merge.members.size()));
  print_evaluations(evaluations);
}

void run_learned(const MergeCommand& command, const Recipe& recipe, const RuleInfo& method) {
  LearnedMerge merge = checked(command, recipe, method);
  if (command.dry_run) return show_plan(merge);
  const std::string split = recipe.data ? recipe.data->split : "";
  if (split == "test" && method.name != "adamerging") {
    log::warn("choosing by the test split makes its accuracy too good; use it for nothing else");
  }
  if (recipe.search.empty()) return finish(merge, Json::object());
  Json json = Json::object();
  const Recipe chosen = searched(merge, json);
  LearnedMerge best = merge_of(command, chosen, method);
  finish(best, std::move(json));
}

void run(const MergeCommand& command) {
  learning::set_threads(command.common.threads);
  const std::vector<Recipe> recipes = recipes_of(command);
  for (const Recipe& recipe : recipes) {
    const RuleInfo* method = find_data_method(recipe.merge_method);
    if (method == nullptr) continue;
    if (recipes.size() > 1) {
      throw InputError(
          "{}:{}: method '{}' looks at data, which a recipe of several documents cannot; merge in"
          " several steps",
          recipe.label, recipe.line.number, method->name);
    }
    return run_learned(command, recipe, *method);
  }
  merge_by_rule(command, recipes);
}

}  // namespace

std::uint64_t count_of(const Parameters& parameters, const char* name) {
  return static_cast<std::uint64_t>(parameters.number(name));
}

Json refresh_batch_norm(learning::Network& network, MergeData* data) {
  if (!learning::has_batch_norm(network)) return {};
  if (data == nullptr) {
    log::warn(
        "the statistics of BatchNorm in the result are averages, not those of its weights; 'amalgam"
        " calibrate', or --data here, estimates them anew");
    return {};
  }
  learning::reset_batch_norm(network, data->together(network.description()));
  return "estimated anew on " + data->describe();
}

void register_learned_merge(CLI::App& root) {
  CLI::App* app = root.add_subcommand("merge", "Merge many checkpoints into one.");
  auto command = std::make_shared<MergeCommand>();
  add_merge_options(*app, *command);
  app->callback([command] { run(*command); });
}

}  // namespace amalgam::cli
