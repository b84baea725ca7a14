#pragma once

#include <cstdint>

#include "amalgam/data/soft_table.hpp"
#include "amalgam/data/split.hpp"
#include "amalgam/learning/data_recipe.hpp"
#include "amalgam/learning/dataset.hpp"

namespace amalgam::learning {

/// Gives the examples of a split, which are in the order of load_dataset, the probabilities of
/// their tasks, and leaves out the examples that have none. `table`: the data are rows of the table
/// `recipe.set`. Without `recipe.label` an example's label is its most probable class (of equal
/// ones the first).
///
/// Warns of examples left out and of tasks without an example. InputError if a class of the
/// probabilities is none of the data's, or no example has any.
Dataset with_soft_targets(const Dataset& data, const SoftTable& soft, const DataRecipe& recipe,
                          Split split, bool table);

/// A class drawn for each row of `soft` [count, classes] by the stream (seed, epoch, place), a
/// place being the number of the example in its data set [count].
torch::Tensor sampled_labels(const torch::Tensor& soft, const torch::Tensor& places,
                             std::uint64_t seed, std::uint64_t epoch);

}  // namespace amalgam::learning
