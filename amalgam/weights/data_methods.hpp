#pragma once

#include <span>
#include <string_view>

#include "amalgam/weights/recipe.hpp"
#include "amalgam/weights/rule.hpp"

namespace amalgam {

/// What the methods that look at data say of themselves, in the order of `amalgam merge methods`.
/// They run networks, so the learning library carries them out; this table is here so that every
/// build can list them and check their parameters.
std::span<const RuleInfo> data_methods();

/// The method of this name, or null.
const RuleInfo* find_data_method(std::string_view name);

/// The parameters of `method` for a whole merge by `recipe`, defaults filled in. InputError as
/// check_parameters, and for a wrong number of members.
Parameters data_method_parameters(const RuleInfo& method, const Recipe& recipe);

/// The parameters of member number `member`, likewise.
Parameters data_method_member_parameters(const RuleInfo& method, const Recipe& recipe,
                                         std::size_t member);

}  // namespace amalgam
