#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "amalgam/weights/moe/moe.hpp"
#include "cli/merge_command.hpp"

namespace amalgam::cli {

/// `amalgam moe` as it was asked for; read by the program and by the learning library, which makes
/// routers of hidden states.
struct MoeCommand {
  std::string recipe;
  MergeCommand merge;  ///< output, options about writing, common options
};

/// Adds all options of `amalgam moe`, and examples. `command` must live until it has run.
void add_moe_options(CLI::App& app, MoeCommand& command);

/// The recipe at the path that was given. InputError as parse_moe_recipe.
MoeRecipe moe_recipe_of(const MoeCommand& command);

/// Assembles, or shows what would be done, and prints. `states`: see assemble_moe.
void run_moe(const MoeRecipe& recipe, const MoeCommand& command,
             const PromptStates* states = nullptr);

}  // namespace amalgam::cli
