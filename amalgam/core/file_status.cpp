#include "amalgam/core/file_status.hpp"

#include <system_error>

#include "amalgam/core/error.hpp"
#include "amalgam/core/system_failure.hpp"

namespace amalgam {
namespace {

namespace fs = std::filesystem;

void check_device(const fs::path& path, const std::error_code& error) {
  if (error && is_system_failure(error.value())) {
    throw Error("{}: {}", path.string(), error.message());
  }
}

fs::file_status status_of(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check_device(path, error);
  return status;
}

}  // namespace

bool path_exists(const fs::path& path) { return fs::exists(status_of(path)); }

bool names_file(const fs::path& path) { return fs::is_regular_file(status_of(path)); }

bool names_folder(const fs::path& path) { return fs::is_directory(status_of(path)); }

bool name_the_same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  const bool same = fs::equivalent(a, b, error);
  check_device(a, error);
  return same;
}

fs::path resolved_path(const fs::path& path) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(path, error);
  check_device(path, error);
  if (error) resolved = fs::absolute(path, error).lexically_normal();
  return resolved;
}

}  // namespace amalgam
