#pragma once

#include <optional>
#include <string_view>

#include "amalgam/checkpoint/restricted_pickle.hpp"

namespace amalgam {

/// What the global `module`.`name` means in a PyTorch archive, or nothing if it is none of the few
/// names that are data.
std::optional<PickleValue> find_pickle_global(std::string_view module, std::string_view name);

}  // namespace amalgam
