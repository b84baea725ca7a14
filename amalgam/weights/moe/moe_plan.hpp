#pragma once

#include <nlohmann/json.hpp>

#include "amalgam/weights/moe/moe_family.hpp"
#include "amalgam/weights/moe/moe_gates.hpp"
#include "amalgam/weights/moe/moe_recipe.hpp"
#include "amalgam/weights/planned_merge.hpp"

namespace amalgam {

/// A mixture of experts, planned down to the last tensor. Tensors of the models are copied byte for
/// byte where type and value stay; everything else (routers, noise, biases of zero) is made as it
/// is written, so memory does not depend on the models.
struct MoePlan {
  PlannedStage stage;
  const MoeFamily* family = nullptr;
  nlohmann::json config;                 ///< config.json of the output
  std::vector<std::string> from_states;  ///< names of the routers that are made of hidden states
};

/// Of `options`, type and seed matter. `states` are those of the base, for gates that need them;
/// null where it is not run. InputError naming file, tensor, found and expected for everything that
/// the headers and the recipe show.
MoePlan plan_moe(const MoeRecipe& recipe, const MergeOptions& options,
                 const PromptStates* states = nullptr);

}  // namespace amalgam
