#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "amalgam/weights/plan_models.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// What the parts of a recipe mean for a merge of diffusion checkpoints.
struct PartsPlan {
  std::set<std::size_t> not_merged;  ///< tensors of the reference that belong to a named part
  std::map<std::string, PlanInput> copied;  ///< output name: what is taken instead
};

/// Finds the tensors of the recipe's parts. The donor of a part may be a whole checkpoint of any
/// architecture that has it, or a file of the part alone (an autoencoder, a text encoder): names
/// become those of `reference`, or of its architecture if it has no such part.
///
/// InputError naming recipe, line and model if the reference is no diffusion checkpoint, a part is
/// not known or given twice, a donor does not have it, or tensors of the reference's part are
/// missing in the donor or have another shape. (Integers that the donor lacks stay the reference's;
/// what it has besides is left out with a warning.)
PartsPlan plan_parts(const Recipe& recipe, PlanModels& models, std::size_t reference);

/// Advice for an error about tensors that a model lacks: which parts could come from elsewhere.
/// Empty if the names are of no part.
std::string parts_advice(const std::vector<std::string>& missing, std::string_view model);

}  // namespace amalgam
