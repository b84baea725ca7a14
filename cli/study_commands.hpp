#pragma once

#include <CLI/CLI.hpp>

/// The verbs of `amalgam study` that need no networks, each defined in the file of its name.
namespace amalgam::cli {

void register_study_difficulty(CLI::App& study);
void register_study_subpopulations(CLI::App& study);
void register_study_decisions(CLI::App& study);
void register_study_robustness(CLI::App& study);
void register_study_vectors(CLI::App& study);
void register_study_voting(CLI::App& study);
/// Sets `needs_library` where an encoder is to be trained.
void register_study_tables(CLI::App& study, bool& needs_library);

}  // namespace amalgam::cli
