#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/data/split.hpp"
#include "amalgam/learning/data_recipe.hpp"
#include "amalgam/learning/dataset.hpp"
#include "amalgam/learning/network.hpp"
#include "amalgam/learning/recipe.hpp"

namespace amalgam::learning {

/// Loads examples. Choices at random (imbalance, partition, corruption) are by `seed`. The examples
/// of a table or text for a network that exists already are encoded as those that it was trained on
/// were (`network`; null: as the set's own training split says), and classes are the network's.
///
/// A text of n tokens is (n - 1) / context examples, one after the other. InputError if something
/// is missing, damaged, or not of the kind of data that the recipe's keys are for.
Dataset load_dataset(const DataRecipe& recipe, Split split, std::uint64_t seed,
                     const NetworkDescription* network = nullptr);

/// What a recipe trains on, and what it judges by after every epoch (without examples if nothing).
struct TrainingData {
  Dataset train;
  std::optional<Dataset> validation;
};
TrainingData load_training_data(const TrainingRecipe& recipe,
                                const NetworkDescription* network = nullptr);

/// The examples of the validation split that go with a recipe's training examples: of the same
/// classes and changed in the same way.
Dataset load_held_out(const TrainingRecipe& recipe, const NetworkDescription& network);

/// The classes of which there are no examples; of those that the recipe keeps, if it says which.
/// None for texts.
std::vector<std::string> classes_without_examples(const Dataset& data, const DataRecipe& recipe);

}  // namespace amalgam::learning
