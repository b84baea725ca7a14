// Merges by rules that take more than the rule: parameters searched by data, and an evaluation of
// the result.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "amalgam/checkpoint/checkpoint.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/output_type.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"
#include "amalgam/core/text.hpp"
#include "amalgam/learning/batch_norm.hpp"
#include "amalgam/weights/learned/merge_in_memory.hpp"
#include "amalgam/weights/learned/parameter_search.hpp"
#include "amalgam/weights/open_model.hpp"
#include "amalgam/weights/search_grid.hpp"
#include "cli/learning/data_options.hpp"
#include "cli/learning/evaluation_output.hpp"
#include "cli/learning/learned_merge.hpp"
#include "cli/learning/search.hpp"

namespace amalgam::cli {
namespace {

using learned::ParameterSearch;
using learned::SearchTrial;

// Models are opened once for all points of a search.
class Models {
 public:
  OpenedModel open(const ModelReference& reference) {
    const auto found = opened_.find(reference);
    if (found != opened_.end()) return found->second;
    return opened_.emplace(reference, open_model(reference)).first->second;
  }

  learning::NetworkDescription network(const Recipe& recipe) {
    const ModelReference& reference = recipe.reference();
    const auto description = learning::description_of(*open(reference).tensors);
    if (!description) {
      throw InputError(
          "{}: does not say what network it holds, which 'data', 'search' and 'evaluate' need;"
          " expected a checkpoint that 'amalgam train' made",
          reference.path);
    }
    return *description;
  }

