#pragma once

#include <filesystem>

#include "amalgam/learning/load_dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/weights/learned/prune_recipe.hpp"
#include "cli/common_options.hpp"

namespace amalgam::cli {

/// `amalgam train` by a recipe that prunes.
struct PrunedTraining {
  const learning::TrainingRecipe& recipe;
  const learned::PruneRecipe& prune;
  const learning::TrainingData& data;
  const learning::Network& start;  ///< what the recipe starts from
  std::filesystem::path output;
  bool overwrite = false;
  bool resume = false;
  const CommonOptions& common;
};

/// Trains, writes the network and, beside it, its mask ("NAME.mask.safetensors"), and prints what
/// happened. Finished copies are kept in ".NAME.resume" beside the output until the end, for a run
/// that goes on where another was interrupted, with the same bits. InputError and Error as
/// sparse_soup and the methods of prune_in_training.hpp, and for --resume with a method that runs
/// in one piece.
void train_pruned(const PrunedTraining& training);

}  // namespace amalgam::cli
