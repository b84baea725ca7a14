#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "amalgam/checkpoint/source.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// What the metadata of an output that is one file say of its making: `amalgam_recipe` (YAML, all
/// documents), `amalgam_seed` and `amalgam_version`. If the reference has keys of the Stability AI
/// model metadata (`modelspec.*`), those stay, but for what is no longer true: the title becomes
/// that of the output, `modelspec.merged_from` names the models, and hashes and the date go (an
/// empty value takes a key out, see OutputOrigin).
std::map<std::string, std::string> recipe_metadata(const std::vector<Recipe>& documents,
                                                   const TensorSource& reference,
                                                   const std::filesystem::path& output,
                                                   std::uint64_t seed);

}  // namespace amalgam