 private:
  std::map<ModelReference, OpenedModel> opened_;
};

ParameterSearch search(const MergeCommand& command, const MergeOptions& options,
                       const Recipe& recipe, MergeData& data, Models& models) {
  const RuleInfo& rule = find_merge_rule(recipe.merge_method).info();
  const auto points = search_points(recipe, rule, command.common.seed);
  const learning::NetworkDescription network = models.network(recipe);
  const std::vector<learning::Dataset> tasks = data.tasks(network);
  const ModelOpener open = [&](const ModelReference& model) { return models.open(model); };
  const auto merge = [&](const std::vector<std::string>& parameters) {
    check_interrupt();
    try {
      const auto merged =
          learned::merge_in_memory(with_parameters(recipe, rule, parameters), open,
                                   {.allow_shape_mismatch = options.allow_shape_mismatch,
                                    .type = options.type,
                                    .compare_copied = false},
                                   options.engine);
      auto made = learning::load_network(*merged, network);
      refresh_batch_norm(*made, &data);
      return made;
    } catch (const InputError& error) {
      throw InputError("search at {}: {}", join(parameters, " "), error.what());
    }
  };
  Progress progress("search", points.size(), Progress::Unit::items, options.progress);
  ParameterSearch result =
      learned::search_parameters(points, merge, tasks, search_figure(recipe),
                                 [&](const SearchTrial&) { progress.advance(1); });
  progress.finish();
  return result;
}

// A network with BatchNorm, whose statistics are estimated anew before it is written.
Json merge_network(const MergeCommand& command, const MergeOptions& options, const Recipe& recipe,
                   MergeData& data, Models& models) {
  check_safetensors_output(command.output, {});
  std::vector<std::filesystem::path> inputs;
  for (const ModelReference& model : recipe.all_models()) inputs.emplace_back(model.path);
  check_output_is_no_input(inputs, command.output);
  const auto merged = learned::merge_in_memory(
      recipe, [&](const ModelReference& model) { return models.open(model); },
      {.allow_shape_mismatch = options.allow_shape_mismatch, .type = options.type}, options.engine);
  const auto network = learning::load_network(*merged, models.network(recipe));
  const Json statistics = refresh_batch_norm(*network, &data);
  learning::save_network(command.output, *network, command.overwrite);
  return statistics;
}

void check_data_use(const MergeCommand& command, const Recipe& recipe, bool has_batch_norm) {
  if (recipe.data && recipe.search.empty() && !has_batch_norm) {
    throw InputError(
        "{}: method '{}' looks at no data; name a parameter to search by them (--search, 'search'),"
        " or remove them",
        recipe.label, recipe.merge_method);
  }
  if (!recipe.search_by.empty() && recipe.search.empty()) {
    throw InputError("{}: by {}, but nothing is searched", recipe.label, recipe.search_by);
  }
  if (!recipe.evaluate.empty() && std::filesystem::path(command.output).extension() == ".gguf") {
    throw InputError("{}: networks in GGUF files cannot be evaluated; expected another output",
                     command.output);
  }
}

// Known before networks run, not only when what they chose is merged.
void check_type(const MergeOptions& options, const Recipe& recipe) {
  const std::string& named = recipe.out_dtype.empty() ? recipe.dtype : recipe.out_dtype;
  const std::optional<OutputType> type = options.type ? options.type : parse_output_type(named);
  if (type) check_output_holds(*type, options.output);
}

// What is left for the merge itself.
void forget_data(Recipe& recipe) {
  recipe.data.reset();
  recipe.tasks.clear();
  recipe.search.clear();
  recipe.search_by.clear();
  recipe.evaluate.clear();
}

// --dry-run: the merge at the first point of the search, and what comes beside it.
void preview(const MergeCommand& command, const MergeOptions& options, const Recipe& asked,
             const MergeData& data, std::vector<Recipe> recipes) {
  Json more = Json::object();
  if (!asked.search.empty()) {
    const RuleInfo& rule = find_merge_rule(asked.merge_method).info();
    const auto points = search_points(asked, rule, command.common.seed);
    more["search"] = fmt::format("{} {} on {}", points.size(),
                                 points.size() == 1 ? "point" : "points", data.describe());
    recipes.back() = with_parameters(recipes.back(), rule, points.front());
  }
  for (std::size_t entry = 0; entry < data.evaluation_count(); ++entry) {
    more["evaluate"].push_back(data.evaluation_name(entry));
  }
  show_preview(preview_merge(recipes, options), command, more);
}

}  // namespace

void merge_by_rule(const MergeCommand& command, std::vector<Recipe> recipes) {
  const MergeOptions options = options_of(command);
  const std::uint64_t seed = command.common.seed;
  const Recipe asked = recipes.back();
  if (!asked.search.empty() && recipes.size() > 1) {
    throw InputError("{}: a recipe of several documents cannot search; merge in several steps",
                     asked.label);
  }
  MergeData data(asked, seed);
  forget_data(recipes.back());
  Models models;
  bool has_batch_norm = false;
  if (recipes.size() == 1) {
    const learning::NetworkDescription network = models.network(asked);
    has_batch_norm =
        learning::has_batch_norm(*learning::make_network(network, asked.reference().path));
  }
  check_data_use(command, asked, has_batch_norm);
  check_type(options, asked);
  if (command.dry_run) {
    preview(command, options, asked, data, std::move(recipes));
    return;
  }
  if (std::filesystem::exists(options.output) && !options.overwrite) {
    throw InputError("{}: exists already; use --overwrite to replace it", command.output);
  }
  Json more = Json::object();
  if (!asked.search.empty()) {
    const ParameterSearch found = search(command, options, asked, data, models);
    recipes.back() = with_parameters(recipes.back(), find_merge_rule(asked.merge_method).info(),
                                     found.trials[found.best].parameters);
    if (command.common.json) {
      more["search"] = search_json(found, asked, data);
    } else if (!command.common.quiet) {
      print_search(found, asked, data);
    }
  }
  MergeReport report;
  if (has_batch_norm && asked.data) {
    report.outputs = {options.output};
    more["batch_norm"] = merge_network(command, options, recipes.back(), data, models);
  } else {
    report = merge_checkpoints(recipes, options);
  }
  std::vector<MergeEvaluation> evaluations;
  for (const auto& output : report.outputs) {
    for (MergeEvaluation& one : evaluate_merge(output.string(), data, seed, command.common.json)) {
      if (report.outputs.size() > 1) one.name = output.filename().string() + ": " + one.name;
      evaluations.push_back(std::move(one));
    }
  }
  if (!evaluations.empty()) more["evaluation"] = to_json(evaluations);
  show_report(report, command, more);
  if (!command.common.json && !command.common.quiet) print_evaluations(evaluations);
}

}  // namespace amalgam::cli
