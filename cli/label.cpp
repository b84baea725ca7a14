#include "cli/command.hpp"
#include "cli/common_options.hpp"
#include "cli/label_commands.hpp"

namespace amalgam::cli {

void register_label(CLI::App& root, bool& needs_library) {
  CLI::App* label = root.add_subcommand(
      "label", "Make one set of labels of those of many annotators or labelling functions.");
  label->footer(
      example("amalgam label aggregate annotations.csv --method dawid-skene --out labels.csv\n"
              "amalgam label agreement annotations.csv\n"
              "amalgam label methods"));
  label->require_subcommand(1);
  register_label_aggregate(*label);
  register_label_update(*label);
  register_label_predict(*label);
  register_label_agreement(*label);
  register_label_ask(*label);
  register_label_methods(*label);
  register_label_pairwise(*label);
  register_label_text(*label);
  register_label_masks(*label);
  register_label_multilabel(*label);
  register_label_weak(*label);
  register_label_bags(*label, needs_library);
  register_label_autows(*label, needs_library);
}

}  // namespace amalgam::cli
