#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/recipe.hpp"
#include "cli/common_options.hpp"
#include "cli/output.hpp"

namespace amalgam::cli {

/// `amalgam merge` as it was asked for. The program and the learning library, which carries out
/// what needs networks, both read the command line by this.
struct MergeCommand {
  std::vector<std::string> inputs;
  std::string output;
  std::string method;
  std::string base;
  std::vector<std::string> parameters;
  std::vector<std::string> parts;  ///< NAME=MODEL; see RecipePart
  /// What the options about data say; empty and 0 where they are not given.
  struct Data {
    std::string set;
    std::string split;
    std::uint64_t first = 0;
    std::uint64_t examples = 0;
    std::string corrupt;
    std::string head;
    std::string label;
    std::string tokens;
    std::uint64_t context = 0;
    std::vector<std::string> classes;
    bool relabel = false;
  } data;
  std::vector<std::string> tasks;     ///< words of data; see parse_data_words
  std::vector<std::string> evaluate;  ///< likewise
  std::vector<std::string> search;    ///< NAME=VALUES; see parse_search_axis
  std::string search_by;
  std::string dtype;
  std::string imatrix;
  bool errors = false;
  std::string non_finite = "error";
  std::string shard_size;
  bool overwrite = false;
  bool keep_partial = false;
  bool resume = false;
  bool manifest = false;
  bool allow_shape_mismatch = false;
  bool dry_run = false;
  CommonOptions common;
};

/// Adds all options of `amalgam merge`, and examples. `command` must live until it has run.
void add_merge_options(CLI::App& app, MergeCommand& command);

/// --overwrite, --keep-partial, --resume and --manifest: what is done about outputs that are there,
/// unfinished, or to be checked by others. add_merge_options has them.
void add_unfinished_options(CLI::App& app, MergeCommand& command);

/// The recipe that is meant: the file's documents, or one that says what the options say.
/// InputError for options that contradict each other and as parse_recipe and
/// recipe_from_arguments.
std::vector<Recipe> recipes_of(const MergeCommand& command);

/// Whether a merge needs networks: its method looks at data, or the recipe names data.
bool needs_networks(const std::vector<Recipe>& recipes);

/// InputError for sizes and types that are none.
MergeOptions options_of(const MergeCommand& command);

/// What --dry-run shows of a merge by a rule, and `more` with it.
void show_preview(const MergePreview& preview, const MergeCommand& command,
                  const Json& more = Json::object());

/// "name        value" for people; a list takes a line for each of its values.
std::string named_line(const std::string& name, const Json& value);

/// What a finished merge by a rule prints: with --json an object to which `more` is added.
void show_report(const MergeReport& report, const MergeCommand& command,
                 const Json& more = Json::object());

}  // namespace amalgam::cli
