#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "amalgam/scores/files/score_files.hpp"
#include "amalgam/scores/rank_aggregator.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// The options of verbs that read measurements.
struct ScoreOptions {
  std::vector<std::string> paths;
  std::string form = "automatic";
  bool wide = false;
  bool long_form = false;
  bool battles = false;
  std::string system;
  std::string task;
  std::string instance;
  std::string score;
  std::string metric;
  std::string weight;
  std::string first;
  std::string second;
  std::string winner;
  std::string cluster;
  std::string time;
  std::vector<std::string> columns;
  std::vector<std::string> covariates;
  bool relative_covariates = false;
  std::vector<std::string> metrics;
  std::vector<std::string> lower_is_better;
  std::vector<std::string> higher_is_better;
  std::vector<std::string> task_weights;
  std::vector<std::string> task_kinds;
  std::string repeats = "error";
  std::string separator = ",";
};

/// Adds the positional TABLE and the options that say how it is read. `options` must live until the
/// command has run.
void add_score_options(CLI::App& command, ScoreOptions& options);

/// What the options say of the format. InputError for a separator that is not one character, a
/// weight or kind that is not of the form TASK=VALUE, or two forms at once.
scores::ScoreFormat format_of(const ScoreOptions& options);

/// Reads the measurements with progress, and warns of what was noticed.
scores::ScoreTable read_scores(const ScoreOptions& options, const CommonOptions& common,
                               scores::ScoreNotes* notes = nullptr);

/// The options of verbs that rank.
struct MethodOptions {
  std::string method;  ///< empty: borda, or bradley-terry where there are only comparisons
  std::vector<std::string> parameters;
  std::string missing;  ///< empty: the method's own way
};
void add_method_options(CLI::App& command, MethodOptions& options);

/// The method that is meant, and its context (parameters, missing), checked. `table` may not be
/// there yet: then a method that is not named is borda. InputError as scores::rank_systems.
const scores::RankAggregator& method_of(const MethodOptions& options,
                                        const scores::ScoreTable& table);
scores::RankContext context_of(const MethodOptions& options, const scores::RankAggregator& method,
                               const CommonOptions& common);
/// Checks name, parameters and missing before anything is read; nothing if no method is named.
void check_method(const MethodOptions& options);

}  // namespace amalgam::cli
