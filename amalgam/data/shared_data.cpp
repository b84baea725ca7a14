#include "amalgam/data/shared_data.hpp"

#include <cstdlib>

#include "amalgam/core/error.hpp"

namespace amalgam {

std::filesystem::path shared_data(std::string_view name) {
  const char* given = std::getenv("AMALGAM_DATA");  // NOLINT(concurrency-mt-unsafe)
  const std::filesystem::path folder = given != nullptr ? given : "../shared/data";
  const std::filesystem::path path = folder / name;
  if (!std::filesystem::exists(path)) {
    throw InputError("{}: there is no such data set; set AMALGAM_DATA to the folder that has {}",
                     path.string(), name);
  }
  return path;
}

}  // namespace amalgam
