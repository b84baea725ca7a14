#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "amalgam/weights/learned/parameter_search.hpp"
#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"
#include "cli/learning/merge_data.hpp"
#include "cli/output.hpp"

// What searches for parameters of merges share, whatever the method.
namespace amalgam::cli {

/// The points that the recipe's search tries, as for -p. InputError as parse_search_axis.
std::vector<std::vector<std::string>> search_points(const Recipe& recipe, const RuleInfo& method,
                                                    std::uint64_t seed);

/// What decides between them.
learned::SearchFigure search_figure(const Recipe& recipe);

/// What was tried and what is best, as JSON and for people.
Json search_json(const learned::ParameterSearch& search, const Recipe& recipe,
                 const MergeData& data);
void print_search(const learned::ParameterSearch& search, const Recipe& recipe,
                  const MergeData& data);

}  // namespace amalgam::cli
