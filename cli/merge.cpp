#include "amalgam/weights/merge.hpp"

#include <memory>
#include <vector>

#include "cli/command.hpp"
#include "cli/merge_command.hpp"

namespace amalgam::cli {

void register_merge(CLI::App& root, bool& needs_library) {
  CLI::App* app = root.add_subcommand("merge", "Merge many checkpoints into one.");
  auto command = std::make_shared<MergeCommand>();
  add_merge_options(*app, *command);
  register_merge_methods(*app);
  app->callback([app, command, &needs_library] {
    if (!app->get_subcommands().empty()) return;
    const std::vector<Recipe> recipes = recipes_of(*command);
    needs_library = needs_networks(recipes);
    if (needs_library) return;
    const MergeOptions options = options_of(*command);
    if (command->dry_run) {
      show_preview(preview_merge(recipes, options), *command);
    } else {
      show_report(merge_checkpoints(recipes, options), *command);
    }
  });
}

}  // namespace amalgam::cli
