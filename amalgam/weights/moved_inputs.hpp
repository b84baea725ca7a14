#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/weights/manifest.hpp"
#include "amalgam/weights/moe/moe_recipe.hpp"
#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// Where the inputs of a manifest lie that are no longer where it says: on another machine, or in
/// another folder.
class MovedInputs {
 public:
  /// `moves`: texts "OLD=NEW". OLD is an input as the manifest names it, or a folder that inputs of
  /// it lie in; NEW is the file or folder that it is now. Where several OLD fit an input, the
  /// longest one holds. `where`: the manifest, for errors.
  ///
  /// InputError for a text of another form, an OLD that is no input and no folder of any (with the
  /// inputs there are) or is given twice, and for a NEW that is not there, or is a file where OLD
  /// is a folder, or the other way round.
  MovedInputs(const std::vector<std::string>& moves, const Manifest& manifest,
              std::string_view where);

  /// Where an input lies now; `input` itself if it has not moved. Parts of a split GGUF file go
  /// with the first one.
  std::filesystem::path place_of(const std::filesystem::path& input) const;

  /// What a recipe calls a model, with its adapters, where they lie now. InputError if the files of
  /// a folder that is read as one have gone to several places.
  ModelReference place_of(const ModelReference& model) const;

  /// Every model, adapter and checkpoint that the recipe names is the one at its new place.
  /// InputError as place_of.
  void apply(Recipe& recipe) const;
  void apply(MoeRecipe& recipe) const;

 private:
  struct Move {
    std::filesystem::path from;
    std::filesystem::path to;
  };

  std::filesystem::path place_beside_first_part(const std::filesystem::path& input) const;
  Move parse_move(const std::string& text, std::string_view where) const;
  std::filesystem::path place_of_model(const std::filesystem::path& model) const;
  std::string place_in_text(const std::string& model) const;
  void apply(ParameterSettings& settings, const std::vector<std::string>& paths) const;
  void apply(std::vector<RecipeSource>& sources, const std::vector<std::string>& paths) const;
  void apply(std::vector<RecipeSlice>& slices, const std::vector<std::string>& paths) const;

  std::vector<std::filesystem::path> inputs_;  // of the manifest
  std::vector<Move> moves_;
};

}  // namespace amalgam
