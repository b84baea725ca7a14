#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// A parameter and the values that are tried, each as written after "name=" for -p.
struct SearchAxis {
  std::string parameter;
  std::vector<std::string> values;
};

/// Reads what a search says of one parameter:
///   a:b:step        a, a + step, ... up to b (which is one of them if the step divides b - a)
///   v1,v2,...       these
///   shares          a point of the simplex, one share per member: of two members 51 values from
///                   (0, 1) to (1, 0); of more 51 draws from Dirichlet(1, ..., 1) by `seed`, to
///                   six digits (Matena and Raffel 2021)
///   shares:n        the same with n values, at least 2
/// InputError beginning with `where` for anything else, a parameter that `rule` does not have,
/// shares of one that members do not have of their own or of a single member, and more than 10,000
/// values; values themselves are checked when merging.
SearchAxis parse_search_axis(const RecipeSearch& search, const RuleInfo& rule, std::size_t members,
                             std::uint64_t seed, std::string_view where);

/// All combinations, each as one "name=value" per axis, the last axis fastest. InputError for more
/// than 10,000 and an axis that comes twice.
std::vector<std::vector<std::string>> search_grid(std::span<const SearchAxis> axes);

/// `recipe` with parameters set as by -p, instead of what it says of them anywhere. InputError as
/// recipe_from_arguments.
Recipe with_parameters(Recipe recipe, const RuleInfo& rule,
                       std::span<const std::string> parameters);

}  // namespace amalgam
