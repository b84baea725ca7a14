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

/// Adds --from and --state, of verbs whose states they alone go on from.
void add_state_options(CLI::App& command, std::string& from, std::string& state);

/// InputError if options say otherwise than the state that was read `from`: a method, or
/// parameters.
void check_state_options(const std::string& from, const std::string& state_method,
                         const std::string& method, const std::vector<std::string>& parameters);

}  // namespace amalgam::cli
