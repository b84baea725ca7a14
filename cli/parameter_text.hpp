#pragma once

#include <string>

#include "amalgam/core/parameters.hpp"
#include "cli/output.hpp"

/// How lists of methods show their parameters.
namespace amalgam::cli {

/// "[0, 1]", ">= 0", "a, b": the values that are taken.
std::string range_text(const ParameterInfo& parameter);

/// The default, "required", or what being absent means.
std::string default_text(const ParameterInfo& parameter);

/// Name, kind, whether it is per member, whether it is required, default, range and meaning.
Json parameter_json(const ParameterInfo& parameter);

}  // namespace amalgam::cli
