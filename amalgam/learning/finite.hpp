#pragma once

#include <optional>
#include <string>

#include "amalgam/learning/network_file.hpp"

namespace amalgam::learning {

/// "tensor 'NAME' has NaN at index 3", of the first value (in the order of the tensors, by flat
/// index) that is not finite; nothing if all are. Integers are.
std::optional<std::string> first_not_finite(const NamedTensors& tensors);

/// InputError "SOURCE: tensor 'NAME' has NaN at index 3; expected finite numbers" unless all are.
void check_finite(const NamedTensors& tensors, const std::string& source);

}  // namespace amalgam::learning
