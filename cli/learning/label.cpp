#include "cli/learning/label.hpp"

#include "cli/learning/commands.hpp"

namespace amalgam::cli {

void register_learned_label(CLI::App& root) {
  CLI::App* label = root.add_subcommand("label", "Labels from networks.");
  label->require_subcommand(1);
  register_learned_label_bags(*label);
  register_learned_label_autows(*label);
}

}  // namespace amalgam::cli
