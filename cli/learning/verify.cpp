// `amalgam verify` of a mixture whose routers are made of hidden states: its base is run again.
#include "amalgam/weights/verify.hpp"

#include <memory>

#include "amalgam/weights/learned/network_states.hpp"
#include "amalgam/weights/open_model.hpp"
#include "cli/learning/commands.hpp"
#include "cli/verify_command.hpp"

namespace amalgam::cli {

void register_learned_verify(CLI::App& root) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App* app = add_verify(root, *command);
  app->callback([command] {
    const auto base = model_to_run(command->output, command->moved_inputs);
    std::unique_ptr<learned::NetworkStates> states;
    if (base) states = std::make_unique<learned::NetworkStates>(*open_model(*base).tensors);
    run_verify(*command, states.get());
  });
}

}  // namespace amalgam::cli
