#include "amalgam/core/system_failure.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "amalgam/core/error.hpp"

namespace amalgam {

bool is_system_failure(int error) noexcept {
  constexpr std::array kFailures = {EIO, ENOMEM, ENOSPC, EDQUOT, EMFILE, ENFILE, ESTALE, ETIMEDOUT};
  return std::find(kFailures.begin(), kFailures.end(), error) != kFailures.end();
}

void throw_system_error(int error, const std::string& message) {
  if (is_system_failure(error)) throw Error(message);
  throw InputError(message);
}

void throw_system_error(const std::error_code& error, const std::string& message) {
  throw_system_error(error.value(), message);
}

}  // namespace amalgam
