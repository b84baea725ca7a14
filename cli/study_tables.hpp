#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/scores/studies/table_study.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// `amalgam study tables` as it was asked for. The program embeds tables by hashing or takes
/// vectors from files; the learning library trains an encoder. Both read the command line by this.
struct TablesCommand {
  std::vector<std::string> tables;
  std::vector<std::string> properties;
  std::string encoder = "bag";
  std::vector<std::string> against;
  std::vector<std::string> embeddings;
  std::vector<std::string> against_embeddings;
  std::string requests;
  std::vector<std::string> levels{"columns", "cells"};
  std::string renamings;
  std::string types;
  std::string entities;
  bool include_self = false;
  bool keep_names = false;
  std::size_t most_rows = 100;
  std::size_t dimension = 64;
  std::size_t permutations = 1000;
  std::size_t samples = 1000;
  std::vector<double> shares{0.25, 0.5, 0.75};
  std::vector<std::size_t> neighbours{10, 20, 30, 40, 50};
  std::size_t queries = 1000;
  std::size_t pairs = 20000;
  std::size_t resamples = 1000;
  std::size_t steps = 600;
  std::string out;
  std::string html;
  CommonOptions common;
};
void add_tables_options(CLI::App& command, TablesCommand& options);

/// Whether an encoder is to be trained.
bool needs_training(const TablesCommand& command);
/// InputError for options that contradict each other or outputs that are inputs.
void check_tables_command(const TablesCommand& command);

/// The tables of the command line. InputError if two have the same name.
std::vector<scores::RelationalTable> read_study_tables(const TablesCommand& command);

/// Runs the study and shows it. `trained` is the encoder of that name; null: it is not asked for.
void study_tables(const TablesCommand& command, const std::vector<scores::RelationalTable>& tables,
                  const scores::TableEmbedder* trained);

/// A property for the terminal: tables of its measures and figures, and what was not applicable.
std::string property_text(const scores::TableProperty& property, const TablesCommand& command);

/// Writes one row per measure and figure: property, figure, tables, mean (of a figure that is not
/// of tables, the figure) with its interval, pooled_mean, least, quartiles and greatest; what there
/// is not is empty. InputError or Error as CsvOutput.
void write_tables_figures(const std::string& path, const TablesCommand& command,
                          const std::vector<scores::TableProperty>& properties);

/// A page of HTML with a drawing and a table for each property.
std::string tables_page(const TablesCommand& command, const std::string& encoder,
                        const std::vector<scores::TableProperty>& properties);

}  // namespace amalgam::cli
