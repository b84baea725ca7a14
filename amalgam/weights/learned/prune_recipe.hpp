#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "amalgam/weights/learned/prune_in_training.hpp"
#include "amalgam/weights/learned/sparse_soup.hpp"
#include "amalgam/weights/learned/sparse_training.hpp"

namespace amalgam::learned {

/// What a training recipe says under `prune`: a network most of whose weights are 0 (docs:
/// merge-methods/sparse-soups.md).
struct PruneRecipe {
  enum class Method {
    soup,      ///< sparse_soup of the trained network; with one copy IMP
    gradual,   ///< gradual_pruning
    dynamic,   ///< dynamic_pruning
    budgeted,  ///< budgeted_pruning
    sparse,    ///< sparse_training, by its methods' own names
  } method = Method::soup;
  SparseSoupOptions soup;          ///< soup, budgeted; without score and train
  GradualPruningOptions gradual;   ///< gradual, dynamic
  std::uint64_t dense_epochs = 0;  ///< budgeted
  SparseTrainingOptions sparse;    ///< sparse
};

/// Reads and checks it; nothing if the recipe does not prune. InputError naming `where` and the
/// key, for keys of other methods, and for what does not go with pruning (early_stop, average).
std::optional<PruneRecipe> prune_recipe(const learning::TrainingRecipe& recipe,
                                        const std::string& where);

}  // namespace amalgam::learned
