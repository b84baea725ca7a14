#pragma once

#include <filesystem>
#include <optional>

#include "amalgam/checkpoint/importance.hpp"
#include "amalgam/weights/plan.hpp"

namespace amalgam {

/// The importance matrix in `file`, by which the errors of what `plan` quantises are to be weighed;
/// nothing if `file` is empty. InputError if the plan quantises nothing, and as
/// ImportanceMatrix::read and check_suits, which also warns.
std::optional<ImportanceMatrix> importance_of(const MergePlan& plan,
                                              const std::filesystem::path& file);

}  // namespace amalgam
