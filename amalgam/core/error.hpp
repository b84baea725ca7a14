#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace amalgam {

/// A run that failed for a reason the user cannot fix by changing the input (exit code 1): a disk
/// that fills up, a device that fails, an invariant of ours that does not hold.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
  template <class... Args>
    requires(sizeof...(Args) > 0)
  explicit Error(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// Bad usage or bad input (exit code 2). The message is one sentence that names the file, the place
/// in it, what was found and what was expected.
class InputError : public Error {
 public:
  using Error::Error;
};

/// The user asked to stop (SIGINT or SIGTERM, exit code 130).
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

}  // namespace amalgam
