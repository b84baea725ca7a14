#include "amalgam/weights/moe/moe.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/checkpoint/output.hpp"
#include "amalgam/checkpoint/side_files.hpp"
#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/weights/finished_merge.hpp"
#include "amalgam/weights/moe/moe_plan.hpp"
#include "amalgam/weights/output_files.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> inputs_of(const MoeRecipe& recipe) {
  std::vector<fs::path> inputs;
  for (const ModelReference& model : recipe.all_models()) {
    inputs.emplace_back(model.path);
    if (!model.adapter.empty()) inputs.emplace_back(model.adapter);
  }
  return inputs;
}

MoePlan plan_checked(const MoeRecipe& recipe, const MergeOptions& options,
                     const PromptStates* states) {
  if (output_is_file(options.output)) {
    throw InputError(
        "{}: a mixture of experts is a folder with its config; expected a name without ending",
        options.output.string());
  }
  check_output_is_no_input(inputs_of(recipe), options.output);
  return plan_moe(recipe, options, states);
}

std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string model_list(const MoeRecipe& recipe) {
  std::string text = fmt::format("* base: `{}`\n", model_display_name(recipe.base_model.path));
  std::size_t number = 0;
  for (const MoeExpert& expert : recipe.experts) {
    text += fmt::format("* expert {}: `{}`\n", number++, model_display_name(expert.model.path));
  }
  for (const MoeExpert& expert : recipe.shared_experts) {
    text += fmt::format("* shared expert: `{}`\n", model_display_name(expert.model.path));
  }
  return text;
}

std::string moe_card(const MoeRecipe& recipe, const MoeFamily& family, std::uint64_t seed) {
  std::string card = "---\nbase_model:\n";
  for (const ModelReference& model : recipe.all_models()) {
    card += fmt::format("- {}\n", json_quoted(model_display_name(model.path)));
  }
  card += "library_name: transformers\ntags:\n- amalgam\n- merge\n- moe\n---\n";
  card += fmt::format(
      "# A mixture of {} experts\n\nA {} assembled of dense models with Amalgam: every layer has "
      "the feed-forward blocks of all experts, of which {} work on each token, and everything else "
      "of the base. Routers: `{}`.\n\n## Models\n\n{}\n## Recipe\n\n````yaml\n{}````\n\nMade again "
      "with `amalgam moe {} --seed {} -o OUT` in the folder that the recipe's paths are relative "
      "to.\n",
      recipe.experts.size(), family.architecture, recipe.chosen(), gates_name(recipe.gates),
      model_list(recipe), format_moe_recipe(recipe), kMoeRecipeFile, seed);
  return card;
}

void write_side_files(const fs::path& folder, const MoeRecipe& recipe, const MoePlan& plan,
                      std::uint64_t seed) {
  const fs::path& base = plan.stage.reference_path;
  write_text_file(folder / "config.json",
                  plan.config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  write_text_file(folder / kMoeRecipeFile, format_moe_recipe(recipe));
  write_text_file(folder / "README.md", moe_card(recipe, *plan.family, seed));
  constexpr const char* kGeneration = "generation_config.json";
  if (names_file(base / kGeneration)) {
    copy_file(base / kGeneration, folder / kGeneration, kLargestSideFile);
  }
  copy_licences(base, folder);
  OutputDescription output{.documents = {Recipe()}, .plan = &plan.stage.plan};
  output.reference = base;
  output.models = {base};
  write_tokenizer_files(folder, output);
}

}  // namespace

MergeReport assemble_moe(const MoeRecipe& recipe, const MergeOptions& options,
                         const PromptStates* states) {
  const auto start = std::chrono::steady_clock::now();
  if (!options.overwrite && fs::exists(options.output) && !may_be_finished(options)) {
    throw InputError(
        "{}: already exists; choose another place or ask to overwrite it (--overwrite)",
        options.output.string());
  }
  const MoePlan plan = plan_checked(recipe, options, states);
  MergeReport report;
  const PlacedOutput made =
      run_planned_merge({.recipe = format_moe_recipe(recipe),
                         .models = inputs_of(recipe),
                         .stages = {&plan.stage},
                         .write_side_files =
                             [&](const fs::path& folder) {
                               write_side_files(folder, recipe, plan, options.engine.seed);
                             }},
                        options);
  report.outputs = {made.place};
  report.statistics = made.statistics;
  report.was_finished = made.was_finished;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

MergePreview preview_moe(const MoeRecipe& recipe, const MergeOptions& options,
                         const PromptStates* states) {
  const MoePlan plan = plan_checked(recipe, options, states);
  MergePreview preview;
  preview.outputs = {options.output};
  preview.description = describe_plan(plan.stage.plan);
  preview.plans = {plan_as_json(plan.stage.plan)};
  preview.work = estimate_stages({&plan.stage}, options.engine);
  preview.disk_needed = output_bytes({&plan.stage});
  preview.disk_free = free_bytes(options.output);
  return preview;
}

}  // namespace amalgam
