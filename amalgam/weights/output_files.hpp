#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "amalgam/weights/plan.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// The name of the recipe beside the weights; mergekit reads it as well.
inline constexpr const char* kRecipeFile = "amalgam_recipe.yml";

/// What the files beside the weights of an output folder say.
struct OutputDescription {
  std::vector<Recipe> documents;              ///< all stages, the last one is the output's
  const MergePlan* plan = nullptr;            ///< of the last document
  std::filesystem::path reference;            ///< the base (or first) model: a folder, or one file
  std::vector<std::filesystem::path> models;  ///< all models of the last document
  std::uint64_t seed = 0;
};

/// Writes into `folder` (which exists) what lies beside the weights: config.json of the reference
/// with its layer counts, per-layer lists, vocabulary size and type brought up to date; its
/// generation config, tokenizer, chat template and preprocessor files; its own Python modules if
/// the config names some; the model card README.md; the recipe. A reference that is a single file
/// has only the last two. Files larger than they have reason to be are left out with a warning.
/// InputError if config.json or tokenizer_config.json of a model is not JSON.
void write_output_files(const std::filesystem::path& folder, const OutputDescription& output);

/// `config` (of the reference) made true of the output of `plan`. Warns where a changed number of
/// layers is stated nowhere.
nlohmann::json updated_config(nlohmann::json config, const MergePlan& plan);

/// The model card: YAML front matter for hubs, then method, models and recipe.
std::string model_card(const OutputDescription& output);

/// What people call the model at `path`: "org/name" for a folder of the hub's cache, else the last
/// component.
std::string model_display_name(const std::filesystem::path& path);

}  // namespace amalgam
