// `amalgam study tables`: what embeddings of relational tables depend on.
#include "cli/study_tables.hpp"

#include <memory>

#include "cli/study_commands.hpp"

namespace amalgam::cli {

void register_study_tables(CLI::App& study, bool& needs_library) {
  CLI::App* app = study.add_subcommand(
      "tables", "What embeddings of relational tables depend on: eight properties.");
  auto command = std::make_shared<TablesCommand>();
  add_tables_options(*app, *command);
  app->callback([command, &needs_library] {
    check_tables_command(*command);
    if (needs_training(*command)) {
      needs_library = true;
    } else {
      study_tables(*command, read_study_tables(*command), nullptr);
    }
  });
}

}  // namespace amalgam::cli
