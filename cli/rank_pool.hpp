#pragma once

#include <CLI/CLI.hpp>

/// The verbs of `amalgam rank pool`.
namespace amalgam::cli {

void register_rank_pool_query(CLI::App& pool);
void register_rank_pool_rank(CLI::App& pool);
void register_rank_pool_concepts(CLI::App& pool);

}  // namespace amalgam::cli
