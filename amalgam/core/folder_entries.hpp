#pragma once

#include <filesystem>
#include <vector>

namespace amalgam {

/// What a folder holds, in the order of its names. InputError naming the folder if it is none or
/// may not be read; Error if the device fails or memory ends. So nobody takes a part of a folder
/// for all of it, as with an iterator over a folder that ends where it fails.
std::vector<std::filesystem::directory_entry> folder_entries(const std::filesystem::path& folder);

}  // namespace amalgam
