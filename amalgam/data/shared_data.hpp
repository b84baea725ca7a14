#pragma once

#include <filesystem>
#include <string_view>

namespace amalgam {

/// The path of a real data set that experiments use, like "tabular/digits.csv": below the folder
/// that the environment variable AMALGAM_DATA names, or else below `../shared/data`. InputError
/// saying how to name the folder if there is no such file.
std::filesystem::path shared_data(std::string_view name);

}  // namespace amalgam
