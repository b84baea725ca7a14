#include "amalgam/weights/merge.hpp"

#include <memory>
#include <vector>

#include "amalgam/core/cluster.hpp"
#include "amalgam/core/error.hpp"
#include "cli/command.hpp"
#include "cli/merge_command.hpp"

namespace amalgam::cli {
namespace {

// What merges by rules alone can, and those that look at data cannot.
void check_for_data(const MergeCommand& command) {
  if (command.resume || command.manifest) {
    throw InputError(
        "{}: methods and searches that look at data run in one piece and cannot be checked by "
        "parts",
        command.resume ? "--resume" : "--manifest");
  }
  if (!command.imatrix.empty()) {
    throw InputError(
        "--imatrix: methods and searches that look at data weigh no errors of quantising; merge "
        "into F16 and convert that ('amalgam convert --dtype Q4_K --imatrix {}')",
        command.imatrix);
  }
  if (parse_fp8_scaling(command.dtype)) {
    throw InputError(
        "--dtype: methods and searches that look at data do not write {}; convert their result "
        "('amalgam convert --dtype {}')",
        command.dtype, command.dtype);
  }
  if (launched_processes() > 1) {
    throw InputError(
        "merge: methods and searches that look at data run in one process, but {} were started",
        launched_processes());
  }
}

}  // namespace

void register_merge(CLI::App& root, bool& needs_library) {
  CLI::App* app = root.add_subcommand("merge", "Merge many checkpoints into one.");
  auto command = std::make_shared<MergeCommand>();
  add_merge_options(*app, *command);
  register_merge_methods(*app);
  app->callback([app, command, &needs_library] {
    if (!app->get_subcommands().empty()) return;
    const std::vector<Recipe> recipes = recipes_of(*command);
    needs_library = needs_networks(recipes);
    if (needs_library) {
      check_for_data(*command);
      return;
    }
    const MergeOptions options = options_of(*command);
    const bool speaks = options.cluster == nullptr || options.cluster->rank() == 0;
    if (command->dry_run) {
      const MergePreview preview = preview_merge(recipes, options);
      if (speaks) show_preview(preview, *command);
    } else {
      const MergeReport report = merge_checkpoints(recipes, options);
      if (speaks) show_report(report, *command);
    }
  });
}

}  // namespace amalgam::cli
