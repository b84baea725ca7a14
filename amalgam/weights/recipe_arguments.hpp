#pragma once

#include <optional>
#include <span>
#include <string>

#include "amalgam/weights/recipe.hpp"

namespace amalgam {

/// The recipe that `amalgam merge --method METHOD --base BASE MEMBERS -p ...` means. Each parameter
/// is `name=value` for all; `name=v1,v2` one value per member in the order of `members`, the base
/// excluded; `name=[v0,v1,...]` a gradient over the layers; `name:FILTER=...` any of these for the
/// tensors whose names contain FILTER. A parameter may be given several times: filters are tried in
/// order, the entry without one last.
/// InputError for an unknown method or parameter (with the nearest name), a wrong count of values,
/// a list for a parameter that members do not have, an empty name or value.
Recipe recipe_from_arguments(const std::string& method, const std::optional<std::string>& base,
                             std::span<const std::string> members,
                             std::span<const std::string> parameters);

}  // namespace amalgam
