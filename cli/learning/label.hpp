#pragma once

#include <CLI/CLI.hpp>

/// The verbs of `amalgam label` that run networks: the program hands its command line over.
namespace amalgam::cli {

void register_learned_label_bags(CLI::App& label);
void register_learned_label_autows(CLI::App& label);

}  // namespace amalgam::cli
