#include "cli/moe_command.hpp"

#include <filesystem>

#include "amalgam/checkpoint/file.hpp"
#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"

namespace amalgam::cli {
namespace {

constexpr std::uint64_t kLargestRecipe = 4'000'000;

}  // namespace

void add_moe_options(CLI::App& app, MoeCommand& command) {
  MergeCommand& merge = command.merge;
  app.footer(
      example("amalgam moe experts.yml -o mixture\n"
              "amalgam moe experts.yml -o mixture --dtype bf16 --shard-size 2GB --dry-run\n"
              "amalgam moe experts.yml -o mixture --resume --manifest"));
  app.add_option("recipe", command.recipe,
                 "What to assemble, in mergekit-moe's YAML: base_model, experts with prompts, "
                 "gate_mode (hidden, cheap_embed, random, uniform_random), experts_per_token, "
                 "shared_experts, architecture")
      ->required()
      ->type_name("RECIPE");
  app.add_option("-o,--output", merge.output, "Folder to make")->required()->type_name("OUT");
  app.add_option("--dtype", merge.dtype, "Type of the written floating-point tensors")
      ->type_name("TYPE");
  app.add_option("--shard-size", merge.shard_size,
                 "Largest file of the output folder (default 5GB)")
      ->type_name("SIZE");
  add_unfinished_options(app, merge);
  app.add_flag("--dry-run", merge.dry_run,
               "Print what becomes of every tensor, the bytes and the disk needed, and do nothing");
  add_common_options(app, merge.common,
                     {Common::json, Common::quiet, Common::threads, Common::memory, Common::seed});
}

MoeRecipe moe_recipe_of(const MoeCommand& command) {
  if (std::filesystem::is_directory(command.recipe)) {
    throw InputError("{}: is a folder; expected a recipe in mergekit-moe's YAML", command.recipe);
  }
  return parse_moe_recipe(read_text_file(command.recipe, kLargestRecipe), command.recipe);
}

void run_moe(const MoeRecipe& recipe, const MoeCommand& command, const PromptStates* states) {
  const MergeOptions options = options_of(command.merge);
  const bool speaks = options.cluster == nullptr || options.cluster->rank() == 0;
  if (command.merge.dry_run) {
    const MergePreview preview = preview_moe(recipe, options, states);
    if (speaks) show_preview(preview, command.merge);
    return;
  }
  const MergeReport report = assemble_moe(recipe, options, states);
  if (!speaks) return;
  show_report(report, command.merge,
              {{"experts", recipe.experts.size()},
               {"experts_per_token", recipe.chosen()},
               {"gate_mode", gates_name(recipe.gates)}});
}

}  // namespace amalgam::cli
