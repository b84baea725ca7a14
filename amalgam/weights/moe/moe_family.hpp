#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/weights/moe/moe_recipe.hpp"

namespace amalgam {

/// The projections of a dense feed-forward block, as the Llama family names them:
/// down_proj(act(gate_proj x) * up_proj x).
inline constexpr const char* kDenseProjections[] = {"down_proj", "gate_proj", "up_proj"};

/// How Hugging Face transformers names and configures one kind of mixture of experts. Names of
/// tensors are relative to "model.layers.N.".
struct MoeFamily {
  std::string_view name;                 ///< "mixtral", as `architecture` in recipes
  std::string_view alias;                ///< as mergekit calls it
  std::string_view model_type;           ///< of config.json
  std::string_view architecture;         ///< the class, for `architectures`
  std::vector<std::string> dense_types;  ///< `model_type` of models it can be made of
  std::string_view router;               ///< weight [experts, hidden]
  std::string_view experts;              ///< prefix of "N.PROJECTION.weight"
  /// Names of kDenseProjections in an expert, in that order.
  std::vector<std::string_view> projections;
  std::string_view shared_expert;  ///< prefix of "PROJECTION.weight"; empty: has none
  std::string_view shared_router;  ///< weight [1, hidden]
  std::string_view count_key;      ///< of config.json: the number of experts
  std::vector<std::string> kept;   ///< what else a layer has, as the dense model has it
  std::vector<std::string> kept_if_there;
  std::vector<std::string> biases;  ///< has these, zero where the dense model has none
};

/// All of them.
std::span<const MoeFamily> moe_families();

/// The family that the recipe names, or the one that suits a base of this `model_type` and the
/// shared experts. InputError naming what is possible.
const MoeFamily& find_moe_family(const MoeRecipe& recipe, std::string_view model_type);

/// config.json of a mixture made of the dense model that `config` describes. What transformers
/// takes by default for the dense model and would take otherwise for the mixture is stated.
/// InputError naming `where` for a config without the sizes that every one has.
nlohmann::json moe_config(nlohmann::json config, const MoeFamily& family, const MoeRecipe& recipe,
                          std::string_view where);

}  // namespace amalgam
