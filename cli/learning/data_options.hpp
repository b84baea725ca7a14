#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/learning/data_recipe.hpp"
#include "amalgam/learning/dataset.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// Which examples a command looks at; the same words everywhere.
struct DataOptions {
  std::string set = "fashion-mnist";
  std::string split;
  std::uint64_t first = 0;
  std::uint64_t examples = 0;  ///< 0: all from `first` on
  bool at_most = false;        ///< fewer are enough, if the split has not so many
  std::string corruption;
  std::string label;                 ///< of a table, if it has another name than in training
  bool takes_numbers = false;        ///< whether the command knows numbers to predict
  std::string tokens;                ///< of a text, if it is not for a network that knows
  std::uint64_t context = 0;         ///< of a text; 0: the network's
  std::vector<std::string> classes;  ///< that are kept; empty: all
  bool relabel = false;
  std::string head;  ///< of a network with several, which the labels are for

  /// Loads them, as the network was trained on them if it is given (tables and texts need it).
  /// InputError for unknown or missing data, or too few examples.
  learning::Dataset load(std::uint64_t seed,
                         const learning::NetworkDescription* network = nullptr) const;
  /// "fashion-mnist test", "fashion-mnist test, shift=1,noise=0.25".
  std::string describe() const;

 private:
  learning::DataRecipe recipe() const;
};

/// Adds the checkpoint to look at and -o, for commands that write a file about a network.
void add_file_options(CLI::App& command, std::string& checkpoint, std::string& output);

/// Adds --data, --split, --first, --examples, --corrupt, --label, --tokens, --context, --classes,
/// --head and --relabel.
void add_data_options(CLI::App& command, DataOptions& options, const std::string& split);

/// --json, --quiet, --threads and --seed, as for other commands, except that threads may matter.
void add_learning_options(CLI::App& command, CommonOptions& options);

/// InputError unless `path` is the name of a .safetensors file and none of `inputs`.
void check_safetensors_output(const std::string& path, const std::vector<std::string>& inputs);

}  // namespace amalgam::cli
