#include "cli/learning/study.hpp"

#include "cli/common_options.hpp"
#include "cli/learning/commands.hpp"

namespace amalgam::cli {

void register_study(CLI::App& root) {
  CLI::App* study = root.add_subcommand("study", "Find out what matters, on your own networks.");
  study->require_subcommand(1);
  study->footer(
      example("amalgam study interpolation pretrained.safetensors tuned.safetensors"
              " --shift rotate=20 --shift noise=0.3\n"
              "amalgam study merging study.yml --json"));
  register_study_interpolation(*study);
  register_study_merging(*study);
  register_study_soup(*study);
  register_learned_study_tables(*study);
}

}  // namespace amalgam::cli
