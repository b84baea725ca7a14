#pragma once

#include <string>
#include <system_error>

namespace amalgam {

/// Whether a call that gave this error (of errno) failed for a reason that lies in the machine and
/// not in what the user asked for: a device that fails, or memory, disk space, or numbers of open
/// files that are used up. Asking for the same again may succeed.
bool is_system_failure(int error) noexcept;

/// Throws `message` as Error (exit code 1) where is_system_failure(error), else as InputError (2).
[[noreturn]] void throw_system_error(int error, const std::string& message);
[[noreturn]] void throw_system_error(const std::error_code& error, const std::string& message);

}  // namespace amalgam
