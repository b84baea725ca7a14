#include "cli/learning/learning_main.hpp"

#include <CLI/CLI.hpp>

#include "amalgam/core/interrupt.hpp"
#include "cli/learning/commands.hpp"
#include "cli/run.hpp"

int amalgam_learning_main(int argc, const char* const* argv) {
  using namespace amalgam::cli;
  CLI::App root("Amalgam: networks, training, and merging by data.", "amalgam");
  root.require_subcommand(1);
  register_train(root);
  register_evaluate(root);
  register_fisher(root);
  register_learned_merge(root);
  register_report(root);
  // The library has its own copy of the flag that signals set.
  amalgam::catch_interrupts();
  return parse_and_run(root, argc, argv);
}
