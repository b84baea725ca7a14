#pragma once

#include <span>
#include <string>
#include <vector>

#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// A merge as the command line asks for it, without a recipe.
struct RecipeArguments {
  std::string base;                     ///< empty: none
  std::vector<std::string> members;     ///< model references; the base among them is not counted
  std::vector<std::string> parameters;  ///< each as given to -p
};

/// The recipe that `amalgam merge --method METHOD --base BASE MEMBERS -p ...` means. Its label is
/// "command line". Each parameter is one of
///   name=v              for all members (or for the whole merge)
///   name=v1,v2          one value per member in their order, the base not counted
///   name=[0,0.5,1]      a gradient over the layers (also as one of several: [0,1],[1,0])
///   name:FILTER=...     for tensors whose name contains FILTER (or is the pattern, with * or ?)
///   name:blocks:LAYOUT=[...]  one number per block of a diffusion model
///   (weights/block_weights.hpp)
/// Several for one name are tried in their order, those without a filter last. InputError for a
/// malformed or unknown parameter, a list for what holds for the whole merge, and a wrong number of
/// values; values themselves are checked when planning.
Recipe recipe_from_arguments(const RuleInfo& rule, const RecipeArguments& arguments);

/// Adds parameters as given to -p to a recipe, whose models they are counted by. One value for each
/// model goes with whole models only. InputError as recipe_from_arguments.
void add_parameters(Recipe& recipe, const RuleInfo& rule, std::span<const std::string> parameters);

}  // namespace amalgam
