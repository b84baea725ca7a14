#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// What the methods that look at data say of themselves, in the order of `amalgam merge methods`.
/// They run networks, so the learning library carries them out; this table is here so that every
/// build can list them and check their parameters.
std::span<const RuleInfo> data_methods();

/// The method of this name, or null.
const RuleInfo* find_data_method(std::string_view name);

/// What the method of this name says of itself, be it a rule or one that looks at data. InputError
/// with the nearest name.
const RuleInfo& find_method(std::string_view name);

/// Checks that `recipe` says nothing that `method` has no use for: it merges whole models, which
/// keep their types, by parameters with one value each (no filters and gradients, except for
/// parameters of groups: see `pleas`). InputError naming recipe, line and key.
void check_data_recipe(const RuleInfo& method, const Recipe& recipe);

/// The numbers of the models in `recipe` that are merged: without its base.
std::vector<std::size_t> data_method_members(const RuleInfo& method, const Recipe& recipe);

/// The parameters of `method` for a whole merge by `recipe`, defaults filled in; `group` is what
/// filters see. InputError as check_parameters and check_data_recipe, and for a wrong number of
/// members.
Parameters data_method_parameters(const RuleInfo& method, const Recipe& recipe,
                                  std::string_view group = {});

/// The parameters of model number `model` of the recipe, likewise.
Parameters data_method_member_parameters(const RuleInfo& method, const Recipe& recipe,
                                         std::size_t model);

}  // namespace amalgam
