#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>

namespace amalgam {

/// Opens a file to read its bytes. InputError naming it, the system's reason and what was expected
/// ("a text file"), if there is no such file, it is a folder or may not be read; Error if the
/// device fails, or memory or the numbers of open files are used up: nothing of the user's is wrong
/// then.
std::ifstream open_for_reading(const std::filesystem::path& path, std::string_view expected);

/// Reads the next bytes of an opened file and returns how many there were: fewer than asked for
/// only at the end. Error if the device fails. `path`: for its message.
std::size_t read_some(std::ifstream& file, std::span<char> bytes,
                      const std::filesystem::path& path);

}  // namespace amalgam
