#pragma once

#include <CLI/CLI.hpp>

/// The verbs of `amalgam label`, each in the file of its name. What needs libtorch sets
/// `needs_library` and does no more: the learning library then gets the same command line (see
/// register_merge in cli/command.hpp).
namespace amalgam::cli {

void register_label_aggregate(CLI::App& label);
void register_label_methods(CLI::App& label);
void register_label_agreement(CLI::App& label);
void register_label_ask(CLI::App& label);
void register_label_update(CLI::App& label);
void register_label_predict(CLI::App& label);
void register_label_weak(CLI::App& label);
void register_label_bags(CLI::App& label, bool& needs_library);
void register_label_autows(CLI::App& label, bool& needs_library);
void register_label_pairwise(CLI::App& label);
void register_label_text(CLI::App& label);
void register_label_masks(CLI::App& label);
void register_label_multilabel(CLI::App& label);

}  // namespace amalgam::cli
