#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "amalgam/labels/annotation_files.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// The options of verbs that read annotations.
struct AnnotationOptions {
  std::vector<std::string> paths;
  std::string task = "task";
  std::string worker = "worker";
  std::string label = "label";
  std::string weight;
  std::string time;
  std::string separator = ",";
  std::string duplicates = "all";
  std::string format = "table";
  std::string question;
  std::string abstain;
  bool marks_abstentions = false;  ///< keep them as rows of weight 0, for a method that uses them
};

/// Adds the positional ANNOTATIONS and the column options. `options` must live until the command
/// has run.
void add_annotation_options(CLI::App& command, AnnotationOptions& options);

/// What the options say of the format. InputError for a separator that is not one character.
labels::AnnotationFormat format_of(const AnnotationOptions& options);

/// Reads the annotations with progress, and warns of duplicates and of --abstain where nobody does.
labels::AnnotationTable read_annotations(const AnnotationOptions& options,
                                         const CommonOptions& common,
                                         labels::TableNotes* notes = nullptr);

/// The states that a verb goes on from and writes, of verbs whose states they alone go on from.
struct StateOptions {
  std::string from;   ///< empty: none
  std::string state;  ///< empty: none
};

/// Adds --from and --state. `options` must live until the command has run.
void add_state_options(CLI::App& command, StateOptions& options);

/// Adds --refine, of verbs whose states can sweep over everything.
void add_refine_option(CLI::App& command, bool& refine);

/// What a verb with a state is asked to do.
struct StateRun {
  std::vector<std::string> inputs;        ///< files that are read, but the state
  std::string out;                        ///< of --out
  std::vector<std::string> outputs = {};  ///< others that are written, but the state
};
/// InputError for outputs that are inputs or the same, a state of another name than a state's, and
/// for --json with --out -.
void check_state_run(const StateOptions& options, const StateRun& run, const CommonOptions& common);

/// InputError if options say otherwise than the state that was read: a method, parameters, or a
/// seed.
void check_state_options(const StateOptions& options, const std::string& state_method,
                         const std::string& method, const std::vector<std::string>& parameters,
                         bool has_seed = false);

}  // namespace amalgam::cli
