#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amalgam/core/parameters.hpp"

namespace amalgam::labels {

/// A method of a command of its own: for annotations that are not one label each, bags of rows, and
/// rows without annotations.
struct OtherMethod {
  std::string command;  ///< of `amalgam label`
  std::string name;     ///< what its --method (or --methods) is, if it has several
  std::string summary;  ///< one sentence
  std::string source;   ///< paper
  std::vector<ParameterInfo> parameters = {};  ///< those of `-p`; others are options of the command
};

/// All of them, by command.
std::span<const OtherMethod> other_methods();
/// InputError, with the nearest name, if the command has no such method.
const OtherMethod& find_other_method(std::string_view command, std::string_view name);

}  // namespace amalgam::labels
