// `amalgam moe`: a mixture of experts assembled of dense models.
#include <memory>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "cli/command.hpp"
#include "cli/moe_command.hpp"

namespace amalgam::cli {

void register_moe(CLI::App& root, bool& needs_library) {
  CLI::App* app = root.add_subcommand(
      "moe", "Assemble dense models of one kind into a mixture of experts (Mixtral, Qwen).");
  auto command = std::make_shared<MoeCommand>();
  add_moe_options(*app, *command);
  app->callback([command, &needs_library] {
    const MoeRecipe recipe = moe_recipe_of(*command);
    needs_library = recipe.gates == MoeRecipe::Gates::hidden;
    if (!needs_library) {
      run_moe(recipe, *command);
    } else if (launched_processes() > 1) {
      throw InputError("moe: gates of hidden states are made in one process, but {} were started",
                       launched_processes());
    }
  });
}

}  // namespace amalgam::cli
