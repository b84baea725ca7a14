#include <memory>

#include "cli/label_autows_options.hpp"
#include "cli/label_commands.hpp"

namespace amalgam::cli {

void register_label_autows(CLI::App& label, bool& needs_library) {
  CLI::App* app = label.add_subcommand("autows", kAutoWsSummary);
  auto command = std::make_shared<AutoWsCommand>();
  add_autows_options(*app, *command);
  app->callback([command, &needs_library] { needs_library = true; });
}

}  // namespace amalgam::cli
