#pragma once

#include <span>
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
/// An array of those.
Json parameters_json(std::span<const ParameterInfo> parameters);

/// "density (1), seed (0)": for lists of methods.
std::string parameter_names(std::span<const ParameterInfo> parameters);

/// A table of name, default, range and meaning; empty if there are none.
std::string parameter_table(std::span<const ParameterInfo> parameters);

}  // namespace amalgam::cli
