#include "amalgam/core/folder_entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "amalgam/core/system_failure.hpp"

namespace amalgam {

namespace fs = std::filesystem;

std::vector<fs::directory_entry> folder_entries(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    entries.push_back(*at);
  }
  if (error) {
    throw_system_error(
        error, fmt::format("{}: cannot list the folder: {}", folder.string(), error.message()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace amalgam
