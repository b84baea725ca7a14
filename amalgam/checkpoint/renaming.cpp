#include "amalgam/checkpoint/renaming.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <exception>
#include <system_error>

#include "amalgam/core/error.hpp"
#include "amalgam/core/log.hpp"

namespace amalgam {

namespace fs = std::filesystem;

namespace {

void warn_of_failure(const fs::path& path, const std::error_code& error) noexcept {
  if (!error) return;
  try {
    log::warn("{}: cannot delete: {}", path.string(), error.message());
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace

std::string system_reason(int error) { return std::generic_category().message(error); }

bool exists_at(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

int rename_with(const fs::path& from, const fs::path& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}

bool not_supported(int error) { return error == EINVAL || error == ENOSYS; }

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw Error("{}: cannot rename {} to it: {}", to.string(), from.string(), system_reason(errno));
  }
}

void rename_to_free_place(const fs::path& from, const fs::path& to) {
  int error = rename_with(from, to, RENAME_NOREPLACE);
  if (not_supported(error))
    error = exists_at(to) ? EEXIST : 0;
  else if (error == 0)
    return;
  if (error == EEXIST) {
    throw InputError("{}: something has come to exist here while the output was made", to.string());
  }
  if (error != 0) {
    throw Error("{}: cannot rename {} to it: {}", to.string(), from.string(), system_reason(error));
  }
  rename_or_throw(from, to);
}

void remove_or_warn(const fs::path& path) noexcept {
  std::error_code error;
  try {
    fs::remove_all(path, error);
    warn_of_failure(path, error);
  } catch (const std::exception&) {
    return;
  }
}

void remove_file_or_warn(const fs::path& path) noexcept {
  std::error_code error;
  fs::remove(path, error);
  warn_of_failure(path, error);
}

}  // namespace amalgam
