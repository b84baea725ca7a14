#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// A model whose feed-forward blocks become an expert of every layer.
struct MoeExpert {
  ModelReference model;
  std::vector<std::string> positive_prompts;  ///< what it is to be chosen for
  std::vector<std::string> negative_prompts;  ///< what not
  double noise_scale = 0;                     ///< standard deviation of noise on its weights, >= 0
  double residual_scale = 1;  ///< factor on what it adds to the residual stream (down_proj)
  RecipeLine line;
  bool operator==(const MoeExpert&) const = default;
};

/// A mixture of experts to be made of dense models, as mergekit-moe writes it (docs/moe.md).
struct MoeRecipe {
  /// Where the weights of the routers come from.
  enum class Gates {
    hidden,          ///< hidden states of prompts
    cheap_embed,     ///< token embeddings of prompts, the same for every layer
    random,          ///< standard normal
    uniform_random,  ///< uniform within 1 / sqrt(hidden size), as torch.nn.Linear begins
  };

  std::string label;          ///< what errors call it, usually its path; no part of the meaning
  ModelReference base_model;  ///< gives everything but the feed-forward blocks
  std::vector<MoeExpert> experts;
  std::vector<MoeExpert> shared_experts;  ///< take part for every token
  Gates gates = Gates::hidden;
  std::size_t experts_per_token = 0;  ///< 0: two, or one if there is only one
  std::string dtype;                  ///< empty: that of the base's tensors
  std::string architecture;           ///< empty: what suits the base
  RecipeLine line;

  bool operator==(const MoeRecipe& other) const;

  /// How many experts every token goes to.
  std::size_t chosen() const;
  /// Base, experts and shared experts, each once, in this order.
  std::vector<ModelReference> all_models() const;
};

/// The name of a kind of gates, as recipes have it.
std::string_view gates_name(MoeRecipe::Gates gates);

/// Whether a YAML text is such a recipe rather than one of a merge: it has 'experts'. InputError if
/// it is not YAML.
bool is_moe_recipe(std::string_view yaml, std::string_view label);

/// InputError "label:line: ..." for anything malformed, unknown or contradictory: prompts that are
/// missing or the same for all, more experts per token than experts.
MoeRecipe parse_moe_recipe(std::string_view yaml, std::string_view label);

/// The recipe as YAML in canonical form; parse_moe_recipe gives an equal recipe back.
std::string format_moe_recipe(const MoeRecipe& recipe);

}  // namespace amalgam
