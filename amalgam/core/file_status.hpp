#pragma once

#include <filesystem>

/// What lies at a path, as std::filesystem says with an error code, but for a device that fails:
/// that does not mean that nothing is there. Error (exit code 1) then, naming the path.
namespace amalgam {

/// Whether anything is there. Also false where the path cannot be followed (no permission, a name
/// that is too long).
bool path_exists(const std::filesystem::path& path);

/// Whether the path leads to a regular file, by links or not.
bool names_file(const std::filesystem::path& path);

/// Whether the path leads to a folder, by links or not.
bool names_folder(const std::filesystem::path& path);

/// Whether both paths lead to one thing, which is there.
bool name_the_same(const std::filesystem::path& a, const std::filesystem::path& b);

/// The path as an absolute one, with links resolved as far as something is there.
std::filesystem::path resolved_path(const std::filesystem::path& path);

}  // namespace amalgam
