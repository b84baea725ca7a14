// `amalgam verify`: checks a merge by its manifest.
#include "amalgam/weights/verify.hpp"

#include <memory>

#include "cli/command.hpp"
#include "cli/verify_command.hpp"

namespace amalgam::cli {

void register_verify(CLI::App& root, bool& needs_library) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App* app = add_verify(root, *command);
  app->callback([command, &needs_library] {
    needs_library =
        command->recompute > 0 && model_to_run(command->output, command->moved_inputs).has_value();
    if (!needs_library) run_verify(*command);
  });
}

}  // namespace amalgam::cli
