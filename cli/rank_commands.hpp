#pragma once

#include <CLI/CLI.hpp>

/// The verbs of `amalgam rank`, each defined in the file of its name.
namespace amalgam::cli {

void register_rank_compare(CLI::App& rank);
void register_rank_methods(CLI::App& rank);
void register_rank_next(CLI::App& rank);
void register_rank_pool(CLI::App& rank);
void register_rank_significance(CLI::App& rank);
void register_rank_stability(CLI::App& rank);

}  // namespace amalgam::cli
