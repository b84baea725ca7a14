#pragma once

#include <CLI/CLI.hpp>

namespace amalgam::cli {

/// The verbs of `amalgam study` that run networks.
void register_study_interpolation(CLI::App& study);
void register_study_merging(CLI::App& study);
void register_study_soup(CLI::App& study);
void register_learned_study_tables(CLI::App& study);

}  // namespace amalgam::cli
