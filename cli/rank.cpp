#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/rank_commands.hpp"

namespace amalgam::cli {

void register_rank(CLI::App& root) {
  CLI::App* app = root.add_subcommand("rank", "Rank systems by many measurements.");
  app->footer(example("amalgam rank methods"));
  app->require_subcommand(1);
  register_rank_methods(*app);
}

}  // namespace amalgam::cli
