#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "amalgam/checkpoint/tokenizer.hpp"
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
  const Tokenizer* tokenizer = nullptr;  ///< null: that of the reference
};

/// Writes into `folder` (which exists) what lies beside the weights: config.json of the reference
/// with its layer counts, per-layer lists, vocabulary size and type brought up to date; its
/// generation config, tokenizer, chat templates and preprocessor files; its licences; its own
/// Python modules if the config names some; the model card README.md; the recipe. A reference that
/// is a single file has only the last two. Files larger than they have reason to be are left out
/// with a warning. InputError if config.json or tokenizer_config.json of a model is not JSON.
void write_output_files(const std::filesystem::path& folder, const OutputDescription& output);

/// `config` (of the reference) made true of the output of `plan`; the vocabulary size only where it
/// is too large, unless the output has `another_vocabulary`. Warns where a changed number of layers
/// is stated nowhere.
nlohmann::json updated_config(nlohmann::json config, const MergePlan& plan,
                              bool another_vocabulary = false);

/// Writes the files of the output's tokenizer into `folder`, its config and the chat template
/// included.
void write_tokenizer_files(const std::filesystem::path& folder, const OutputDescription& output);

/// The keys that number tokens (`eos_token_id`, ...) in a config of the reference, where the
/// output's tokenizer is another model's: as in the file `name` of that model, or else the number
/// of the same token in the output. Null where the output has no such token.
void update_token_numbers(nlohmann::json& config, const char* name,
                          const OutputDescription& output);

/// The model card: YAML front matter for hubs, then method, models and recipe.
std::string model_card(const OutputDescription& output);

/// What people call the model at `path`: "org/name" for a folder of the hub's cache, else the last
/// component.
std::string model_display_name(const std::filesystem::path& path);

}  // namespace amalgam
