#include "amalgam/data/input_file.hpp"

#include <cerrno>

#include "amalgam/core/error.hpp"
#include "amalgam/core/file_status.hpp"
#include "amalgam/core/system_failure.hpp"

namespace amalgam {

std::ifstream open_for_reading(const std::filesystem::path& path, std::string_view expected) {
  // A stream that opens a folder succeeds, and fails at the first byte.
  if (names_folder(path)) {
    throw InputError("{}: cannot be opened for reading: it is a folder; expected {}", path.string(),
                     expected);
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  const int error = errno;
  if (file) return file;
  const std::string reason = std::generic_category().message(error);
  if (is_system_failure(error)) {
    throw Error("{}: cannot be opened for reading: {}", path.string(), reason);
  }
  throw InputError("{}: cannot be opened for reading: {}; expected {}", path.string(), reason,
                   expected);
}

std::size_t read_some(std::ifstream& file, std::span<char> bytes,
                      const std::filesystem::path& path) {
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.bad()) throw Error("{}: cannot be read to its end", path.string());
  return static_cast<std::size_t>(file.gcount());
}

}  // namespace amalgam
