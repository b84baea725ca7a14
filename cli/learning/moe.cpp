// `amalgam moe` with gates of hidden states, for which the base is run on the prompts.
#include <memory>

#include "amalgam/weights/learned/network_states.hpp"
#include "amalgam/weights/open_model.hpp"
#include "cli/learning/commands.hpp"
#include "cli/moe_command.hpp"

namespace amalgam::cli {

void register_learned_moe(CLI::App& root) {
  CLI::App* app = root.add_subcommand("moe", "Assemble dense models into a mixture of experts.");
  auto command = std::make_shared<MoeCommand>();
  add_moe_options(*app, *command);
  app->callback([command] {
    const MoeRecipe recipe = moe_recipe_of(*command);
    const learned::NetworkStates states(*open_model(recipe.base_model).tensors);
    run_moe(recipe, *command, &states);
  });
}

}  // namespace amalgam::cli
