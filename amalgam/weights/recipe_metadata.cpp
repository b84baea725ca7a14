#include "amalgam/weights/recipe_metadata.hpp"

#include <algorithm>
#include <array>

#include "amalgam/core/text.hpp"
#include "amalgam/weights/merge_identity.hpp"

namespace amalgam {
namespace {

// Checksums and dates of the reference's own weights; those of training tools among them.
constexpr std::array kUntrue = {"modelspec.hash_sha256", "modelspec.date", "sshs_model_hash",
                                "sshs_legacy_hash"};

std::vector<std::string> model_names(const std::vector<Recipe>& documents) {
  std::vector<std::string> names;
  for (const Recipe& document : documents) {
    for (const ModelReference& model : document.all_models()) {
      const bool is_stage = std::any_of(documents.begin(), documents.end(),
                                        [&](const Recipe& one) { return one.name == model.path; });
      std::string name = std::filesystem::path(model.path).stem().string();
      if (!is_stage && std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(std::move(name));
      }
    }
  }
  return names;
}

}  // namespace

std::map<std::string, std::string> recipe_metadata(const std::vector<Recipe>& documents,
                                                   const TensorSource& reference,
                                                   const std::filesystem::path& output,
                                                   std::uint64_t seed) {
  std::map<std::string, std::string> metadata = {{"amalgam_recipe", format_recipes(documents)},
                                                 {"amalgam_seed", std::to_string(seed)},
                                                 {"amalgam_version", amalgam_version()}};
  const bool has_specification =
      std::any_of(reference.metadata().begin(), reference.metadata().end(),
                  [](const auto& entry) { return entry.first.starts_with("modelspec."); });
  for (const char* key : kUntrue) {
    if (reference.metadata().contains(key)) metadata[key] = "";
  }
  if (has_specification) {
    metadata["modelspec.title"] = output.stem().string();
    metadata["modelspec.merged_from"] = join(model_names(documents), ", ");
  }
  return metadata;
}

}  // namespace amalgam
