#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "amalgam/weights/plan_models.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// A document, or one module of it, as slices.
struct PlanSection {
  std::vector<RecipeSlice> slices;
  const ParameterSettings* parameters = nullptr;  ///< of the module
  std::size_t module = 0;
  bool whole = false;  ///< one slice of whole models, without layer ranges
};

/// The sections of a recipe: one, or one for each module.
std::vector<PlanSection> make_sections(const Recipe& recipe);

/// One model's part in a slice.
struct PlanRole {
  std::size_t model = 0;                 ///< its number in PlanModels
  const RecipeSource* source = nullptr;  ///< null for a base that the slice does not list
  std::size_t first_layer = 0;
  /// Checkpoints that parameters name: parameter and model number.
  std::vector<std::pair<std::string, std::size_t>> paths;
};

/// A slice with its models told apart.
struct PlanCast {
  const RecipeSlice* slice = nullptr;
  const PlanSection* section = nullptr;
  std::vector<PlanRole> members;
  std::optional<PlanRole> base;         ///< if the rule uses one
  std::optional<PlanRole> unused_base;  ///< if not: it gives types, and what is never merged

  /// Whose tensors the output has.
  const PlanRole& reference() const { return base ? *base : members.front(); }
  /// The number of layers; of slices with layer ranges.
  std::size_t length() const { return slice->sources.front().range().count(); }
};

/// Decides which model of a slice is the base and which are members, and opens them. A base that
/// the slice does not list is added with the layers of the first source; one that is listed is no
/// member (unless the rule uses no base, or it is listed again with other layers). `section`
/// outlives the result. InputError if the rule needs a base that is not given, or another number of
/// members.
PlanCast make_cast(const Recipe& recipe, const RuleInfo& rule, const PlanSection& section,
                   const RecipeSlice& slice, PlanModels& models);

/// "label:line", or the label alone for what was not read from a text.
std::string recipe_place(const Recipe& recipe, RecipeLine line);

}  // namespace amalgam
