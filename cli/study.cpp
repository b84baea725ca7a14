#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/learning_library.hpp"
#include "cli/study_commands.hpp"

namespace amalgam::cli {

void register_study(CLI::App& root, bool& needs_library) {
  CLI::App* study =
      root.add_subcommand("study", "Find out what matters, on your own networks and figures.");
  study->require_subcommand(1);
  study->footer(
      example("amalgam study interpolation pretrained.safetensors tuned.safetensors"
              " --shift rotate=20 --shift noise=0.3\n"
              "amalgam study merging study.yml --json\n"
              "amalgam study robustness accuracies.csv --html robustness.html\n"
              "amalgam study decisions answers.csv"));
  register_study_difficulty(*study);
  register_study_subpopulations(*study);
  register_study_decisions(*study);
  register_study_robustness(*study);
  register_study_vectors(*study);
  register_study_voting(*study);
  register_study_tables(*study, needs_library);
  register_learning_studies(*study);
}

}  // namespace amalgam::cli
