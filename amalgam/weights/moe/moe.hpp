#pragma once

#include "amalgam/weights/merge.hpp"
#include "amalgam/weights/moe/moe_gates.hpp"
#include "amalgam/weights/moe/moe_recipe.hpp"

namespace amalgam {

/// The name of the recipe beside the weights.
inline constexpr const char* kMoeRecipeFile = "amalgam_moe.yml";

/// Assembles a mixture of experts and puts it in place: a folder in Hugging Face layout with
/// weights, config, the base's tokenizer and generation config, a model card and the recipe.
/// Options as for merge_checkpoints; those about shapes and NaN do not apply, since nothing is
/// merged. InputError as plan_moe, and if the output is to be one file; Error and Interrupted as
/// merge_checkpoints.
MergeReport assemble_moe(const MoeRecipe& recipe, const MergeOptions& options,
                         const PromptStates* states = nullptr);

/// What assemble_moe would do.
MergePreview preview_moe(const MoeRecipe& recipe, const MergeOptions& options,
                         const PromptStates* states = nullptr);

}  // namespace amalgam
